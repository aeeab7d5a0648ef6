"""What is assumed of a motion before any frame is seen: locally rigid, and smooth in time.

All terms are free of units: lengths are relative to edges or to the object's radius.
"""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.ties import Ties
from uni4d.splatting.projection import rotation_matrices
from uni4d_shared.trajectories import precision

__all__ = ["PathPrior", "rigidity"]

_TURN_SHARE = 0.1


def rigidity(motion: MotionParameters, ties: Ties, frames: Tensor) -> Tensor:
    """As rigid as possible (Sumner et al. 2007, E_reg): the mean of ‖e‖² of :mod:`uni4d.fourd.elasticity`
    over ties and ``frames`` ``[B]``."""
    if len(ties.first) == 0:
        return motion.translations.new_zeros(())
    apart = ties.apart(rotation_matrices(motion.rotations[frames]), motion.radius * motion.positions(frames))
    return apart.square().sum(-1).mean()


class PathPrior:
    """The Gaussian process over time of :mod:`uni4d_shared.trajectories`, as a loss on single frames.

    Given all other frames, a frame's coordinate is normal about m_t = −Σ_{s≠t} P_ts x_s / P_tt with the
    precision P_tt, P = K⁻¹; taken about x_t itself, for the constant is unknown: what keeps still costs
    nothing. The loss is the mean of P_tt (x_t − m_t)² over nodes and axes, whose gradient with respect to
    frame t is that of the whole prior xᵀ P x; P is scaled to a mean diagonal of one.
    """

    def __init__(self, frames: int, length_scale: float) -> None:
        own = precision(frames, length_scale)
        self._precision = torch.from_numpy(own / own.diagonal().mean()).float()

    def loss(self, motion: MotionParameters, frames: Tensor) -> Tensor:
        """Of the nodes' places (radii) and turns at ``frames`` ``[B]``."""
        total = self._of(motion.translations, frames)
        with torch.no_grad():
            turns = _aligned(motion.rotations.detach(), motion.rotations.detach()[frames])
        return total + _TURN_SHARE * self._of_turns(motion.rotations[frames], turns, frames)

    def _of(self, paths: Tensor, frames: Tensor) -> Tensor:
        rows = self._precision[frames]  # [B, T]
        own = rows.gather(1, frames[:, None])  # [B, 1]
        with torch.no_grad():
            away = torch.einsum("bt,btkc->bkc", rows, paths[None] - paths[frames][:, None])
            expected = paths[frames] - away / own[..., None]
        return (own[..., None] * (paths[frames] - expected).square()).mean()

    def _of_turns(self, now: Tensor, aligned: Tensor, frames: Tensor) -> Tensor:
        """``aligned`` ``[B, T, K, 4]``: all frames, with the signs of each of ``now`` ``[B, K, 4]``."""
        rows = self._precision[frames]
        own = rows.gather(1, frames[:, None])
        with torch.no_grad():
            itself = aligned[torch.arange(len(frames)), frames]
            away = torch.einsum("bt,btkc->bkc", rows, aligned - itself[:, None])
            expected = itself - away / own[..., None]
        return (own[..., None] * (now - expected).square()).mean()


def _aligned(quaternions: Tensor, reference: Tensor) -> Tensor:
    """``[B, T, K, 4]``: quaternions ``[T, K, 4]`` with the sign that is nearer along the way from each
    ``reference`` ``[B, K, 4]``."""
    flips = (quaternions[None] * reference[:, None]).sum(-1, keepdim=True) < 0
    return torch.where(flips, -quaternions[None], quaternions[None])
