"""Where the add-on's Python packages come from when Blender's own Python does not have them.

An extension (4.2 and later) has its wheels installed by Blender, and this module finds everything in
place. The legacy zip carries them in ``vendor/<tag>/``, ``tag`` being e.g. ``cp311-linux-x64``, plus
``vendor/any/`` for pure Python. A source tree has ``uni4d_shared`` beside this folder, and takes the rest
from the folders that ``headless.py --deps`` names.

Folders are appended, never put first: what Blender brings (numpy above all) keeps winning.
"""

from __future__ import annotations

import importlib.util
import platform
import site
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["MissingDependencyError", "ensure", "platform_tag"]

PACKAGES = ("attr", "cattrs", "msgpack", "numpy", "zmq", "uni4d_shared")


class MissingDependencyError(ImportError):
    """Some package cannot be imported; the text says which, and the cure."""


def platform_tag() -> str:
    """The folder name of this Python's compiled packages, with Blender's name of the platform."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine, machine)
    return f"cp{sys.version_info.major}{sys.version_info.minor}-{system}-{machine}"


def ensure(folders: Iterable[Path] = ()) -> None:
    """Make :data:`PACKAGES` importable from Blender's Python, ``folders``, or this add-on's ``vendor/``."""
    here = Path(__file__).resolve().parent
    vendor = here / "vendor"
    for folder in (*folders, vendor / platform_tag(), vendor / "any", here.parent / "shared"):
        if _missing() and folder.is_dir():
            site.addsitedir(str(folder))  # appends, and honours .pth files
            importlib.invalidate_caches()
    missing = _missing()
    if missing:
        raise MissingDependencyError(
            f"Uni4D lacks the Python packages {', '.join(missing)} (Python {sys.version.split()[0]}, "
            f"{platform_tag()}). Install the zip that was built for this Blender and system, or name a "
            "folder that holds them with --deps."
        )


def _missing() -> list[str]:
    return [name for name in PACKAGES if importlib.util.find_spec(name) is None]
