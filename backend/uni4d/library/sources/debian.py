"""Debian packages as data: downloaded with ``apt-get download`` and unpacked with ``dpkg -x``, no root."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = ["fetch_packages"]


def fetch_packages(
    packages: Sequence[str], target: Path, cure: str, progress: Progress, expected_bytes: int
) -> None:
    """Download ``packages`` and unpack them to ``target``, all or nothing.

    Where the machine's package lists are empty (a fresh container) or old, lists of our own are fetched
    beside ``target``; the machine's are left alone. ``expected_bytes`` scales the progress.
    """
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise Uni4DError(
            "apt-missing",
            f"{' and '.join(missing)} cannot be found, so {', '.join(packages)} cannot be downloaded.",
            cure,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
        folder = Path(name)
        progress(0.0, f"downloading {', '.join(packages)}")
        download = ["apt-get", "download", *packages]
        failure = _run(download, folder, progress, expected_bytes)
        if failure:
            own = _own_lists(folder)
            _run(["apt-get", *own, "update"], folder, progress, 0)
            failure = _run(["apt-get", *own, "download", *packages], folder, progress, expected_bytes)
        archives = sorted(folder.glob("*.deb"))
        if failure or len(archives) != len(packages):
            raise Uni4DError(
                "download-failed",
                f"{', '.join(packages)} could not be downloaded: {failure or 'apt-get gave no file'}",
                cure,
            )
        for number, archive in enumerate(archives):
            progress(0.9 + 0.1 * number / len(archives), f"unpacking {archive.name.partition('_')[0]}")
            failure = _run(["dpkg", "-x", str(archive), "unpacked"], folder, progress, 0)
            if failure:
                raise Uni4DError("download-failed", f"{archive.name} cannot be unpacked: {failure}", cure)
        shutil.rmtree(target, ignore_errors=True)
        (folder / "unpacked").rename(target)
    progress(1.0, "unpacked")


def _own_lists(folder: Path) -> list[str]:
    """apt-get options for package lists and caches in ``folder`` instead of the machine's."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = {
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",  # apt would change to its own user, who may not write here
        "Acquire::Languages": "none",
    }
    return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]


def _run(command: list[str], folder: Path, progress: Progress, expected_bytes: int) -> str:
    """Run ``command`` in ``folder``; ``""`` when it succeeds, else its last words. Cancellation ends it."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                if expected_bytes:
                    done = sum(file.stat().st_size for file in folder.glob("*.deb"))
                    progress(min(0.9 * done / expected_bytes, 0.9), f"downloading ({done / 1e6:.0f} MB)")
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode == 0:
        return ""
    lines = log.read_text(errors="replace").strip().splitlines()
    return " ".join(lines[-3:]) or f"{command[0]} ended with status {process.returncode}"
