"""View-dependent colour: real spherical harmonics of degree 0 to 3, in the order and signs of 3DGS."""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d_shared.conventions import SH_C0

__all__ = ["evaluate", "from_colors"]

_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, -1.0925484305920792, 0.31539156525252005, -1.0925484305920792, 0.5462742152960396)
_C3 = (
    *(-0.5900435899266435, 2.890611442640554, -0.4570457994644658, 0.3731763325901154),
    *(-0.4570457994644658, 1.445305721320277, -0.5900435899266435),
)


def from_colors(colors: Tensor) -> Tensor:
    """Degree-0 coefficients ``[N, 1, 3]`` of colours ``[N, 3]``."""
    return ((colors - 0.5) / SH_C0)[:, None, :]


def evaluate(
    coefficients: Tensor,  # [N, K, 3] with K = 1, 4, 9 or 16
    directions: Tensor,  # [N, 3] unit, from the camera to the splat
) -> Tensor:
    """Colours ``[N, 3]``, at least 0."""
    count = coefficients.shape[1]
    if count not in (1, 4, 9, 16):
        raise ValueError(f"spherical harmonics: expected 1, 4, 9 or 16 coefficients, got {count}")
    constant = coefficients[:, 0] * SH_C0 + 0.5
    if count == 1:
        return constant.clamp(min=0.0)
    x, y, z = directions.unbind(1)
    basis = [-_C1 * y, _C1 * z, -_C1 * x]
    if count >= 9:
        xx, yy, zz = x * x, y * y, z * z
        basis += [_C2[0] * x * y, _C2[1] * y * z, _C2[2] * (2 * zz - xx - yy)]
        basis += [_C2[3] * x * z, _C2[4] * (xx - yy)]
        if count == 16:
            basis += [
                _C3[0] * y * (3 * xx - yy),
                _C3[1] * x * y * z,
                _C3[2] * y * (4 * zz - xx - yy),
                _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
                _C3[4] * x * (4 * zz - xx - yy),
                _C3[5] * z * (xx - yy),
                _C3[6] * x * (xx - 3 * yy),
            ]
    varying = (torch.stack(basis, dim=1)[:, :, None] * coefficients[:, 1:]).sum(1)
    return (constant + varying).clamp(min=0.0)
