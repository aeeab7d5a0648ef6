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


def triangulate(
    polygons: Sequence[Sequence[int]], positions: Array, *, exact: bool = True
) -> tuple[Array, Array]:
    """Triangles ``[F, 3]`` of polygons given as indices into ``positions`` ``[P, 3]``.

    Also returns ``[F]``, the polygon that each triangle came from. Unless ``exact``, concave polygons are
    filled as fans, too.
    """
    by_size: dict[int, list[int]] = {}
    for number, polygon in enumerate(polygons):
        by_size.setdefault(len(polygon), []).append(number)
    triangles: list[Array] = []
    origins: list[Array] = []
    for size, numbers in sorted(by_size.items()):
        corners = np.array([polygons[number] for number in numbers], dtype=np.int64)
        fan = np.stack([corners[:, [0, i, i + 1]] for i in range(1, size - 1)], axis=1)  # [n, size-2, 3]
        if exact and 3 < size <= _MAX_CLIPPED:
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


def _clip_ears(points: Array) -> list[list[int]]:
    """Triangles ``[k − 2][3]`` of one simple polygon ``[k, 3]`` (Meisters 1975), in plain Python.

    Polygons have a handful of corners: numpy's cost per call would be ten times the arithmetic.
    """
    normal = _newell((points - points[0])[None])[0]
    axis = int(np.argmax(np.abs(normal)))
    first, second = ((1, 2), (2, 0), (0, 1))[axis]
    if normal[axis] < 0:
        first, second = second, first
    flat: list[tuple[float, float]] = [(float(point[first]), float(point[second])) for point in points]
    remaining = list(range(len(flat)))
    triangles = []
    while len(remaining) > 3:
        place = _first_ear(flat, remaining)
        triangles.append([remaining[place - 1], remaining[place], remaining[(place + 1) % len(remaining)]])
        del remaining[place]
    triangles.append(remaining)
    return triangles


def _first_ear(flat: list[tuple[float, float]], remaining: list[int]) -> int:
    """The place in ``remaining`` of a corner that can be cut off; the widest one if none is clean."""
    count, widest, best = len(remaining), float("-inf"), 0
    for place in range(count):
        a = flat[remaining[place - 1]]
        b = flat[remaining[place]]
        c = flat[remaining[(place + 1) % count]]
        area = _turn(a, b, c)
        if area > widest:
            widest, best = area, place
        if area > 0 and not any(
            _turn(a, b, p) >= 0 and _turn(b, c, p) >= 0 and _turn(c, a, p) >= 0
            for p in (flat[index] for index in remaining)
            if p not in (a, b, c)
        ):
            return place
    return best


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Twice the signed area of a triangle; positive when it runs counter-clockwise."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
