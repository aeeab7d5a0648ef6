"""A textured mesh as splats: even over the area, flat in the triangles' planes, coloured by the texture.

The surface is covered with many candidate points, and these are grouped by Lloyd's algorithm (k-means on
place and normal) into as many cells as there shall be splats. A cell says all about its splat: the centre is
where it lies, the spread of the cell is its covariance (long and narrow on a rod or along an edge), and the
mean colour is the texture at just that footprint, which is what a mip level stands for. Centres of Lloyd's
cells are spread like blue noise: no gaps, no clumps.

Surface that cannot be seen from outside (:mod:`uni4d.splatting.exposure`) gets fewer and larger splats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.splatting.binding import BoundSplats, quaternions_from_matrices
from uni4d.splatting.exposure import exposed
from uni4d.splatting.model import SplatParameters

if TYPE_CHECKING:  # the library renders with this package
    from uni4d.library.geometry import SurfaceSamples, TexturedMesh

__all__ = ["splats_from_mesh"]

Array = NDArray[Any]

_MOST_CANDIDATES = 800_000
"""Of many splats each gets fewer points than asked for, but never less than four."""
_ROUNDS = 2
_HIDDEN_DENSITY = 0.5
"""Splats per area on surface that nobody sees, relative to the rest."""
_NORMAL_UNIT = 0.7
"""Normals at right angles are as far apart as points at √2 times this, in units of the spacing."""
_SPREAD = 1.95
"""Standard deviation of a splat in units of that of its cell: neighbours form an opaque skin."""
_RANDOM_SPREAD = 2.4
"""The same where splats lie at random and leave gaps."""
_PRIOR = 3.0
"""Points of a square cell of the same area that are mixed into each cell's covariance."""
_FLATTEST = 0.1
_THICKNESS = 0.1
"""Standard deviation along the normal, in units of the mean one along the surface."""
_MAX_OPACITY = 0.97


def splats_from_mesh(mesh: TexturedMesh, count: int, seed: int = 0, *, candidates: int = 12) -> BoundSplats:
    """``count`` splats on the surface of ``mesh``, each bound to its triangle, in the triangles' order.

    ``candidates`` points per splat; with 1 every point is a splat: round, at random, and in no time.
    Single-sided sheets need nothing special: splats have no back. Glass keeps the opacity of its material.
    """
    if count < 1 or candidates < 1:
        raise ValueError(
            f"splats_from_mesh: count and candidates must be positive, got {count} and {candidates}"
        )
    from uni4d.library.geometry import sample_surface

    total = count * min(candidates, max(4, _MOST_CANDIDATES // count))
    samples = sample_surface(mesh, total, seed)
    area = float(mesh.face_areas.sum())
    if candidates == 1:
        centres = cells = np.arange(count)
    else:
        seen = exposed(samples.points.astype(np.float64), math.sqrt(area / total))
        weights = np.where(seen, 1.0, _HIDDEN_DENSITY)
        centres, cells = _lloyd(samples, weights, count, math.sqrt(area / count), seed)
    axes, deviations = _spreads(samples, centres, cells, area / total)
    deviations *= _RANDOM_SPREAD if candidates == 1 else _SPREAD
    thickness = _THICKNESS * deviations.mean(axis=1, keepdims=True)
    colors = _means(samples.colors, cells, centres)
    opacities = _means(samples.opacities[:, None], cells, centres)[:, 0]
    splats = SplatParameters.from_activated(
        means=torch.from_numpy(samples.points[centres]),
        quaternions=quaternions_from_matrices(_tensor(axes)),
        scales=_tensor(np.concatenate([deviations, thickness], axis=1)),
        opacities=_tensor(opacities).clamp(max=_MAX_OPACITY),
        colors=_tensor(colors).clamp(0.0, 1.0),
    )
    return BoundSplats(
        splats,
        vertices=_tensor(mesh.vertices),
        faces=torch.from_numpy(np.ascontiguousarray(mesh.faces, dtype=np.int64)),
        face_index=torch.from_numpy(samples.face_index[centres].astype(np.int64)),
        barycentric=torch.from_numpy(samples.barycentric[centres]),
    )


def _means(values: Array, cells: Array, centres: Array) -> Array:
    """``[N, K]`` of ``values`` ``[M, K]`` over each cell; an empty cell has what its centre has."""
    count = len(centres)
    members = np.bincount(cells, minlength=count)[:, None]
    sums = np.stack([np.bincount(cells, column, count) for column in values.T.astype(np.float64)], axis=1)
    means: Array = np.where(members > 0, sums / np.maximum(members, 1), values[centres])
    return means


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))


