"""Polygons to triangles: fans for convex polygons, ear clipping for the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["triangulate"]

Array = NDArray[Any]

_MAX_CLIPPED = 512
"""Corners up to which a concave polygon is clipped exactly; beyond it a fan must do (clipping is cubic)."""


def triangulate(polygons: Sequence[Sequence[int]], positions: Array) -> tuple[Array, Array]:
    """Triangles ``[F, 3]`` of polygons given as indices into ``positions`` ``[P, 3]``.

    Also returns ``[F]``, the polygon that each triangle came from.
    """
    by_size: dict[int, list[int]] = {}
    for number, polygon in enumerate(polygons):
        by_size.setdefault(len(polygon), []).append(number)
    triangles: list[Array] = []
    origins: list[Array] = []
    for size, numbers in sorted(by_size.items()):
        corners = np.array([polygons[number] for number in numbers], dtype=np.int64)
        fan = np.stack([corners[:, [0, i, i + 1]] for i in range(1, size - 1)], axis=1)  # [n, size-2, 3]
        if 3 < size <= _MAX_CLIPPED:
            for index in np.flatnonzero(_concave(positions[corners])):
                fan[index] = corners[index][_clip_ears(positions[corners[index]])]
        triangles.append(fan.reshape(-1, 3))
        origins.append(np.repeat(numbers, size - 2))
    origin = np.concatenate(origins)
    order = np.argsort(origin, kind="stable")
    return np.concatenate(triangles)[order], origin[order]


def _newell(points: Array) -> Array:
    """Normals ``[n, 3]`` (not unit) of polygons ``[n, k, 3]`` by Newell's method."""
    return np.cross(points, np.roll(points, -1, axis=1)).sum(axis=1)


def _concave(points: Array) -> Array:
    """Which polygons ``[n, k, 3]`` have a corner that turns against the polygon's normal."""
    incoming = points - np.roll(points, 1, axis=1)
    turns = np.cross(incoming, np.roll(incoming, -1, axis=1))
    normal = _newell(points - points[:, :1])
    along = np.einsum("nkc,nc->nk", turns, normal)
    return (along < -1e-6 * np.abs(along).max(axis=1, keepdims=True)).any(axis=1)


def _clip_ears(points: Array) -> Array:
    """Triangles ``[k − 2, 3]`` of one simple polygon ``[k, 3]`` (Meisters 1975)."""
    normal = _newell((points - points[0])[None])[0]
    drop = int(np.argmax(np.abs(normal)))
    flat = np.delete(points, drop, axis=1) * (1 if (normal[drop] > 0) != (drop == 1) else -1) ** np.arange(2)
    remaining = list(range(len(points)))
    triangles = []
    while len(remaining) > 3:
        ear = _first_ear(flat, remaining)
        count = len(remaining)
        triangles.append([remaining[ear - 1], remaining[ear], remaining[(ear + 1) % count]])
        del remaining[ear]
    triangles.append(remaining)
    return np.array(triangles)


def _first_ear(flat: Array, remaining: list[int]) -> int:
    """The place in ``remaining`` of a corner that can be cut off; the widest one if none is clean."""
    ring = flat[remaining]
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    area = _cross(ring - before, after - ring)
    for place in np.flatnonzero(area > 0):
        a, b, c = before[place], ring[place], after[place]
        inside = (
            (_cross(b - a, ring - a) >= 0) & (_cross(c - b, ring - b) >= 0) & (_cross(a - c, ring - c) >= 0)
        )
        corner = (ring == a).all(axis=1) | (ring == b).all(axis=1) | (ring == c).all(axis=1)
        if not (inside & ~corner).any():
            return int(place)
    return int(np.argmax(area))


def _cross(left: Array, right: Array) -> Array:
    return left[..., 0] * right[..., 1] - left[..., 1] * right[..., 0]
