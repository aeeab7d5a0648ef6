"""EWA projection of 3D Gaussians to the image plane, differentiable in everything including the camera.

Zwicker et al. 2001 in the form of 3D Gaussian splatting: with the splat's mean (x, y, z) in the camera, the
camera's rotation W and the Jacobian J of the perspective map at that mean,

    Σ = J W R S Sᵀ Rᵀ Wᵀ Jᵀ,   Σ' = Σ + 0.1 I   (pixels²)

The *conic* is Σ'⁻¹ as (a, b, c) of [[a, b], [b, c]]. In J, x/z and y/z are limited to 1.3 times the half
field of view, so that splats far outside the image do not explode. The low-pass stands for the pixel, whose
square has a variance of 1/12 (3D Gaussian splatting adds 0.3, which makes every silhouette a quarter of a
pixel fatter than the pictures that it is to match). It makes small splats larger, so they cover more than
they should; the *sharpness* √(det Σ / det Σ') times the opacity gives their weight back (Yu et al. 2024,
Mip-Splatting). ``projection.c`` is this module's fast path.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from uni4d_shared.splat_shapes import LOW_PASS

__all__ = ["LOW_PASS", "NEAR", "Projected", "project", "project_points", "rotation_matrices"]

NEAR = 1e-3
"""Metres before the camera; splats that are nearer are left out."""
_FRUSTUM_LIMIT = 1.3


class Projected(NamedTuple):
    """Splats on the image plane."""

    means: Tensor  # [..., N, 2] pixels
    conics: Tensor  # [..., N, 3] 1/pixels²
    depths: Tensor  # [..., N] metres along z
    visible: Tensor  # [..., N] bool: in front of the near plane
    sharpness: Tensor  # [..., N] √(det Σ / det Σ'), in [0, 1]


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """``[..., 3, 3]`` of wxyz quaternions ``[..., 4]`` of any non-zero length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, dim=-1).reshape(*quaternions.shape[:-1], 3, 3)


def project_points(
    means: Tensor,  # [..., N, 3] metres, world
    world_to_camera: Tensor,  # [..., 4, 4]
    intrinsics: Tensor,  # [..., 3, 3]
    near: float = NEAR,
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels ``[..., N, 2]``, depths ``[..., N]`` and whether each is in front of ``near`` ``[..., N]``.

    Where it is not, depth 1 takes the place of the true one: finite, and of no consequence.
    """
    in_camera = means @ world_to_camera[..., :3, :3].mT + world_to_camera[..., None, :3, 3]
    x, y, z = in_camera.unbind(-1)
    visible = z > near
    depths = torch.where(visible, z, torch.ones_like(z))
    fx, fy, skew, cx, cy = _entries(intrinsics)
    u, v = x / depths, y / depths
    return torch.stack([fx * u + skew * v + cx, fy * v + cy], dim=-1), depths, visible


def project(
    means: Tensor,  # [..., N, 3] metres, world
    quaternions: Tensor,  # [..., N, 4] wxyz
    scales: Tensor,  # [..., N, 3] metres
    world_to_camera: Tensor,  # [..., 4, 4]
    intrinsics: Tensor,  # [..., 3, 3]
    width: int,
    height: int,
    *,
    near: float = NEAR,
    low_pass: float = LOW_PASS,
) -> Projected:
    """Splats nearer than ``near`` metres come back with ``visible`` false and harmless finite values."""
    pixels, depths, visible = project_points(means, world_to_camera, intrinsics, near)
    fx, fy, skew, cx, cy = _entries(intrinsics)
    v = (pixels[..., 1] - cy) / fy
    u = (pixels[..., 0] - cx - skew * v) / fx
    limit_u = _FRUSTUM_LIMIT * torch.maximum(cx, width - cx) / fx
    limit_v = _FRUSTUM_LIMIT * torch.maximum(cy, height - cy) / fy
    u, v = _limited(u, limit_u), _limited(v, limit_v)
    view = world_to_camera[..., None, :3, :3]  # [..., 1, 3, 3]
    right, down, forward = view.unbind(-2)
    # rows of J W with J = [[fx, skew, -(fx u + skew v)], [0, fy, -fy v]] / z
    across = fx[..., None] * right + skew[..., None] * down - (fx * u + skew * v)[..., None] * forward
    along = fy[..., None] * down - (fy * v)[..., None] * forward
    scaled = rotation_matrices(quaternions) * scales[..., None, :]  # R S
    p = ((across / depths[..., None])[..., None, :] @ scaled)[..., 0, :]
    q = ((along / depths[..., None])[..., None, :] @ scaled)[..., 0, :]
    xx, xy, yy = p.square().sum(-1), (p * q).sum(-1), q.square().sum(-1)
    own = torch.linalg.cross(p, q, dim=-1).square().sum(-1)  # det Σ by Cauchy and Binet: nothing cancels
    determinant = own + low_pass * (xx + yy + low_pass)
    conics = torch.stack([yy + low_pass, -xy, xx + low_pass], dim=-1) / determinant[..., None]
    sharpness = (own.clamp(min=torch.finfo(own.dtype).tiny) / determinant).sqrt()
    return Projected(pixels, conics, depths, visible, sharpness)


def _entries(intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """fx, fy, skew, cx, cy, each ``[..., 1]``."""
    k = intrinsics[..., None, :, :]
    return k[..., 0, 0], k[..., 1, 1], k[..., 0, 1], k[..., 0, 2], k[..., 1, 2]


def _limited(slope: Tensor, limit: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(slope, limit), -limit)
