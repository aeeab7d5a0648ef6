"""What identifies a fit: digests of its inputs, and of the code that computes it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch

import uni4d_shared

__all__ = ["digest", "fingerprint"]

_CODE = ("fourd", "splatting", "alignment/guidance.py", "library/geometry.py")
"""What a result depends on, in the package ``uni4d``."""


def fingerprint(**inputs: object) -> dict[str, str]:
    """Digests of a fit's inputs by name, and of the code that fits."""
    return {name: digest(value) for name, value in inputs.items()} | {"code": _code()}


def digest(value: object) -> str:
    """SHA-256 over a value: attrs classes, arrays, sequences, and what has an exact ``repr``."""
    total = hashlib.sha256()
    _add(total, value)
    return total.hexdigest()


def _add(total: Any, value: object) -> None:
    """Every value with its type and length, so that no two run into the same bytes."""
    if isinstance(value, np.ndarray):
        total.update(f"array {value.dtype.str} {value.shape};".encode())
        total.update(value.tobytes())
    elif attrs.has(kind := type(value)):
        total.update(f"{kind.__name__} ".encode())
        _add(total, [getattr(value, item.name) for item in attrs.fields(kind)])
    elif isinstance(value, list | tuple):
        total.update(f"sequence {len(value)};".encode())
        for item in value:
            _add(total, item)
    elif value is None or isinstance(value, bool | int | float | str | bytes):
        text = repr(value).encode()
        total.update(f"{type(value).__name__} {len(text)};".encode())
        total.update(text)
    else:
        raise TypeError(f"digest: no digest of a {type(value).__name__}")


def _code() -> str:
    """A digest of the sources and of the versions of what they compute with."""
    package = Path(__file__).resolve().parent.parent
    roots = [*(package / name for name in _CODE), Path(uni4d_shared.__file__).resolve().parent]
    files = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    sources = [(path.name, path.read_bytes()) for path in files if path.suffix in (".py", ".c", ".h")]
    return digest([torch.__version__, np.__version__, sources])
