"""Normal equations of rigid bodies in many frames: those of their nodes, in the bodies' own unknowns.

If δ_t moves the bodies of frame t and M_t says how the nodes go along, nodes with a curvature H_t, and ties
w (Σ_s c_s M_{t+s} δ_{t+s} + r)² between neighbouring frames, leave a system whose band is three blocks wide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import solveh_banded
from torch import Tensor

from uni4d.fourd.elasticity import NormalEquations

__all__ = ["BodyEquations", "projected"]

_FIRM = 1e-6
"""Added to the diagonal, relative to it: what nothing determines stays."""
_WIDE = 3
"""Blocks on and below the diagonal: ties span three frames."""


class BodyEquations:
    """Of consecutive frames, in double precision."""

    def __init__(self, moves: Sequence[Tensor]) -> None:
        """``moves``: of each frame ``[6 K, 6 B]``, see :meth:`uni4d.fourd.bodies.skeleton.Skeleton.moves`."""
        self._moves, self._frames, self._size = moves, len(moves), moves[0].shape[1]
        blocks = self._frames, self._size, self._size
        self._seen = torch.zeros(blocks, dtype=torch.float64)
        self._held = torch.zeros(_WIDE, *blocks, dtype=torch.float64)
        """[s, t]: of frame t + s (rows) and frame t."""
        self._gradient = torch.zeros(blocks[:2], dtype=torch.float64)

    def add(self, frame: int, seen: Tensor, gradient: Tensor, held: NormalEquations) -> None:
        """Add what the pictures say of one frame, ``[6 B, 6 B]`` and ``[6 B]``, and what else holds its
        nodes; only the curvature of the former is damped."""
        self._seen[frame] += seen
        self._gradient[frame] += gradient + self._moves[frame].T @ held.gradient.double().reshape(-1)
        self._held[0, frame] += projected(held, self._moves[frame])

    def tie(self, first: int, coefficients: Sequence[float], weights: Tensor, residuals: Tensor) -> None:
        """Add ½ Σ w (Σ_s c_s M δ_{first + s} + r)², with ``weights`` w and ``residuals`` r ``[K, 6]``. Frames
        outside these equations, before and after, are constants."""
        weight, residual = weights.reshape(-1).double(), residuals.reshape(-1).double()
        inside = [(first + s, c) for s, c in enumerate(coefficients) if 0 <= first + s < self._frames]
        for frame, factor in inside:
            weighted = factor * weight[:, None] * self._moves[frame]
            self._gradient[frame] += weighted.T @ residual
            for other, second in inside:
                if other >= frame:
                    self._held[other - frame, frame] += second * self._moves[other].T @ weighted

    def solved(self, damping: float) -> Tensor | None:
        """``[T, 6 B]``: the step, with ``damping`` times the diagonal of what the pictures say added
        (Levenberg & Marquardt); ``None`` where that is too little to determine one."""
        diagonal = self._seen.diagonal(dim1=1, dim2=2)
        blocks = self._held.clone()
        blocks[0] += self._seen + torch.diag_embed(damping * diagonal)
        own = blocks[0].diagonal(dim1=1, dim2=2)
        own += _FIRM * (own + own.mean())
        try:
            solved = solveh_banded(_band(blocks.numpy()), -self._gradient.reshape(-1).numpy(), lower=True)
        except np.linalg.LinAlgError:
            return None
        return torch.from_numpy(solved).reshape(self._frames, self._size)


def projected(equations: NormalEquations, moves: Tensor) -> Tensor:
    """``[6 B, 6 B]``: the curvature of nodes, for bodies that take the nodes along by ``moves``."""
    return moves.T @ (equations.dense().double() @ moves)


def _band(blocks: np.ndarray) -> np.ndarray:
    """The lower band, as LAPACK has it, of ``blocks`` ``[_WIDE, T, N, N]``."""
    _, frames, size, _ = blocks.shape
    below = blocks.transpose(1, 0, 2, 3).reshape(frames, _WIDE * size, size)
    band = np.zeros((_WIDE * size, frames * size))
    for column in range(size):
        band[: _WIDE * size - column, column::size] = below[:, column:, column].T
    return band
