"""A :class:`~uni4d_shared.types.ViewSet` as files that people and other programs read.

``view_00.png …`` (8-bit RGBA), ``transforms.json`` (see :func:`uni4d_shared.cameras.write_transforms`)
and ``depth.npz`` (``depth``: float32 ``[V, H, W]``, metres, ``inf`` where nothing is).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uni4d_shared.cameras import write_transforms
from uni4d_shared.types import ViewSet

__all__ = ["write_png", "write_views"]


def write_views(folder: Path, views: ViewSet) -> None:
    """Write the three kinds of files into ``folder``; photographs of an earlier, longer set are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("view_*.png"):
        old.unlink()
    names = [f"view_{index:02d}.png" for index in range(len(views.images))]
    for name, image in zip(names, views.images, strict=True):
        write_png(folder / name, image)
    np.savez_compressed(folder / "depth.npz", depth=views.depth)
    write_transforms(folder / "transforms.json", views.cameras, names)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write ``image [H, W, 4]`` byte for byte (Blender's writer would manage its colours)."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)  # each row starts with its filter type, 0: none
    rows[:, 1:] = image.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits, RGBA
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"sRGB", b"\0")
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
