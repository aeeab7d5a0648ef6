"""From control nodes to vertices and splats, differentiable: the torch twin of :mod:`uni4d_shared.skinning`.

A point x at rest goes to Σ_j w_j (R_k (x − n_k) + n_k + t_k), which is linear in the entries of
[R_k | o_k], o_k = n_k + t_k − R_k n_k. A splat's place on its triangle is a fixed blend of three such points,
so the corners that carry splats are one constant sparse matrix times the stacked node matrices, and the
splats' places another one times the corners.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from torch import Tensor

from uni4d.fourd.nodes import NodeGraph
from uni4d.splatting.binding import BoundSplats, Carried, triangle_frames, turned_with
from uni4d.splatting.projection import rotation_matrices

__all__ = ["SplatDriver", "node_matrices", "vertices_at"]


def node_matrices(
    nodes: Tensor,  # [K, 3]
    rotations: Tensor,  # [..., K, 4] wxyz of any non-zero length
    translations: Tensor,  # [..., K, 3]
) -> Tensor:
    """``[..., K, 4, 3]``: R_kᵀ over o_k, so that a row vector [x, 1] times it is the moved point."""
    matrices = rotation_matrices(rotations)
    offsets = nodes + translations - (matrices @ nodes[:, :, None])[..., 0]
    return torch.cat([matrices.transpose(-1, -2), offsets[..., None, :]], dim=-2)


def vertices_at(
    vertices: Tensor,  # [P, 3] at rest
    vertex_nodes: Tensor,  # [P, J] int64
    vertex_weights: Tensor,  # [P, J]
    matrices: Tensor,  # [K, 4, 3] of node_matrices
) -> Tensor:
    """``[P, 3]`` the mesh at one moment."""
    moved = torch.zeros_like(vertices)
    for slot in range(vertex_nodes.shape[1]):
        own = matrices[vertex_nodes[:, slot]]  # [P, 4, 3]
        placed = (vertices[:, None, :] @ own[:, :3])[:, 0] + own[:, 3]
        moved = moved + vertex_weights[:, slot, None] * placed
    return moved


class SplatDriver:
    """Moves bound splats by node matrices, one moment or many at a time.

    The means are differentiable; the turning of the splats follows their triangles as a constant of the step
    (see :class:`uni4d.splatting.binding.BoundSplats`).
    """

    def __init__(self, bound: BoundSplats, graph: NodeGraph) -> None:
        used, corners = np.unique(bound.corners.numpy(), return_inverse=True)
        count = len(bound)
        self._moved = _SparsePair(_row_matrix(bound.vertices.numpy().astype(np.float64), graph, used))
        rows, barycentric = np.repeat(np.arange(count), 3), bound.barycentric.numpy()
        places = csr_matrix((barycentric.reshape(-1), (rows, corners.reshape(-1))), shape=(count, len(used)))
        self._places = _SparsePair(places)
        self._corners = torch.from_numpy(corners.reshape(count, 3)).long()
        self._used, self._barycentric = used, bound.barycentric
        frames = triangle_frames(bound.vertices[bound.corners])
        self._frames_at_rest = frames
        self._quaternions = bound.splats.quaternions.detach()
        self._offset = (bound.splats.means - bound.anchors(bound.vertices)).detach()

    def weights(self, graph: NodeGraph) -> Tensor:
        """``[N, K]`` how much each node of the driver's ``graph`` moves each splat; rows sum to 1."""
        weights = torch.zeros(len(self._corners), len(graph.nodes))
        nodes, shares = (torch.from_numpy(a[self._used]) for a in (graph.vertex_nodes, graph.vertex_weights))
        for corner, part in zip(self._corners.T, self._barycentric.T, strict=True):
            weights.scatter_add_(1, nodes[corner].long(), shares[corner] * part[:, None])
        return weights

    def carried(self, matrices: Tensor) -> Carried:
        """Means ``[B, N, 3]`` and quaternions ``[B, N, 4]`` for node matrices ``[B, K, 4, 3]``."""
        moments, nodes = matrices.shape[:2]
        columns = matrices.permute(1, 2, 0, 3).reshape(4 * nodes, 3 * moments)  # [4K, 3B]
        moved = self._moved.times(columns)  # [U, 3B]
        place = self._places.times(moved).reshape(-1, moments, 3).transpose(0, 1)
        with torch.no_grad():
            corners = moved.reshape(-1, moments, 3).transpose(0, 1)[:, self._corners]  # [B, N, 3, 3]
            edges = corners[:, :, 1:] - corners[:, :, :1]
            quaternions, offset = turned_with(edges, self._frames_at_rest, self._quaternions, self._offset)
        return Carried(place + offset, quaternions)


def _row_matrix(rest: NDArray[Any], graph: NodeGraph, vertex: NDArray[Any]) -> csr_matrix:
    """Rows ``[U, 4K]`` that give the moved position of each ``vertex`` from the stacked node matrices."""
    nodes, weights = graph.vertex_nodes[vertex], graph.vertex_weights[vertex].astype(np.float64)
    slots = nodes.shape[1]
    homogeneous = np.concatenate([rest[vertex], np.ones((len(vertex), 1))], axis=1)  # [U, 4]
    values = weights[:, :, None] * homogeneous[:, None, :]  # [U, J, 4]
    columns = 4 * nodes[:, :, None] + np.arange(4)
    rows = np.repeat(np.arange(len(vertex)), 4 * slots)
    shape = len(vertex), 4 * len(graph.nodes)
    return csr_matrix((values.reshape(-1), (rows, columns.reshape(-1))), shape=shape)


class _SparsePair:
    """A constant sparse matrix and its transpose, as a differentiable product."""

    def __init__(self, matrix: csr_matrix) -> None:
        self._matrix = matrix.tocsr().astype(np.float32)
        self._transposed = matrix.T.tocsr().astype(np.float32)

    def times(self, dense: Tensor) -> Tensor:
        product: Tensor = _SparseProduct.apply(dense, self._matrix, self._transposed)  # type: ignore[no-untyped-call]
        return product


class _SparseProduct(torch.autograd.Function):
    """scipy's CSR product: three times faster here than torch's own for a handful of columns."""

    @staticmethod
    def forward(ctx: Any, dense: Tensor, matrix: csr_matrix, transposed: csr_matrix) -> Tensor:
        ctx.transposed = transposed
        return torch.from_numpy(matrix @ dense.detach().contiguous().numpy())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return torch.from_numpy(ctx.transposed @ gradients[0].contiguous().numpy()), None, None
