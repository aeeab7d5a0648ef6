"""Small meshes written by hand, as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["CUBE", "CUBE_MTL", "checks_png", "write_cube"]

CUBE = """mtllib cube.mtl
v -1 0 -1
v 1 0 -1
v 1 0 1
v -1 0 1
v -1 2 -1
v 1 2 -1
v 1 2 1
v -1 2 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl checks
f 4/1 3/2 7/3 8/4
usemtl red
f 2 1 5 6
f 1 2 3 4
f 5 8 7 6
f 3 2 6 7
f 1 4 8 5
"""
"""A cube of 2 units, Y-up, on the ground; its front (+Z) has a texture, the other sides are red."""

CUBE_MTL = "newmtl checks\nKd 0.1 0.1 0.1\nmap_Kd checks.png\nnewmtl red\nKd 0.8 0.1 0.1\nd 1.0\n"


def checks_png(pixels: NDArray[Any] | None = None) -> bytes:
    """A PNG of 64×64 pixels: top left green, top right blue, bottom left white, bottom right black."""
    if pixels is None:
        quarters = np.array([[[0, 255, 0], [0, 0, 255]], [[255, 255, 255], [0, 0, 0]]], dtype=np.uint8)
        pixels = quarters.repeat(32, axis=0).repeat(32, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_cube(folder: Path, name: str = "cube") -> Path:
    """``name.obj`` with its material and texture in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cube.mtl").write_text(CUBE_MTL)
    (folder / "checks.png").write_bytes(checks_png())
    path = folder / f"{name}.obj"
    path.write_text(CUBE)
    return path
