"""Normal equations of many frames at once: dense within a frame, and ties between neighbouring frames.

With δ_t the unknowns of frame t, the sum of ½ δ_tᵀ H_t δ_t + g_tᵀ δ_t and of ½ w (Σ_s c_s δ_{t+s} + r)² over
neighbouring frames is minimal where a block-pentadiagonal system holds, whose blocks beside the diagonal are
themselves diagonal. Its Cholesky factor has the same band, so time is linear in the number of frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from uni4d.fourd.elasticity import NormalEquations

__all__ = ["BandedEquations"]

_FIRM = 1e-6
"""Added to the diagonal, relative to it: what nothing determines stays."""


class BandedEquations:
    """Of ``frames`` frames of ``nodes`` nodes with 6 unknowns each, in double precision."""

    def __init__(self, frames: int, nodes: int) -> None:
        self._frames, self._nodes, self._size = frames, nodes, 6 * nodes
        self._seen = [torch.zeros(0) for _ in range(frames)]
        self._held = [torch.zeros(0) for _ in range(frames)]
        self._ties = torch.zeros(2, frames, self._size, dtype=torch.float64)
        self._diagonal = torch.zeros(frames, self._size, dtype=torch.float64)
        self._gradient = torch.zeros(frames, self._size, dtype=torch.float64)

    def add(self, frame: int, seen: NormalEquations, held: NormalEquations) -> None:
        """Add what the pictures say of one frame, and what else holds it; only the former is damped."""
        self._seen[frame], self._held[frame] = seen.dense().double(), held.dense().double()
        self._gradient[frame] += (seen.gradient + held.gradient).reshape(-1).double()

    def tie(self, first: int, coefficients: Sequence[float], weights: Tensor, residuals: Tensor) -> None:
        """Add ½ Σ w (Σ_s c_s δ_{first + s} + r)², with ``weights`` w and ``residuals`` r ``[K, 6]``. Frames
        outside these equations, before and after, are constants."""
        weight, residual = weights.reshape(-1).double(), residuals.reshape(-1).double()
        inside = [(first + s, c) for s, c in enumerate(coefficients) if 0 <= first + s < self._frames]
        for frame, factor in inside:
            self._gradient[frame] += factor * weight * residual
            self._diagonal[frame] += factor * factor * weight
            for other, second in inside:
                if other > frame:
                    self._ties[other - frame - 1, frame] += factor * second * weight

    @property
    def gradient(self) -> Tensor:
        """``[T, K, 6]``"""
        return self._gradient.reshape(self._frames, self._nodes, 6)

    def solved(self, damping: float) -> Tensor:
        """``[T, K, 6]``: the step, with ``damping`` times what the pictures say added (Levenberg)."""
        # The factor's blocks two below the diagonal are D L⁻ᵀ, with D one of the ties. That they are never
        # written down saves half the time.
        near, far = self._ties
        lower: list[Tensor] = []
        beside: list[Tensor] = []
        forward: list[Tensor] = []
        for frame in range(self._frames):
            block = self._block(frame, damping)
            right = -self._gradient[frame]
            if frame >= 2:
                tie, before = far[frame - 2], lower[frame - 2]
                block -= tie[:, None] * torch.cholesky_inverse(before) * tie
                right -= tie * _solved(before.T, forward[frame - 2], upper=True)
            if frame >= 1:
                between = torch.diag(near[frame - 1])
                if frame >= 2:
                    between -= _over(beside[frame - 2], lower[frame - 2]) * far[frame - 2]
                under = torch.linalg.solve_triangular(lower[frame - 1], between, upper=False).T
                block -= under @ under.T
                right -= under @ forward[frame - 1]
                beside.append(under)
            lower.append(torch.linalg.cholesky(block))
            forward.append(_solved(lower[frame], right, upper=False))
        return self._backward(lower, beside, forward).reshape(self._frames, self._nodes, 6).float()

    def _backward(self, lower: list[Tensor], beside: list[Tensor], forward: list[Tensor]) -> Tensor:
        steps = torch.zeros(self._frames, self._size, dtype=torch.float64)
        for frame in reversed(range(self._frames)):
            right = forward[frame]
            if frame + 1 < self._frames:
                right = right - beside[frame].T @ steps[frame + 1]
            if frame + 2 < self._frames:
                right = right - _solved(lower[frame], self._ties[1, frame] * steps[frame + 2], upper=False)
            steps[frame] = _solved(lower[frame].T, right, upper=True)
        return steps

    def _block(self, frame: int, damping: float) -> Tensor:
        block = (1.0 + damping) * self._seen[frame] + self._held[frame]
        diagonal = block.diagonal()
        diagonal += self._diagonal[frame]
        diagonal += _FIRM * (diagonal + diagonal.mean())
        return block


def _solved(triangle: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    return torch.linalg.solve_triangular(triangle, right[:, None], upper=upper)[:, 0]


def _over(matrix: Tensor, lower: Tensor) -> Tensor:
    """``matrix`` times the inverse of ``lower``."""
    return torch.linalg.solve_triangular(lower, matrix, upper=False, left=False)
