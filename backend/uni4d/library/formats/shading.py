"""Shading normals for meshes whose files give none (two thirds of Sweet Home 3D's models)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["corner_normals"]

Array = NDArray[Any]

_CREASE_COSINE = float(np.cos(np.radians(44.0)))
"""Faces that meet at a sharper angle keep an edge (Sweet Home 3D's own viewer uses 44° too)."""

_MAX_DEGREE = 48
"""Corners in one place up to which every pair of faces is compared; beyond it the mean decides."""


def corner_normals(positions: Array, faces: Array, flat: Array) -> Array:
    """Unit normals ``[F, 3, 3]`` per face corner: smooth within the crease angle, edges kept.

    Args:
        positions: ``[P, 3]``.
        faces: ``[F, 3]`` indices; corners in one place share an index, or at least a position.
        flat: ``[F]`` faces that take no part in smoothing.
    """
    a, b, c = np.moveaxis(positions[faces], 1, 0)
    weighted = np.cross(b - a, c - a)  # length = 2 × area: large faces weigh more
    length = np.linalg.norm(weighted, axis=1, keepdims=True)
    unit = np.where(length > 1e-30, weighted / np.maximum(length, 1e-30), (0.0, 1.0, 0.0))
    result = np.repeat(unit[:, None], 3, axis=1)
    smooth = np.flatnonzero(~flat)
    if len(smooth) == 0:
        return result
    place = faces[smooth].reshape(-1)
    owner = np.repeat(smooth, 3)
    order = np.argsort(place, kind="stable")
    owner, counts = owner[order], np.unique(place, return_counts=True)[1]
    starts = np.cumsum(counts) - counts
    sums = np.add.reduceat(weighted[owner], starts, axis=0)
    corner_sum = np.repeat(sums, counts, axis=0)
    for degree in np.unique(counts[counts <= _MAX_DEGREE]):
        rows = starts[counts == degree][:, None] + np.arange(degree)  # [n, d]
        mine = unit[owner[rows]]
        near = np.einsum("nac,nbc->nab", mine, mine) >= _CREASE_COSINE
        corner_sum[rows] = np.einsum("nab,nbc->nac", near, weighted[owner[rows]])
    length = np.linalg.norm(corner_sum, axis=1, keepdims=True)
    smoothed = corner_sum / np.maximum(length, 1e-30)
    crowded = np.repeat(counts > _MAX_DEGREE, counts)
    astray = (length[:, 0] < 1e-30) | (
        crowded & (np.einsum("nc,nc->n", smoothed, unit[owner]) < _CREASE_COSINE)
    )
    smoothed[astray] = unit[owner[astray]]
    scattered = np.empty_like(smoothed)
    scattered[order] = smoothed
    result[smooth] = scattered.reshape(-1, 3, 3)
    return result
