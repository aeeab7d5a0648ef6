"""View-dependent colour: real spherical harmonics of degree 1 to 3, in numpy, and how they turn.

A splat is seen in the colour of its degree 0 plus Σ_k Y_k(d) h_k, where d is the unit direction from the
camera to the splat in world axes. Order, signs and constants are those of 3D Gaussian splatting (Kerbl et
al. 2023), which glTF's ``KHR_gaussian_splatting`` has taken over. The backend's differentiable twin is
:mod:`uni4d.splatting.harmonics`.

When a splat turns by R, what was seen from d is then seen from R d: the new coefficients h' must satisfy
Y(d) h' = Y(Rᵀ d) h for every d. Each degree is a space that rotations map onto itself, so its square matrix
M_l(R) = Y_l(D)⁺ Y_l(D R), with any set D of directions (its rows) that tells the functions apart, solves this
exactly; the least squares leave no residual.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from uni4d_shared.types import Array, Splats

__all__ = ["colors_from", "evaluate", "rotate"]

_C1 = 0.4886025119029199
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)
_DEGREE_SLICES = (slice(0, 3), slice(3, 8), slice(8, 15))
_DIRECTIONS = 24


def evaluate(directions: ArrayLike, count: int) -> Array:
    """The first ``count`` (0, 3, 8, 15) functions of degree ≥ 1: ``[..., K]`` at directions ``[..., 3]``."""
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    xx, yy, zz = x * x, y * y, z * z
    values = (
        *(-_C1 * y, _C1 * z, -_C1 * x),
        *(_C2[0] * x * y, -_C2[0] * y * z, _C2[1] * (2 * zz - xx - yy), -_C2[0] * x * z, _C2[2] * (xx - yy)),
        *(-_C3[0] * y * (3 * xx - yy), _C3[1] * x * y * z, -_C3[2] * y * (4 * zz - xx - yy)),
        _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
        *(-_C3[2] * x * (4 * zz - xx - yy), _C3[4] * z * (xx - yy), -_C3[0] * x * (xx - 3 * yy)),
    )
    return np.stack(values[:count], axis=-1) if count else np.zeros((*np.shape(x), 0))


def rotate(harmonics: ArrayLike, turns: ArrayLike) -> Array:
    """Coefficients ``[N, K, 3]`` after each splat has turned by its rotation matrix ``[N, 3, 3]``."""
    before = np.asarray(harmonics, np.float64)
    count = before.shape[1]
    after = np.zeros_like(before)
    if not before.size:
        return after
    directions, inverses = _probes()
    # Row m of D R is Rᵀ d_m: the direction that d_m was before the turn.
    turned = evaluate(np.einsum("md,ndj->nmj", directions, np.asarray(turns, np.float64)), count)
    for degree, inverse in zip(_DEGREE_SLICES, inverses, strict=True):
        if degree.stop <= count:
            matrices = np.einsum("km,nml->nkl", inverse, turned[:, :, degree])
            after[:, degree] = np.einsum("nkl,nlc->nkc", matrices, before[:, degree])
    return after


def colors_from(splats: Splats, position: ArrayLike) -> Array:
    """The colours ``[N, 3]`` float32, not below 0, that a camera at ``position`` (``[3]``) sees."""
    away = splats.means.astype(np.float64) - np.asarray(position, np.float64)
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-12)
    seen = np.einsum("nk,nkc->nc", evaluate(away, splats.harmonics.shape[1]), splats.harmonics)
    return np.maximum(splats.colors + seen, 0.0).astype(np.float32)


@cache
def _probes() -> tuple[Array, tuple[Array, ...]]:
    """Directions ``[M, 3]`` spread over the sphere (a Fibonacci spiral), and Y_l(D)⁺ of each degree."""
    index = np.arange(_DIRECTIONS) + 0.5
    z = 1.0 - 2.0 * index / _DIRECTIONS
    angle = np.pi * (1.0 + np.sqrt(5.0)) * index
    radius = np.sqrt(1.0 - z * z)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)
    values = evaluate(directions, 15)
    return directions, tuple(np.linalg.pinv(values[:, degree]) for degree in _DEGREE_SLICES)
