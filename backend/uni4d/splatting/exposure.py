"""Which parts of a surface can be seen from outside at all.

Meshes of furniture are full of hidden surface: the inside of a drawer, the back of every key of a piano, two
shells where one is seen. Splats there are not wasted (a drawer may open), but they need not lie close.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["exposed"]

Array = NDArray[Any]

_CELL = 2.0
"""Side of a depth buffer's cell, in units of the points' mean spacing: nearly every cell gets a point."""
_TOLERANCE = 2.0
"""Points so many cells behind the foremost still count as seen: the surface may be steep."""
_DIRECTIONS_NEEDED = 2
"""Of 26; a single line of sight through a crack does not count."""


def exposed(points: Array, spacing: float) -> Array:
    """``[N]`` bool: whether each of ``points`` ``[N, 3]``, about ``spacing`` apart, is seen from afar.

    The points are drawn into a depth buffer from each of 26 directions (faces, edges and corners of a cube).
    Sheets have no back: a point counts from both sides.
    """
    directions = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], dtype=np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    cell = _CELL * spacing
    seen = np.zeros(len(points), dtype=np.int64)
    for direction in directions:
        helper = np.eye(3)[np.argmin(np.abs(direction))]
        across = np.cross(direction, helper)
        across /= np.linalg.norm(across)
        plane = points @ np.stack([across, np.cross(direction, across)], axis=1)
        cells = np.floor((plane - plane.min(axis=0)) / cell).astype(np.int64)
        index = cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1]
        depth = points @ direction
        foremost = np.full(int(index.max()) + 1, np.inf)
        np.minimum.at(foremost, index, depth)
        seen += depth < foremost[index] + _TOLERANCE * cell
    visible: Array = seen >= _DIRECTIONS_NEEDED
    return visible
