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
from uni4d.splatting.threads import side_by_side

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
        """``[T, K, 6]``: the step, with ``damping`` times what the pictures say added (Levenberg).

        The clip is eliminated from both ends at once, each on a thread of its own, until two frames are left.
        """
        frames, near, far = range(self._frames), self._ties[0, :-1], self._ties[1, :-2]
        first = max(self._frames - 2, 0) // 2
        runs = (frames[:first], near, far), (frames[first + 2 :][::-1], near.flip(0), far.flip(0))
        ahead, behind = side_by_side(lambda run: self._eliminated(*run, damping), runs)
        middle = list(frames[first : first + 2])
        found = self._met(ahead, behind, middle, damping)
        steps = [*ahead.steps(found), *found, *behind.steps(found[::-1])[::-1]]
        return torch.stack(steps).reshape(self._frames, self._nodes, 6).float()

    def _eliminated(self, run: Sequence[int], near: Tensor, far: Tensor, damping: float) -> _Eliminated:
        found = _Eliminated(near, far)
        for frame in run:
            found.add(self._block(frame, damping), -self._gradient[frame])
        return found

    def _met(
        self, ahead: _Eliminated, behind: _Eliminated, middle: Sequence[int], damping: float
    ) -> list[Tensor]:
        """The steps of the one or two frames that are left between two runs."""
        blocks = [self._block(frame, damping) for frame in middle]
        rights = [-self._gradient[frame] for frame in middle]
        if len(middle) == 1:
            ahead.close(blocks, rights)
            return [torch.cholesky_solve(rights[0][:, None], torch.linalg.cholesky(blocks[0]))[:, 0]]
        between = torch.diag(self._ties[0, middle[0]])
        between -= ahead.close(blocks, rights)
        between -= behind.close(blocks[::-1], rights[::-1]).T
        whole = torch.cat([torch.cat([blocks[0], between], dim=1), torch.cat([between.T, blocks[1]], dim=1)])
        found = torch.cholesky_solve(torch.cat(rights)[:, None], torch.linalg.cholesky(whole))
        return list(found.reshape(2, -1))

    def _block(self, frame: int, damping: float) -> Tensor:
        block = torch.add(self._held[frame], self._seen[frame], alpha=1.0 + damping)
        diagonal = block.diagonal()
        diagonal += self._diagonal[frame]
        diagonal += _FIRM * (diagonal + diagonal.mean())
        return block


class _Eliminated:
    """A run of frames from one end of the clip inwards, as the rows of a Cholesky factor.

    Of the factor, the blocks two below the diagonal are D L⁻ᵀ, with D one of the ties. That they are never
    written down saves half the time.
    """

    def __init__(self, near: Tensor, far: Tensor) -> None:
        """Ties with the next frame, and the one after that, ``[T − 1, 6 K]`` and ``[T − 2, 6 K]``, in the
        order of the run."""
        self._near, self._far = near, far
        self._lower: list[Tensor] = []
        self._beside: list[Tensor] = []
        self._forward: list[Tensor] = []

    def add(self, block: Tensor, right: Tensor) -> None:
        """The next frame, with its block of the matrix and its right side, which are used up."""
        self._subtract(block, right)
        self._lower.append(torch.linalg.cholesky(block))
        self._forward.append(_solved(self._lower[-1], right, upper=False))

    def close(self, blocks: Sequence[Tensor], rights: Sequence[Tensor]) -> Tensor:
        """Subtract from the blocks and right sides of the one or two frames after the run what the run says
        of them, in place; what is to be subtracted from the block between the two is returned."""
        count = len(self._lower)
        self._subtract(blocks[0], rights[0])
        if count == 0 or len(blocks) < 2:
            return torch.zeros_like(blocks[0])
        self._subtract_far(count - 1, blocks[1], rights[1])
        return _over(self._beside[-1], self._lower[-1]) * self._far[count - 1]

    def steps(self, after: Sequence[Tensor]) -> list[Tensor]:
        """Of the run's frames, where those after it take the steps ``after``."""
        steps = [*(torch.zeros(0) for _ in self._lower), *after]
        for frame in reversed(range(len(self._lower))):
            right = self._forward[frame] - self._beside[frame].T @ steps[frame + 1]
            if frame + 2 < len(steps):
                right -= _solved(self._lower[frame], self._far[frame] * steps[frame + 2], upper=False)
            steps[frame] = _solved(self._lower[frame].T, right, upper=True)
        return steps[: len(self._lower)]

    def _subtract(self, block: Tensor, right: Tensor) -> None:
        count = len(self._lower)
        if count == 0:
            return
        between = torch.diag(self._near[count - 1])
        if count >= 2:
            self._subtract_far(count - 2, block, right)
            between -= _over(self._beside[-1], self._lower[count - 2]) * self._far[count - 2]
        under = torch.linalg.solve_triangular(self._lower[-1], between, upper=False).T
        block.addmm_(under, under.T, alpha=-1.0)
        right -= under @ self._forward[-1]
        self._beside.append(under)

    def _subtract_far(self, frame: int, block: Tensor, right: Tensor) -> None:
        """From the block of the frame after the next."""
        tie, lower = self._far[frame], self._lower[frame]
        block -= torch.cholesky_inverse(lower).mul_(tie[:, None]).mul_(tie)
        right -= tie * _solved(lower.T, self._forward[frame], upper=True)


def _solved(triangle: Tensor, right: Tensor, *, upper: bool) -> Tensor:
    return torch.linalg.solve_triangular(triangle, right[:, None], upper=upper)[:, 0]


def _over(matrix: Tensor, lower: Tensor) -> Tensor:
    """``matrix`` times the inverse of ``lower``."""
    return torch.linalg.solve_triangular(lower, matrix, upper=False, left=False)