def _lloyd(
    samples: SurfaceSamples, weights: Array, count: int, spacing: float, seed: int
) -> tuple[Array, Array]:
    """Centres ``[N]`` (indices of candidates, ascending) and each candidate's cell ``[M]``."""
    from scipy.spatial import cKDTree

    places = np.concatenate([samples.points / spacing, _NORMAL_UNIT * samples.normals], axis=1)
    total = np.cumsum(weights)
    draws = (np.arange(count) + np.random.default_rng(seed).random(count)) / count * total[-1]
    centres = np.minimum(np.searchsorted(total, draws, side="right"), len(weights) - 1)
    for _ in range(_ROUNDS):
        cells = cKDTree(places[centres]).query(places)[1]
        mass = np.maximum(np.bincount(cells, weights, count), 1e-12)
        middles = np.stack([np.bincount(cells, weights * p, count) / mass for p in places.T], axis=1)
        centres = _nearest_members(places, middles, cells, centres)
    centres = np.sort(centres)
    return centres, cKDTree(places[centres]).query(places)[1]


def _nearest_members(places: Array, middles: Array, cells: Array, centres: Array) -> Array:
    """For each cell its candidate nearest to the middle; an empty cell keeps its centre."""
    distances = np.square(places - middles[cells]).sum(axis=1)
    order = np.lexsort((distances, cells))
    first = np.flatnonzero(np.diff(cells[order], prepend=-1))
    chosen = centres.copy()
    chosen[cells[order[first]]] = order[first]
    return chosen


def _spreads(samples: SurfaceSamples, centres: Array, cells: Array, area_each: float) -> tuple[Array, Array]:
    """Axes ``[N, 3, 3]`` (columns: long, short, normal) and standard deviations ``[N, 2]`` of the cells."""
    count = len(centres)
    normals = samples.normals[centres].astype(np.float64)
    helper = np.eye(3)[np.argmin(np.abs(normals), axis=1)]
    first = np.cross(normals, helper)
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    second = np.cross(normals, first)
    away = (samples.points - samples.points[centres][cells]).astype(np.float64)
    x, y = np.einsum("mk,mk->m", away, first[cells]), np.einsum("mk,mk->m", away, second[cells])
    members = np.bincount(cells, minlength=count).astype(np.float64)
    prior = _PRIOR * np.maximum(members, 1.0) * area_each / 12.0
    covariance = np.empty((count, 2, 2))
    covariance[:, 0, 0] = np.bincount(cells, x * x, count) + prior
    covariance[:, 1, 1] = np.bincount(cells, y * y, count) + prior
    covariance[:, 0, 1] = covariance[:, 1, 0] = np.bincount(cells, x * y, count)
    variances, vectors = np.linalg.eigh(covariance / (members + _PRIOR)[:, None, None])
    deviations = np.sqrt(np.maximum(variances, 0.0))[:, ::-1]
    deviations = np.maximum(deviations, _FLATTEST * deviations[:, :1])
    long = vectors[:, :1, 1] * first + vectors[:, 1:, 1] * second
    axes = np.stack([long, np.cross(normals, long), normals], axis=2)
    return axes, deviations
