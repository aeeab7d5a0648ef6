"""The renders of Microsoft's Fluent emoji: 3,391 small pictures of single things, for breadth in training.

They are in the npm package ``@lobehub/fluent-emoji-3d`` (MIT), which the npm client downloads into the cache
once. One version is pinned by its digest, so that everybody learns from the same pictures;
:mod:`uni4d.training.named_pictures` gives them names.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from uni4d.config import default_cache
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = ["fetch_emoji"]

_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
_SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
_SECONDS = 600
_CURE = f"Unpack the npm package {_PACKAGE} by hand, and pass its folder as --pictures FOLDER."


def fetch_emoji(progress: Progress) -> Path:
    """The folder with the pictures (16 MB); downloaded with npm when it is not in the cache yet."""
    target = default_cache() / "sources" / "fluent-emoji-3d-1.1.0"
    if target.is_dir():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise Uni4DError(
            "npm-missing",
            f"npm cannot be found, so {_PACKAGE} cannot be downloaded.",
            f"Install npm. {_CURE}",
        )
    progress(0.0, f"downloading {_PACKAGE}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
        unpack_package(_downloaded(npm, Path(name)), Path(name) / "unpacked", _SHA256)
        (Path(name) / "unpacked").rename(target)
    return target


def unpack_package(archive: Path, target: Path, sha256: str) -> None:
    """Unpack what npm gave if it is what it shall be; ``Uni4DError("download-failed")`` otherwise."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != sha256:
        raise Uni4DError(
            "download-failed", f"{archive.name} has the digest {digest}, not {sha256}.", f"Try again. {_CURE}"
        )
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")


def _downloaded(npm: str, folder: Path) -> Path:
    command = [npm, "pack", _PACKAGE, "--silent", "--cache", str(folder / "npm")]
    try:
        done = subprocess.run(
            command, check=False, cwd=folder, capture_output=True, text=True, timeout=_SECONDS
        )
        failure = "" if done.returncode == 0 else done.stderr.strip()[-300:] or f"exit code {done.returncode}"
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = str(error)
    archives = sorted(folder.glob("*.tgz"))
    if failure or len(archives) != 1:
        reason = failure or "npm gave no archive"
        raise Uni4DError("download-failed", f"{_PACKAGE} could not be downloaded: {reason}", _CURE)
    return archives[0]
