"""EWA projection of 3D Gaussians to the image plane, differentiable in everything including the camera.

Zwicker et al. 2001 in the form of 3D Gaussian splatting: with the splat's mean (x, y, z) in the camera, the
camera's rotation W and the Jacobian J of the perspective map at that mean,

    Σ' = J W R S Sᵀ Rᵀ Wᵀ Jᵀ + 0.3 I   (pixels²; 0.3 is the low-pass filter of about a pixel)

The *conic* is Σ'⁻¹ as (a, b, c) of [[a, b], [b, c]]. In J, x/z and y/z are limited to 1.3 times the half
field of view, so that splats far outside the image do not explode.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from uni4d_shared.types import Camera

__all__ = ["LOW_PASS", "Projected", "camera_tensors", "project", "rotation_matrices"]

LOW_PASS = 0.3
"""Variance in pixels² added to every projected splat."""
_FRUSTUM_LIMIT = 1.3


class Projected(NamedTuple):
    """Splats on the image plane."""

    means: Tensor  # [N, 2] pixels
    conics: Tensor  # [N, 3] 1/pixels²
    depths: Tensor  # [N] metres along z
    visible: Tensor  # [N] bool: in front of the near plane


def camera_tensors(camera: Camera, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``world_to_camera`` [4, 4] and ``intrinsics`` [3, 3]."""
    return torch.as_tensor(camera.world_to_camera, dtype=dtype), torch.as_tensor(
        camera.intrinsics, dtype=dtype
    )


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """``[..., 3, 3]`` of wxyz quaternions ``[..., 4]`` of any non-zero length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, dim=-1).reshape(*quaternions.shape[:-1], 3, 3)


def project(
    means: Tensor,  # [N, 3] metres, world
    quaternions: Tensor,  # [N, 4] wxyz
    scales: Tensor,  # [N, 3] metres
    world_to_camera: Tensor,  # [4, 4]
    intrinsics: Tensor,  # [3, 3]
    width: int,
    height: int,
    *,
    near: float = 1e-3,
    low_pass: float = LOW_PASS,
) -> Projected:
    """Splats nearer than ``near`` metres come back with ``visible`` false and harmless finite values."""
    rotation, translation = world_to_camera[:3, :3], world_to_camera[:3, 3]
    x, y, z = (means @ rotation.T + translation).unbind(-1)
    visible = z > near
    z = torch.where(visible, z, torch.ones_like(z))
    fx, fy, skew = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 1]
    cx, cy = intrinsics[0, 2], intrinsics[1, 2]
    u, v = x / z, y / z
    # row i of J W, by hand: J = [[fx/z, skew/z, -(fx u + skew v)/z], [0, fy/z, -fy v/z]]
    limit_u = _FRUSTUM_LIMIT * float(max(cx, width - cx) / fx)
    limit_v = _FRUSTUM_LIMIT * float(max(cy, height - cy) / fy)
    uj, vj = u.clamp(-limit_u, limit_u), v.clamp(-limit_v, limit_v)
    pull_u, pull_v = (fx * uj + skew * vj)[:, None], (fy * vj)[:, None]
    across = (fx * rotation[0] + skew * rotation[1] - pull_u * rotation[2]) / z[:, None]
    down = (fy * rotation[1] - pull_v * rotation[2]) / z[:, None]
    axes = rotation_matrices(quaternions) * scales[:, None, :]  # R S
    p = (across[:, :, None] * axes).sum(1)  # [N, 3] first row of J W R S
    q = (down[:, :, None] * axes).sum(1)
    xx = (p * p).sum(1) + low_pass
    xy = (p * q).sum(1)
    yy = (q * q).sum(1) + low_pass
    determinant = xx * yy - xy * xy
    conics = torch.stack([yy, -xy, xx], dim=1) / determinant[:, None]
    return Projected(torch.stack([fx * u + skew * v + cx, fy * v + cy], dim=1), conics, z, visible)
