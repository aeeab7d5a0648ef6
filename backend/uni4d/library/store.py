"""Files of a library, each under the hash of what it was made from.

A name is a function of its ingredients (the asset's fingerprint, the version of the conversion), so a
file is never out of date: other ingredients are another file. Writing is atomic.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

__all__ = ["Store"]


class Store:
    """Files below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, suffix: str, *ingredients: str) -> Path:
        """Where the file made from ``ingredients`` is, or would be."""
        key = hashlib.sha256("\0".join(ingredients).encode()).hexdigest()[:32]
        return self._root / key[:2] / f"{key}{suffix}"

    def write(self, path: Path, data: bytes) -> None:
        """Write ``path`` whole or not at all, also when several processes do it at once."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            partial.chmod(0o644)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
