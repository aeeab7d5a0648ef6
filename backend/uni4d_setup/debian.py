"""System packages through apt: installed where we are root, else named in a clear error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError

__all__ = [
    "BLENDER_LIBRARIES",
    "COMPILER",
    "NEWEST_BLENDER",
    "TEST_BLENDER",
    "can_install",
    "has_apt",
    "install",
    "missing",
]

BLENDER_LIBRARIES = [
    "libx11-6",
    "libxrender1",
    "libxfixes3",
    "libxi6",
    "libxkbcommon0",
    "libsm6",
    "libice6",
    "libgl1",
    "libegl1",
    "libxxf86vm1",
    "libgomp1",
]
"""What Blender as a Python module links to."""
COMPILER = ["gcc", "libc6-dev", "libgomp1"]
"""The splat rasteriser's C kernel is compiled on first use."""
TEST_BLENDER = [
    "blender",
    "python3-numpy",
    "xvfb",
    "xauth",
    "xserver-xorg-core",
    "xserver-xorg-video-dummy",
    "libegl1",
    "libgl1-mesa-dri",
    "xdotool",
    "imagemagick",
]
"""Debian's Blender, two virtual displays and what drives and photographs a window on them."""
NEWEST_BLENDER = ["mmdebstrap"]


def has_apt() -> bool:
    """Whether this is a Debian-like system."""
    return shutil.which("apt-get") is not None and shutil.which("dpkg-query") is not None


def can_install() -> bool:
    """Whether packages can be installed from here."""
    return has_apt() and hasattr(os, "geteuid") and os.geteuid() == 0


def missing(packages: Sequence[str]) -> list[str]:
    """Those of ``packages`` that are not installed."""
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in answer.stdout.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install(packages: Sequence[str], reason: str) -> None:
    """Install what is missing; where that cannot be done, an error with ``reason`` and the command."""
    line = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not has_apt():
        raise SetupError(
            reason, f"Install what Debian calls {', '.join(packages)} with your package manager."
        )
    absent = missing(packages)
    if not absent:
        return
    if not can_install():
        raise SetupError(reason, f"Run as root: {line}")
    names = " ".join(absent)
    with Step(f"System packages {names if len(names) < 60 else f'({len(absent)})'}") as step:
        command = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        if step.attempt([*command, *absent], env=environment) != 0:
            # The package lists of a fresh or long unused machine are absent or stale.
            step.run(["apt-get", "update"], env=environment)
            step.run([*command, *absent], cure=f"{reason}\nTry by hand: {line}", env=environment)
