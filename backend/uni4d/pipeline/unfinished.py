"""Where a server keeps fits that were interrupted, so that the same request goes on instead of anew."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from uni4d.config import ServeConfig
from uni4d_shared.codec import encode
from uni4d_shared.messages import FitRequest

__all__ = ["KEEP_FITS", "unfinished_folder"]

KEEP_FITS = 4
"""Unfinished fits that are kept; older ones are forgotten."""


def unfinished_folder(config: ServeConfig, request: FitRequest) -> Path:
    """The folder for the checkpoint of ``request``, named after all that it says."""
    root = config.fits or config.jobs / "fits"
    total = hashlib.sha256()
    for frame in encode(request, id="key"):
        total.update(len(frame).to_bytes(8, "little"))
        total.update(frame)
    own = root / total.hexdigest()[:32]
    if root.is_dir():
        others = [path for path in root.iterdir() if path != own and path.is_dir()]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[KEEP_FITS - 1 :]:
            shutil.rmtree(path, ignore_errors=True)
    return own
