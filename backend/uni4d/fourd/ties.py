"""What holds nodes together, as tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from uni4d.fourd.nodes import NodeGraph

__all__ = ["Ties"]


class Ties(NamedTuple):
    """Pairs of nodes, and the place at which each pair is held together; every pair from either end.

    A node k takes a place c, which is c − n_k away from it at rest, to R_k (c − n_k) + p_k. Within a piece,
    c is the other node; between two pieces, it is the joint, and they may turn about it.
    """

    first: Tensor
    """``[2 E]`` int64"""
    second: Tensor
    """``[2 E]`` int64"""
    arms: Tensor
    """``[2 E, 3]`` metres, c − n of the first node."""
    other_arms: Tensor
    """``[2 E, 3]`` metres, of the second: zero within a piece."""
    lengths: Tensor
    """``[2 E]`` metres, from node to node."""

    @classmethod
    def of(cls, graph: NodeGraph) -> Ties:
        nodes, edges, held = (torch.from_numpy(a) for a in (graph.nodes, graph.edges, graph.held))
        first, second = torch.cat([edges, edges.flip(1)]).unbind(1)
        places = torch.cat([held[:, 0], held[:, 1]])
        lengths = (nodes[second] - nodes[first]).norm(dim=1)
        least = 1e-9 * float((nodes - nodes.mean(0)).norm(dim=1).max())
        return cls(first, second, places - nodes[first], places - nodes[second], lengths.clamp(min=least))

    @property
    def ends(self) -> Tensor:
        """``[2 E, 2]``"""
        return torch.stack([self.first, self.second], dim=1)

    def reach(self, turns: Tensor) -> tuple[Tensor, Tensor]:
        """The arms of both ends, turned: ``[..., 2 E, 3]`` of rotations ``[..., K, 3, 3]``."""
        return (
            (turns[..., self.first, :, :] @ self.arms[:, :, None])[..., 0],
            (turns[..., self.second, :, :] @ self.other_arms[:, :, None])[..., 0],
        )

    def apart(self, turns: Tensor, positions: Tensor) -> Tensor:
        """e ``[..., 2 E, 3]``: how far the two ends take the place asunder, over the length; of rotations
        ``[..., K, 3, 3]`` and positions ``[..., K, 3]``."""
        here, there = self.reach(turns)
        shift = positions[..., self.first, :] - positions[..., self.second, :]
        return (here - there + shift) / self.lengths[:, None]
