"""Splats that ride on the triangles of a mesh: the torch twin of :func:`uni4d_shared.skinning.splats_at`.

A splat keeps its barycentric place on its triangle and its offset from it, and turns with the triangle's
frame (first edge, normal × edge, normal); its scales stay as they are at rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from uni4d.splatting import kernels, native
from uni4d.splatting.model import SplatParameters

__all__ = [
    "BoundSplats",
    "Carried",
    "Ride",
    "multiply_quaternions",
    "quaternions_from_matrices",
    "triangle_frames",
    "turned_with",
]


class Carried(NamedTuple):
    """Where the splats are when their mesh has moved."""

    means: Tensor  # [N, 3]
    quaternions: Tensor  # [N, 4] wxyz


@dataclass(frozen=True)
class Ride:
    """How a moved mesh carries whatever splats there are at its splats' places."""

    before: Tensor
    """``[N, 3]`` the places on the surface at rest …"""
    now: Tensor
    """``[N, 3]`` … and when it has moved."""
    turns: Tensor
    """``[N, 4]`` unit quaternions, by which the triangles have turned."""

    def placed(self, splats: SplatParameters) -> Carried:
        """Where ``splats`` at rest are now; differentiable in their means and quaternions."""
        offsets = splats.means - self.before
        w, axis = self.turns[:, :1], self.turns[:, 1:]
        half = torch.linalg.cross(axis, offsets)
        turned = offsets + 2.0 * (w * half + torch.linalg.cross(axis, half))  # u v u*, u = (w, axis)
        return Carried(self.now + turned, multiply_quaternions(self.turns, splats.quaternions))


@dataclass(frozen=True)
class BoundSplats:
    """Splats at rest, and the triangle that carries each."""

    splats: SplatParameters
    vertices: Tensor
    """``[P, 3]`` the mesh at rest, metres."""
    faces: Tensor
    """``[F, 3]`` int64."""
    face_index: Tensor
    """``[N]`` int64."""
    barycentric: Tensor
    """``[N, 3]``"""

    def __len__(self) -> int:
        return len(self.splats)

    @property
    def corners(self) -> Tensor:
        """``[N, 3]`` int64: the vertices of each splat's triangle."""
        return self.faces[self.face_index]

    def anchors(self, vertices: Tensor) -> Tensor:
        """``[N, 3]`` the splats' places on the surface, for vertices ``[P, 3]``."""
        return (self.barycentric[:, :, None] * vertices[self.corners]).sum(1)

    def carried(self, vertices: Tensor) -> Carried:
        """The splats on a moved mesh ``[P, 3]``; the means are differentiable, the turning is a constant.

        The gradient through the frame of a single small triangle is noise: where the motion is smooth, the
        means alone say all about it.
        """
        with torch.no_grad():
            corners = vertices[self.corners]
            edges = corners[None, :, 1:] - corners[None, :, :1]
            offsets = self.splats.means - self.anchors(self.vertices)
            frames = triangle_frames(self.vertices[self.corners])
            quaternions, moved = turned_with(edges, frames, self.splats.quaternions, offsets)
        return Carried(self.anchors(vertices) + moved[0], quaternions[0])

    @torch.no_grad()
    def ride(self, vertices: Tensor) -> Ride:
        """What :meth:`carried` does to the splats as they are, for others in their places; ``vertices``
        ``[P, 3]`` of the moved mesh."""
        corners, frames = vertices[self.corners], triangle_frames(self.vertices[self.corners])
        straight, none = torch.eye(1, 4).repeat(len(self), 1), torch.zeros(len(self), 3)
        turns, _ = turned_with(corners[None, :, 1:] - corners[None, :, :1], frames, straight, none)
        return Ride(self.anchors(self.vertices), self.anchors(vertices), turns[0])


def turned_with(
    edges: Tensor,  # [B, N, 2, 3] first and second edge of the moved triangles
    frames: Tensor,  # [N, 3, 3] of the triangles at rest
    quaternions: Tensor,  # [N, 4] of the splats at rest
    offsets: Tensor,  # [N, 3] of the splats from their places, at rest
) -> tuple[Tensor, Tensor]:
    """Quaternions ``[B, N, 4]`` and offsets ``[B, N, 3]`` of splats that turn with their triangles.

    Not differentiable. In C where that is to be had; this function is its twin.
    """
    if edges.dtype == torch.float32 and edges.device.type == "cpu" and native.available():
        return kernels.turn(edges, frames, quaternions, offsets)
    return _turned_with(edges, frames, quaternions, offsets)


@torch.no_grad()
def _turned_with(
    edges: Tensor, frames: Tensor, quaternions: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    moments, count = edges.shape[:2]
    corners = torch.cat([torch.zeros_like(edges[:, :, :1]), edges], dim=2).reshape(-1, 3, 3)
    now = triangle_frames(corners).reshape(moments, count, 3, 3)
    turn = now @ frames.transpose(1, 2)
    turned = quaternions_from_matrices(turn.reshape(-1, 3, 3)).reshape(moments, count, 4)
    moved = (turn @ offsets[:, :, None])[..., 0]
    return multiply_quaternions(turned, quaternions.expand_as(turned)), moved


def triangle_frames(corners: Tensor) -> Tensor:
    """Orthonormal frames ``[N, 3, 3]`` (columns: first edge, normal × edge, normal) of corners ``[N, 3, 3]``.

    A triangle without area has no frame; its columns are zero where they are not defined.
    """
    edge = corners[:, 1] - corners[:, 0]
    normal = torch.linalg.cross(edge, corners[:, 2] - corners[:, 0])
    edge = edge / edge.norm(dim=1, keepdim=True).clamp(min=1e-12)
    normal = normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-20)
    return torch.stack([edge, torch.linalg.cross(normal, edge), normal], dim=2)


def multiply_quaternions(left: Tensor, right: Tensor) -> Tensor:
    """The Hamilton product ``[..., 4]``: rotate by ``right`` first, then by ``left``."""
    lw, lx, ly, lz = left.unbind(-1)
    rw, rx, ry, rz = right.unbind(-1)
    return torch.stack(
        [
            lw * rw - lx * rx - ly * ry - lz * rz,
            lw * rx + lx * rw + ly * rz - lz * ry,
            lw * ry - lx * rz + ly * rw + lz * rx,
            lw * rz + lx * ry - ly * rx + lz * rw,
        ],
        dim=-1,
    )


def quaternions_from_matrices(matrices: Tensor) -> Tensor:
    """Unit quaternions ``[N, 4]`` (wxyz) of rotation matrices ``[N, 3, 3]``.

    Of the four formulas, each of which divides by one component, the one with the largest divisor is used
    (Shepperd 1978).
    """
    m = matrices
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 0, 1] + m[:, 1, 0], m[:, 0, 2] + m[:, 2, 0], m[:, 1, 2] + m[:, 2, 1]
    candidates = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, wx, wy, wz], dim=1),
            torch.stack([wx, 1 + xx - yy - zz, xy, xz], dim=1),
            torch.stack([wy, xy, 1 - xx + yy - zz, yz], dim=1),
            torch.stack([wz, xz, yz, 1 - xx - yy + zz], dim=1),
        ],
        dim=1,
    )  # [N, 4, 4]: row k is 4 q_k q
    best = torch.stack([xx + yy + zz, xx, yy, zz], dim=1).argmax(dim=1)
    chosen = candidates[torch.arange(len(m)), best]
    return torch.nn.functional.normalize(chosen, dim=1)
