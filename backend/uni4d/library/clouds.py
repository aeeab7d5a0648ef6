"""Meshes as coloured point clouds, the form in which point encoders read shape.

Points lie on the surface in proportion to area, Y-up, centred, in the unit ball, as Uni3D takes them; see
:mod:`uni4d_shared.conventions`. Stored clouds are quantised: 16 bits a coordinate (an error below 2·10⁻⁵),
8 bits a colour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.geometry import TexturedMesh, sample_surface
from uni4d_shared.conventions import uni3d_cloud_from_world

__all__ = ["Cloud", "cloud_from_mesh", "packed", "unpacked"]

Array = NDArray[Any]

_STEPS = 32_767


@frozen(eq=False)
class Cloud:
    """One object's surface as points."""

    points: Array
    """``[N, 3]`` float32, Y-up, in the unit ball."""
    colors: Array
    """``[N, 3]`` float32 sRGB in [0, 1]."""


def cloud_from_mesh(mesh: TexturedMesh, count: int, seed: int = 0) -> Cloud:
    """``count`` points of the mesh's surface, in random order (a prefix is a smaller sample of the whole).

    ``Uni4DError("mesh-unreadable")`` when the mesh has no surface.
    """
    samples = sample_surface(mesh, count, seed)
    order = np.random.default_rng(seed).permutation(count)
    points = uni3d_cloud_from_world(samples.points[order])
    return Cloud(points.astype(np.float32), samples.colors[order].astype(np.float32))


def packed(cloud: Cloud) -> bytes:
    """A cloud as bytes: N × 3 int16 coordinates, then N × 3 uint8 colours, little-endian."""
    points = np.round(np.clip(cloud.points, -1.0, 1.0) * _STEPS).astype("<i2")
    colors = np.round(np.clip(cloud.colors, 0.0, 1.0) * 255.0).astype(np.uint8)
    return points.tobytes() + colors.tobytes()


def unpacked(data: bytes) -> Cloud:
    """What :func:`packed` wrote; ``ValueError`` when the length fits no cloud."""
    count, rest = divmod(len(data), 9)
    if rest:
        raise ValueError(f"a packed cloud has 9 bytes a point; got {len(data)} bytes")
    points = np.frombuffer(data, "<i2", 3 * count).reshape(count, 3).astype(np.float32) / _STEPS
    colors = np.frombuffer(data, np.uint8, 3 * count, offset=6 * count).reshape(count, 3)
    return Cloud(points, colors.astype(np.float32) / 255.0)
