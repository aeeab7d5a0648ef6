"""What free splats do, told by control nodes: so that a deformation by HexPlane is a result like any other.

A node's rotation and shift at a moment are those that carry the splats around it from rest to where they are
then with the least squared error (Kabsch 1976): with p̄, q̄ the means of their places at rest and now,

    R = V diag(1, 1, det VUᵀ) Uᵀ,   U Σ Vᵀ = Σ_i (p_i − p̄)(q_i − q̄)ᵀ,   t = R (n − p̄) + q̄ − n
"""

from __future__ import annotations

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from uni4d.fourd.hexplane import HexPlaneFit
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.rotations import best_turns
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d_shared.types import NodeMotion

__all__ = ["node_motion"]

_AROUND = 32
"""Splats that tell what a node does."""


def node_motion(fitted: HexPlaneFit, graph: NodeGraph) -> NodeMotion:
    """The motion of ``graph`` that follows the splats at every frame."""
    rest = fitted.splats.means
    _, near = cKDTree(rest.numpy()).query(graph.nodes, k=min(_AROUND, len(rest)))
    around = torch.as_tensor(near, dtype=torch.int64).reshape(len(graph.nodes), -1)  # [K, M]
    nodes = torch.from_numpy(graph.nodes)
    rotations, translations = list[Tensor](), list[Tensor]()
    for moved in fitted.per_frame():
        turn, shift = _carried(nodes, rest[around], moved.means[around])
        quaternions = quaternions_from_matrices(turn)
        before = rotations[-1] if rotations else torch.tensor([1.0, 0.0, 0.0, 0.0])
        opposite = (quaternions * before).sum(-1, keepdim=True) < 0
        rotations.append(torch.where(opposite, -quaternions, quaternions))  # safe to interpolate
        translations.append(shift)
    return NodeMotion(
        nodes=graph.nodes,
        rotations=torch.stack(rotations).numpy(),
        translations=torch.stack(translations).numpy(),
        vertex_nodes=graph.vertex_nodes,
        vertex_weights=graph.vertex_weights,
    )


def _carried(
    nodes: Tensor,  # [K, 3]
    rest: Tensor,  # [K, M, 3] around each node
    now: Tensor,  # [K, M, 3]
) -> tuple[Tensor, Tensor]:
    """Rotations ``[K, 3, 3]`` and translations ``[K, 3]``."""
    middle, moved = rest.mean(1), now.mean(1)
    turn = best_turns(rest, now)
    shift = (turn @ (nodes - middle)[:, :, None])[..., 0] + moved - nodes
    return turn, shift
