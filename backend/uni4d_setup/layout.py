"""Where things are: the repository's folders and the person's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = [
    "ADDON",
    "BACKEND",
    "DIST",
    "LOCAL_CACHE",
    "ROOT",
    "SHARED",
    "VENV",
    "VENV_BPY",
    "user_cache",
    "venv_program",
]

ROOT = Path(__file__).resolve().parents[2]
ADDON = ROOT / "blender_addon"
BACKEND = ROOT / "backend"
SHARED = ROOT / "shared"
DIST = ROOT / "dist"
VENV = ROOT / ".venv"
"""The backend, its tools and the tests."""
VENV_BPY = ROOT / ".venv-bpy"
"""Blender as a Python module; Blender 5.0 asks for exactly Python 3.11."""
LOCAL_CACHE = ROOT / ".cache"
"""What belongs to this clone: downloaded wheels, the add-on's dependencies, logs."""


def user_cache() -> Path:
    """The folder that all clones share; the same rule as ``uni4d.config`` (platformdirs)."""
    override = os.environ.get("UNI4D_CACHE")
    if override:
        return Path(override)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "uni4d"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        return Path(base) / "uni4d" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uni4d"


def venv_program(venv: Path, name: str) -> Path:
    """The path of an installed command of a virtual environment."""
    if sys.platform == "win32":
        return venv / "Scripts" / f"{name}.exe"
    return venv / "bin" / name
