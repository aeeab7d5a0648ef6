"""Loose pieces of a mesh: which there are, and where they touch.

A toy's head lies on its neck, a sleeve's end sticks in a shoulder, and no triangle joins them. Where two
pieces touch they are held together at one place, a joint, about which they may turn.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["Joint", "edge_graph", "joints_between", "pieces_of"]

Array = NDArray[Any]

_SAMPLES = 20_000
"""Points of the surface among which places are looked for where pieces touch."""


class Joint(NamedTuple):
    """Where two pieces touch, or come nearest."""

    pieces: tuple[int, int]
    place: Array
    """``[3]``"""


def edge_graph(points: Array, faces: Array) -> csr_matrix:
    """The edges of ``faces`` ``[F, 3]`` between ``points`` ``[M, 3]``, by their lengths."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
    lengths = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    # a stored zero would read as "no edge"
    entries = np.maximum(lengths, 1e-300), (ends[:, 0], ends[:, 1])
    return coo_matrix(entries, shape=(len(points), len(points))).tocsr()


def pieces_of(points: Array, faces: Array, least: float, most: int) -> Array:
    """``[M]`` int: the connected piece of each of ``points`` ``[M, 3]``, numbered by size, largest first.

    What is less than ``least`` across, or not among the ``most`` largest, is of the larger piece that is
    nearest to it, as an eye is of a head.
    """
    label = connected_components(edge_graph(points, faces), directed=False)[1]
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    low, high = (ends.reduceat(points[order], starts) for ends in (np.minimum, np.maximum))
    sizes = np.linalg.norm(high - low, axis=1)
    rank = np.empty(len(sizes), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    large = min(max(int((sizes >= least).sum()), 1), most)
    pieces = rank[label]
    small = np.flatnonzero(pieces >= large)
    kept = np.flatnonzero(pieces < large)
    gaps, nearest = cKDTree(points[kept]).query(points[small])
    order = np.lexsort((gaps, pieces[small]))
    own, first = np.unique(pieces[small][order], return_index=True)
    holder = np.arange(len(sizes))
    holder[own] = pieces[kept[nearest[order[first]]]]
    return holder[pieces]


def joints_between(points: Array, faces: Array, pieces: Array) -> list[Joint]:
    """Where ``pieces`` ``[M]`` of ``points`` ``[M, 3]`` touch, and as many more joints, each across the
    narrowest gap, as it takes to hold all of them together. Deterministic."""
    count = int(pieces.max()) + 1
    if count < 2:
        return []
    places, owner, spacing = _surface(points, faces, pieces)
    touching = _touching(*_thinned(places, owner, spacing / 2), spacing)
    return touching + _bridges(places, owner, count, [joint.pieces for joint in touching])


def _surface(points: Array, faces: Array, pieces: Array) -> tuple[Array, Array, float]:
    """Corners of all triangles and points between, ``[S, 3]``; their pieces ``[S]``; the spacing."""
    mesh = trimesh.Trimesh(points, faces, process=False)
    samples, index = trimesh.sample.sample_surface(mesh, _SAMPLES, seed=0)
    corners = np.unique(faces)
    corners = corners[:: max(len(corners) // _SAMPLES, 1)]
    places = np.concatenate([points[corners], samples])
    owner = np.concatenate([pieces[corners], pieces[faces[index, 0]]])
    return places, owner, float(np.sqrt(mesh.area / _SAMPLES))


def _thinned(places: Array, owner: Array, cell: float) -> tuple[Array, Array]:
    """One place of each piece in every cell of a grid: a fine detail has thousands in one."""
    cells = np.floor((places - places.min(axis=0)) / cell).astype(np.int64)
    _, kept = np.unique(np.column_stack([cells, owner]), axis=0, return_index=True)
    kept.sort()
    return places[kept], owner[kept]


def _touching(places: Array, owner: Array, reach: float) -> list[Joint]:
    """The middle of what is nearer than ``reach``, of each two pieces."""
    pairs = cKDTree(places).query_pairs(reach, output_type="ndarray")
    ends = owner[pairs]
    apart = ends[:, 0] != ends[:, 1]
    pairs, ends = pairs[apart], np.sort(ends[apart], axis=1)
    if len(pairs) == 0:
        return []
    middles = places[pairs].mean(axis=1)
    kinds, which = np.unique(ends, axis=0, return_inverse=True)
    order = np.argsort(which.reshape(-1), kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(which.reshape(-1), minlength=len(kinds)))[:-1])
    return [
        Joint((int(a), int(b)), middles[own].mean(axis=0)) for (a, b), own in zip(kinds, groups, strict=True)
    ]


def _bridges(places: Array, owner: Array, count: int, known: list[tuple[int, int]]) -> list[Joint]:
    """From the smallest group of pieces to what is nearest to it, until there is one group."""
    links = list(known)
    found: list[Joint] = []
    while True:
        ends = np.array(links, dtype=np.int64).reshape(-1, 2)
        graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
        groups, label = connected_components(graph, directed=False)
        if groups == 1:
            return found
        own = label[owner]
        inside = own == np.argmin(np.bincount(own, minlength=groups))
        gaps, nearest = cKDTree(places[~inside]).query(places[inside])
        here = int(gaps.argmin())
        ends_at = np.flatnonzero(inside)[here], np.flatnonzero(~inside)[nearest[here]]
        pieces = (int(owner[ends_at[0]]), int(owner[ends_at[1]]))
        links.append(pieces)
        found.append(Joint(pieces, places[list(ends_at)].mean(axis=0)))
