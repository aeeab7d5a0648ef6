"""Control nodes: a few points of the surface that carry all the rest.

Nodes are farthest points of the vertices. How near a vertex is to a node is measured along the surface, so
that one leg does not drag the other; across a gap (meshes come in many loose parts) it is three times the
straight line. Weights and the edges between nodes follow embedded deformation (Sumner et al. 2007).

Nothing here has a unit: sizes are relative to the distances found in the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial.distance import cdist

from uni4d_shared.cameras import bounding_sphere

__all__ = ["NodeGraph", "build_node_graph"]

Array = NDArray[Any]

_GAP_FACTOR = 3.0
"""How much longer a way through the air counts than one along the surface."""
_WELD = 1e-5
"""Vertices nearer than this fraction of the bounding radius are one point (glTF splits them at seams)."""
_MAX_GRAPH = 5000
"""Larger meshes are clustered to about this many points before ways along the surface are measured."""
_NEIGHBOURS = 8
"""Edges per node."""
_CHUNK = 20_000
"""Points whose distances to all nodes are held in memory at once."""


@dataclass(frozen=True)
class NodeGraph:
    """Where the nodes are, which vertices they move, and which nodes hold on to each other."""

    nodes: Array
    """``[K, 3]`` float32 rest positions, each at a vertex."""
    vertex_nodes: Array
    """``[P, J]`` int32, nearest first, J ≤ 4."""
    vertex_weights: Array
    """``[P, J]`` float32, rows sum to 1."""
    edges: Array
    """``[E, 2]`` int64: pairs of neighbouring nodes, each pair once; connects all nodes."""


def build_node_graph(vertices: Array, faces: Array, count: int, per_vertex: int = 4) -> NodeGraph:
    """At most ``count`` nodes for a mesh ``[P, 3]``, ``[F, 3]``; fewer where it has fewer distinct vertices.

    Deterministic. Vertices at the same place get the same weights, so seams never open.
    """
    if count < 1 or not 1 <= per_vertex <= 4:
        raise ValueError(f"build_node_graph: count={count}, per_vertex={per_vertex} (1 to 4)")
    _, radius = bounding_sphere(vertices)
    points, owner = _merged(np.asarray(vertices, dtype=np.float64), _WELD * radius)
    chosen = _farthest_points(points, count)
    ways = _Ways(points, owner[faces], chosen, radius)
    indices, weights = _weights(ways, len(points), per_vertex)
    return NodeGraph(
        nodes=points[chosen].astype(np.float32),
        vertex_nodes=indices[owner].astype(np.int32),
        vertex_weights=weights[owner].astype(np.float32),
        edges=_edges(ways.to(chosen)),
    )


def _merged(points: Array, cell: float) -> tuple[Array, Array]:
    """Points merged per grid cell: means ``[M, 3]``, and which one each point became ``[P]``."""
    cells = np.floor((points - points.min(axis=0)) / cell + 0.5).astype(np.int64)
    across = cells.max(axis=0) + 1  # below 2²¹ for cells of 1e-5 radii, so one key fits 64 bits
    keys = (cells[:, 0] * across[1] + cells[:, 1]) * across[2] + cells[:, 2]
    _, owner, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(owner, points[:, axis]) for axis in range(3)], axis=1)
    return means / sizes[:, None], owner


def _farthest_points(points: Array, count: int) -> Array:
    """Indices of ``count`` points, each the farthest from those before; the first is nearest the centroid."""
    chosen = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


class _Ways:
    """How far every point is from each node: along the surface or, dearer, through the air."""

    def __init__(self, points: Array, faces: Array, chosen: Array, radius: float) -> None:
        coarse, owner = points, np.arange(len(points))
        cell = radius / 128
        while len(coarse) > _MAX_GRAPH:
            coarse, owner = _merged(points, cell)
            cell *= 1.25
        self._points, self._nodes, self._owner = points, points[chosen], owner
        graph = _edge_graph(coarse, owner[faces])
        self._along = dijkstra(graph, directed=False, indices=owner[chosen])

    def to(self, index: Array) -> Array:
        """``[K, M]`` distances to the points at ``index`` ``[M]``."""
        straight = cdist(self._nodes, self._points[index])
        # a clustered way starts and ends at cluster centres: it can never be shorter than the straight line
        along = np.maximum(self._along[:, self._owner[index]], straight)
        return np.minimum(along, _GAP_FACTOR * straight)


def _edge_graph(points: Array, faces: Array) -> csr_matrix:
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    ends = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
    lengths = np.linalg.norm(points[ends[:, 0]] - points[ends[:, 1]], axis=1)
    # a stored zero would read as "no edge"
    entries = np.maximum(lengths, 1e-300), (ends[:, 0], ends[:, 1])
    return coo_matrix(entries, shape=(len(points), len(points))).tocsr()


def _weights(ways: _Ways, points: int, per_vertex: int) -> tuple[Array, Array]:
    """Nodes and weights ``[M, J]``: (1 − d / d_max)² with d_max the distance to the next nearest node."""
    indices, weights = [], []
    for start in range(0, points, _CHUNK):
        distances = ways.to(np.arange(start, min(start + _CHUNK, points)))
        count = len(distances)
        slots = min(per_vertex, count)
        keep = min(slots + 1, count)
        nearest = np.sort(np.argpartition(distances, keep - 1, axis=0)[:keep], axis=0)
        near = np.take_along_axis(distances, nearest, axis=0)
        order = np.argsort(near, axis=0, kind="stable")
        near, nearest = (np.take_along_axis(a, order, axis=0).T for a in (near, nearest))  # [M, J + 1]
        limit = near[:, -1:] if count > slots else 1.5 * near[:, -1:]
        share = np.maximum(1.0 - near[:, :slots] / np.maximum(limit, 1e-300), 0.0) ** 2
        share[share.sum(axis=1) <= 0, 0] = 1.0  # all nodes equally far: any one serves
        indices.append(nearest[:, :slots])
        weights.append(share / share.sum(axis=1, keepdims=True))
    return np.concatenate(indices), np.concatenate(weights)


def _edges(distances: Array) -> Array:
    """``[E, 2]``: each node with its nearest ones, and the shortest bridges that make the graph whole."""
    count = len(distances)
    distances = np.maximum(distances, distances.T)
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1, kind="stable")[:, : min(_NEIGHBOURS, count - 1)]
    pairs = np.stack([np.repeat(np.arange(count), near.shape[1]), near.reshape(-1)], axis=1)
    while True:
        graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        groups, label = connected_components(graph, directed=False)
        if groups <= 1:
            break
        apart = np.where(label[:, None] == label[None, :], np.inf, distances)
        bridge = np.unravel_index(int(apart.argmin()), apart.shape)
        pairs = np.concatenate([pairs, np.array([bridge])])
    return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)
