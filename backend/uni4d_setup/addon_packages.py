"""The packages that the add-on needs inside Blender's own Python, at the versions that are shipped."""

from __future__ import annotations

__all__ = ["PLATFORMS", "PURE", "requirements"]

COMPILED = {"pyzmq": "27.3.0", "msgpack": "1.2.4"}
"""These have one wheel per platform and Python."""
PURE = {"attrs": "26.1.0", "cattrs": "26.2.1", "typing_extensions": "4.16.0"}
_BEFORE_3_11 = {"exceptiongroup": "1.3.0"}

PLATFORMS = {
    "linux-x64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_10_15_x86_64",),
}
"""Blender's names of the platforms, and pip's names of the wheels that run there."""


def requirements(python: tuple[int, int]) -> list[str]:
    """Pinned requirements for a Python version; complete, to be installed without dependencies."""
    pins = {**COMPILED, **PURE, **(_BEFORE_3_11 if python < (3, 11) else {})}
    return [f"{name}=={version}" for name, version in pins.items()]
