"""Rotations as unit quaternions (wxyz) and rotation vectors (radians), and which turns points onto others."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["best_turns", "conjugate", "cross_matrices", "exponential", "logarithm"]

_SMALL = 1e-6


def exponential(vectors: Tensor) -> Tensor:
    """``[..., 4]`` unit quaternions of rotation vectors ``[..., 3]``."""
    angle = vectors.norm(dim=-1, keepdim=True)
    share = torch.where(
        angle > _SMALL, torch.sin(angle / 2) / angle.clamp(min=_SMALL), 0.5 - angle.square() / 48
    )
    return torch.cat([torch.cos(angle / 2), share * vectors], dim=-1)


def logarithm(quaternions: Tensor) -> Tensor:
    """``[..., 3]`` rotation vectors, of at most π, of unit quaternions ``[..., 4]``."""
    near = torch.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    axis = near[..., 1:]
    sine = axis.norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sine, near[..., :1])
    return torch.where(sine > _SMALL, axis * (angle / sine.clamp(min=_SMALL)), 2.0 * axis)


def conjugate(quaternions: Tensor) -> Tensor:
    """The inverse of unit quaternions ``[..., 4]``."""
    return quaternions * quaternions.new_tensor([1.0, -1.0, -1.0, -1.0])


def cross_matrices(vectors: Tensor) -> Tensor:
    """``[..., 3, 3]``: [v]ₓ with [v]ₓ a = v × a."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(*vectors.shape, 3)


def best_turns(here: Tensor, there: Tensor) -> Tensor:
    """``[..., 3, 3]``: the rotations that bring ``here`` ``[..., M, 3]`` nearest to ``there``, about their
    means (Kabsch 1976)."""
    apart = (there - there.mean(-2, keepdim=True)).transpose(-1, -2) @ (here - here.mean(-2, keepdim=True))
    left, _, right = torch.linalg.svd(apart)
    sign = torch.det(left @ right).sign()
    flip = torch.stack([torch.ones_like(sign), torch.ones_like(sign), sign], dim=-1)
    return (left * flip[..., None, :]) @ right
