"""What the fit moves: a rigid pose of the whole object and a local motion of every node, per frame.

A node's local motion lives in the object's own frame, so that the priors (stay rigid, move smoothly) need not
know about a spin or a flight. World = pose ∘ local:

    x → R (R_k (x − n_k) + n_k + t_k − c) + c + s     with c the object's centre
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from uni4d.fourd.deformation import node_matrices
from uni4d.fourd.nodes import NodeGraph
from uni4d.splatting.binding import multiply_quaternions
from uni4d.splatting.projection import rotation_matrices
from uni4d_shared.types import NodeMotion

__all__ = ["MotionParameters", "RigidTrack"]


@dataclass(frozen=True)
class RigidTrack:
    """The rigid pose of the object in every frame: x → R (x − c) + c + s."""

    centre: Tensor
    """``[3]`` metres."""
    rotations: Tensor
    """``[T, 4]`` wxyz."""
    shifts: Tensor
    """``[T, 3]`` metres."""


class MotionParameters:
    """The optimised tensors; lengths are in units of ``radius``, so that one rate suits all sizes."""

    def __init__(self, graph: NodeGraph, track: RigidTrack, radius: float) -> None:
        frames, count = len(track.rotations), len(graph.nodes)
        self.radius = radius
        self.centre = track.centre
        self.nodes = torch.from_numpy(graph.nodes)
        self.pose_rotations = track.rotations.detach().clone()
        """``[T, 4]``"""
        self.pose_shifts = track.shifts.detach() / radius
        """``[T, 3]`` radii"""
        self.rotations = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(frames, count, 1)
        """``[T, K, 4]``"""
        self.translations = torch.zeros(frames, count, 3)
        """``[T, K, 3]`` radii"""
        for tensor in self.tensors():
            tensor.requires_grad_(True)

    def tensors(self) -> tuple[Tensor, ...]:
        """Everything that is optimised, each with a leading dimension of frames."""
        return (self.pose_rotations, self.pose_shifts, self.rotations, self.translations)

    def local_positions(self, frames: Tensor) -> Tensor:
        """``[B, K, 3]`` the nodes in the object's frame, in radii from the centre."""
        return (self.nodes - self.centre) / self.radius + self.translations[frames]

    def matrices(self, frames: Tensor) -> Tensor:
        """``[B, K, 4, 3]`` node matrices (see :mod:`uni4d.fourd.deformation`) at ``frames`` ``[B]``."""
        local = node_matrices(self.nodes, self.rotations[frames], self.translations[frames] * self.radius)
        pose = rotation_matrices(self.pose_rotations[frames]).transpose(-1, -2)[:, None]  # [B, 1, 3, 3]
        shift = (self.centre + self.pose_shifts[frames] * self.radius)[:, None, None]
        return torch.cat([local[..., :3, :] @ pose, (local[..., 3:, :] - self.centre) @ pose + shift], dim=-2)

    @torch.no_grad()
    def exported(self, graph: NodeGraph) -> NodeMotion:
        """The same motion as the value type: one SE(3) keyframe per node and frame, in the world."""
        normalise = torch.nn.functional.normalize
        pose = normalise(self.pose_rotations, dim=-1)[:, None]  # [T, 1, 4]
        local = normalise(self.rotations, dim=-1)
        rotations = _continuous(multiply_quaternions(pose.expand_as(local), local))
        placed = self.nodes + self.translations * self.radius - self.centre
        turned = (placed[..., None, :] @ rotation_matrices(pose).transpose(-1, -2))[..., 0, :]
        moved = turned + self.centre + (self.pose_shifts * self.radius)[:, None]
        return NodeMotion(
            nodes=graph.nodes,
            rotations=rotations.numpy(),
            translations=(moved - self.nodes).numpy(),
            vertex_nodes=graph.vertex_nodes,
            vertex_weights=graph.vertex_weights,
        )


def _continuous(quaternions: Tensor) -> Tensor:
    """Signs chosen so that each quaternion ``[T, K, 4]`` is near the one before: safe to interpolate."""
    array = quaternions.numpy().astype(np.float32).copy()
    array[0] *= np.where(array[0, :, :1] < 0, -1.0, 1.0)
    for frame in range(1, len(array)):
        dots = (array[frame] * array[frame - 1]).sum(axis=-1, keepdims=True)
        array[frame] *= np.where(dots < 0, -1.0, 1.0)
    return torch.from_numpy(array)
