"""What the fit moves: the turn and the place of every node in every frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from uni4d.fourd.deformation import node_matrices
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.states import NodeState
from uni4d_shared.types import NodeMotion

__all__ = ["MotionParameters"]


class MotionParameters:
    """The optimised tensors; lengths are in units of ``radius``, so that one rate suits all sizes."""

    def __init__(self, graph: NodeGraph, states: Sequence[NodeState], radius: float) -> None:
        """``states``: one per frame."""
        self.radius = radius
        self.nodes = torch.from_numpy(graph.nodes)
        self.rotations = torch.stack([state.rotations for state in states]).detach().clone()
        """``[T, K, 4]`` of any non-zero length"""
        self.translations = torch.stack([state.positions - self.nodes for state in states]).detach() / radius
        """``[T, K, 3]`` radii"""
        for tensor in self.tensors():
            tensor.requires_grad_(True)

    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that is optimised, each with a leading dimension of frames."""
        return (self.rotations, self.translations)

    def positions(self, frames: Tensor) -> Tensor:
        """``[B, K, 3]`` the nodes, in radii."""
        return self.nodes / self.radius + self.translations[frames]

    def matrices(self, frames: Tensor) -> Tensor:
        """``[B, K, 4, 3]`` node matrices (see :mod:`uni4d.fourd.deformation`) at ``frames`` ``[B]``."""
        return node_matrices(self.nodes, self.rotations[frames], self.translations[frames] * self.radius)

    @torch.no_grad()
    def states(self) -> list[NodeState]:
        """One per frame."""
        turns = torch.nn.functional.normalize(self.rotations, dim=-1)
        places = self.nodes + self.translations * self.radius
        return [NodeState(turn, place) for turn, place in zip(turns, places, strict=True)]

    @torch.no_grad()
    def exported(self, graph: NodeGraph, length_scale: float, deviations: Tensor) -> NodeMotion:
        """The same motion as the value type: one SE(3) keyframe per node and frame, in the world;
        ``deviations`` ``[T, K]`` metres."""
        return NodeMotion(
            nodes=graph.nodes,
            rotations=_continuous(torch.nn.functional.normalize(self.rotations, dim=-1)).numpy(),
            translations=(self.translations * self.radius).numpy(),
            vertex_nodes=graph.vertex_nodes,
            vertex_weights=graph.vertex_weights,
            length_scale=length_scale,
            deviations=deviations.numpy(),
        )


def _continuous(quaternions: Tensor) -> Tensor:
    """Signs chosen so that each quaternion ``[T, K, 4]`` is near the one before: safe to interpolate."""
    array = quaternions.numpy().astype(np.float32).copy()
    array[0] *= np.where(array[0, :, :1] < 0, -1.0, 1.0)
    for frame in range(1, len(array)):
        dots = (array[frame] * array[frame - 1]).sum(axis=-1, keepdims=True)
        array[frame] *= np.where(dots < 0, -1.0, 1.0)
    return torch.from_numpy(array)
