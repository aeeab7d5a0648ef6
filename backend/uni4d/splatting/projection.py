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
    view = world_to_camera
    x, y, z = (view[:3, :3] @ means.T + view[:3, 3:]).unbind(0)
    visible = z > near
    depths = torch.where(visible, z, torch.ones_like(z))
    inverse = 1.0 / depths
    fx, fy, skew = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 1]
    cx, cy = intrinsics[0, 2], intrinsics[1, 2]
    u, v = x * inverse, y * inverse
    limit_u = _FRUSTUM_LIMIT * float(max(cx, width - cx) / fx)
    limit_v = _FRUSTUM_LIMIT * float(max(cy, height - cy) / fy)
    bounded_u, bounded_v = u.clamp(-limit_u, limit_u), v.clamp(-limit_v, limit_v)
    pull_u, pull_v = fx * bounded_u + skew * bounded_v, fy * bounded_v
    # Rows of J W with J = [[fx, skew, -(fx u + skew v)], [0, fy, -fy v]] / z. Everything from here on is done
    # on vectors [N], entry by entry: many times faster than on stacks of 2×3 and 3×3 matrices.
    right, down, forward = fx * view[0] + skew * view[1], fy * view[1], view[2]
    across = [(right[k] - pull_u * forward[k]) * inverse for k in range(3)]
    along = [(down[k] - pull_v * forward[k]) * inverse for k in range(3)]
    axes = _rotation_columns(quaternions)
    xx = yy = torch.full_like(depths, low_pass)
    xy = torch.zeros_like(depths)
    for (a, b, c), scale in zip(axes, scales.T.contiguous(), strict=True):
        p = (across[0] * a + across[1] * b + across[2] * c) * scale
        q = (along[0] * a + along[1] * b + along[2] * c) * scale
        xx, xy, yy = xx + p * p, xy + p * q, yy + q * q
    scale_back = 1.0 / (xx * yy - xy * xy)
    conics = torch.stack([yy * scale_back, -xy * scale_back, xx * scale_back], dim=1)
    pixels = torch.stack([fx * u + skew * v + cx, fy * v + cy], dim=1)
    return Projected(pixels, conics, depths, visible)


def _rotation_columns(quaternions: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """The three columns of :func:`rotation_matrices`, each as three vectors ``[N]``."""
    w, x, y, z = quaternions.T.contiguous().unbind(0)
    twice = 2.0 / (w * w + x * x + y * y + z * z).clamp(min=1e-24)
    ww, wx, wy, wz = (twice * w * other for other in (w, x, y, z))
    xx, xy, xz = (twice * x * other for other in (x, y, z))
    yy, yz = twice * y * y, twice * y * z
    # of a unit quaternion 1 - 2 (y² + z²) = 2 (w² + x²) - 1, and so on
    return [
        (ww + xx - 1.0, xy + wz, xz - wy),
        (xy - wz, ww + yy - 1.0, yz + wx),
        (xz + wy, yz - wx, 1.0 - xx - yy),
    ]
