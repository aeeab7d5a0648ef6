"""Control nodes: a few points of the surface that carry all the rest.

Nodes are farthest points of the vertices. How near a vertex is to a node is measured along the surface, so
that one leg does not drag the other; across a gap it is three times the straight line. Meshes come in loose
pieces: each that is larger than the nodes' spacing has nodes of its own, which alone move it, and joints hold
it to others (:mod:`uni4d.fourd.pieces`). Weights and the edges between nodes follow embedded deformation
(Sumner et al. 2007).

Nothing here has a unit: sizes are relative to the distances found in the mesh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial.distance import cdist

from uni4d.fourd.pieces import Joint, edge_graph, joints_between, pieces_of
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
    held: Array
    """``[E, 2, 3]`` float32: the places at rest that the pair holds together, seen from either of its nodes:
    within a piece, where the other node is; between pieces, their joint."""


def build_node_graph(vertices: Array, faces: Array, count: int, per_vertex: int = 4) -> NodeGraph:
    """At most ``count`` nodes for a mesh ``[P, 3]``, ``[F, 3]``; fewer where it has fewer distinct vertices.

    Deterministic. Vertices at the same place get the same weights, so seams never open.
    """
    if count < 1 or not 1 <= per_vertex <= 4:
        raise ValueError(f"build_node_graph: count={count}, per_vertex={per_vertex} (1 to 4)")
    _, radius = bounding_sphere(vertices)
    points, owner = _merged(np.asarray(vertices, dtype=np.float64), _WELD * radius)
    spacing = _spacing(points, owner[faces], count)
    pieces = pieces_of(points, owner[faces], spacing, max(count // 2, 1))
    chosen = _farthest_points(points, count, _middles(points, pieces))
    ways = _Ways(points, owner[faces], chosen, radius)
    indices, weights = _weights(ways, pieces, pieces[chosen], per_vertex)
    nodes = points[chosen].astype(np.float32)
    joints = joints_between(points, owner[faces], pieces)
    edges, held = _edges(nodes, ways.to(chosen), pieces[chosen], joints)
    return NodeGraph(nodes, indices[owner].astype(np.int32), weights[owner].astype(np.float32), edges, held)


def _merged(points: Array, cell: float) -> tuple[Array, Array]:
    """Points merged per grid cell: means ``[M, 3]``, and which one each point became ``[P]``."""
    cells = np.floor((points - points.min(axis=0)) / cell + 0.5).astype(np.int64)
    across = cells.max(axis=0) + 1  # below 2²¹ for cells of 1e-5 radii, so one key fits 64 bits
    keys = (cells[:, 0] * across[1] + cells[:, 1]) * across[2] + cells[:, 2]
    _, owner, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(owner, points[:, axis]) for axis in range(3)], axis=1)
    return means / sizes[:, None], owner


def _spacing(points: Array, faces: Array, count: int) -> float:
    """How far ``count`` nodes lie apart on the surface."""
    return float(np.sqrt(trimesh.triangles.area(points[faces]).sum() / count))


def _middles(points: Array, pieces: Array) -> list[int]:
    """Of each piece the point that is nearest its centroid."""
    sizes = np.bincount(pieces)[:, None]
    centroids = np.stack([np.bincount(pieces, column) for column in points.T], axis=1) / sizes
    away = np.linalg.norm(points - centroids[pieces], axis=1)
    order = np.lexsort((away, pieces))
    return order[np.flatnonzero(np.diff(pieces[order], prepend=-1))].tolist()


def _farthest_points(points: Array, count: int, first: list[int]) -> Array:
    """Indices of ``count`` points: the ``first``, then each the farthest from those before."""
    chosen = list(first)
    nearest = cdist(points, points[chosen]).min(axis=1)
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
        graph = edge_graph(coarse, owner[faces])
        self._along = dijkstra(graph, directed=False, indices=owner[chosen])

    def to(self, index: Array) -> Array:
        """``[K, M]`` distances to the points at ``index`` ``[M]``."""
        straight = cdist(self._nodes, self._points[index])
        # a clustered way starts and ends at cluster centres: it can never be shorter than the straight line
        along = np.maximum(self._along[:, self._owner[index]], straight)
        return np.minimum(along, _GAP_FACTOR * straight)


def _weights(ways: _Ways, pieces: Array, node_pieces: Array, per_vertex: int) -> tuple[Array, Array]:
    """Nodes and weights ``[M, J]``: (1 − d / d_max)² with d_max the distance to the next nearest node.

    ``pieces`` ``[M]`` of the points, ``node_pieces`` ``[K]`` of the nodes.
    """
    indices, weights = [], []
    for start in range(0, len(pieces), _CHUNK):
        index = np.arange(start, min(start + _CHUNK, len(pieces)))
        foreign = node_pieces[:, None] != pieces[index]
        distances = np.where(foreign, np.inf, ways.to(index))
        count = len(distances)
        slots = min(per_vertex, count)
        keep = min(slots + 1, count)
        nearest = np.sort(np.argpartition(distances, keep - 1, axis=0)[:keep], axis=0)
        near = np.take_along_axis(distances, nearest, axis=0)
        order = np.argsort(near, axis=0, kind="stable")
        near, nearest = (np.take_along_axis(a, order, axis=0).T for a in (near, nearest))  # [M, J + 1]
        farthest = np.where(np.isfinite(near), near, 0.0).max(axis=1, keepdims=True)
        full = np.isfinite(near[:, -1:]) & (count > slots)
        limit = np.where(full, near[:, -1:], 1.5 * farthest)
        share = np.maximum(1.0 - near[:, :slots] / np.maximum(limit, 1e-300), 0.0) ** 2
        share[share.sum(axis=1) <= 0, 0] = 1.0  # all nodes equally far: any one serves
        indices.append(nearest[:, :slots])
        weights.append(share / share.sum(axis=1, keepdims=True))
    return np.concatenate(indices), np.concatenate(weights)


def _edges(nodes: Array, ways: Array, pieces: Array, joints: list[Joint]) -> tuple[Array, Array]:
    """``[E, 2]`` and what they hold ``[E, 2, 3]``: each node with its nearest ones within its piece, the
    shortest bridges that make the piece whole, and the joints between the ``pieces`` ``[K]`` of the nodes."""
    pairs = _neighbours(ways, pieces)
    held = nodes[pairs[:, ::-1]]
    if not joints:
        return pairs, held
    spans = [[_nearest_of(nodes, pieces == piece, joint.place) for piece in joint.pieces] for joint in joints]
    places = np.array([[joint.place, joint.place] for joint in joints], np.float32)
    return np.concatenate([pairs, np.sort(spans, axis=1)]), np.concatenate([held, places])


def _nearest_of(nodes: Array, own: Array, place: Array) -> int:
    return int(np.where(own, np.linalg.norm(nodes - place, axis=1), np.inf).argmin())


def _neighbours(distances: Array, pieces: Array) -> Array:
    """``[E, 2]`` of nodes of the same piece."""
    count = len(distances)
    distances = np.maximum(distances, distances.T)
    distances[pieces[:, None] != pieces[None, :]] = np.inf
    np.fill_diagonal(distances, np.inf)
    near = np.argsort(distances, axis=1, kind="stable")[:, : min(_NEIGHBOURS, count - 1)]
    pairs = np.stack([np.repeat(np.arange(count), near.shape[1]), near.reshape(-1)], axis=1)
    pairs = pairs[np.isfinite(distances[pairs[:, 0], pairs[:, 1]])]
    while True:
        graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        label = connected_components(graph, directed=False)[1]
        apart = np.where(label[:, None] == label[None, :], np.inf, distances)
        bridge = np.unravel_index(int(apart.argmin()), apart.shape)
        if not np.isfinite(apart[bridge]):
            return np.unique(np.sort(pairs, axis=1), axis=0).reshape(-1, 2)
        pairs = np.concatenate([pairs, np.array([bridge])])
