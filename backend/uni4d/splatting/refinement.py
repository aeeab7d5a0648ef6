"""Gradient descent on splats that belong to a surface.

Positions and sizes move a little, so that every splat still belongs to its triangle, and splats that no
picture shows stay as the mesh has them.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from uni4d.splatting.adam import Adam
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.splitting import split

__all__ = ["Refinement", "decay_over"]

_WEIGHT_OFFSET = 0.0005
"""Pull back to the surface, per (offset / size)². Weak: a splat on the surface stands out by about half its
size, so splats sink in by as much."""
_WEIGHTS_CHANGE = {"log_scales": 0.001, "opacity_logits": 0.001, "coefficients": 0.001}
"""Pull back to the start, or to what the last split left, per change². Adam moves a splat that is hardly seen
as far as any other; behind a rim it grows unpunished, until another camera sees it."""
_GROWTH = 0.7
"""A splat grows to at most twice (e^0.7) the size that it was placed with, in each of its axes: what sticks
out behind a rim, in no photograph's sight, flares up when things bend."""
_RATES = {  # Adam; positions in units of the splats' size
    "means": 0.15,
    "quaternions": 0.01,
    "log_scales": 0.1,
    "opacity_logits": 0.1,
    "coefficients": 0.08,
}
_FINAL_RATE = 0.05
"""The learning rates fall to this fraction, exponentially."""


def decay_over(steps: int) -> float:
    """By what the learning rates fall each step, of so many."""
    return _FINAL_RATE ** (1.0 / max(steps, 1))


class Refinement:
    """Adam on bound splats, between two splits."""

    def __init__(
        self, bound: BoundSplats, hidden: Tensor, factor: float, placed: Tensor | None = None
    ) -> None:
        """``hidden`` ``[N]`` bool: they stay, but may draw back; ``factor``: of the learning rates;
        ``placed`` ``[N, 3]``: the logarithms of the sizes that they were placed with, if not as they are."""
        self._bound, self.hidden = bound, hidden
        self._placed = bound.splats.log_scales.detach() if placed is None else placed
        self._start, self._anchors = bound.splats.detached(), bound.anchors(bound.vertices)
        self.splats = self._start.detached(trainable=True)
        """as they are now; leaves"""
        self._spacing = float(self._start.scales.median())
        rates = {}
        for name, rate in _RATES.items():
            unit = self._spacing if name == "means" else 1.0
            rates[getattr(self.splats, name)] = factor * rate * unit
        self.optimiser = Adam(rates, 1e-8, fused=True)

    def step(self, loss: Tensor, decay: float) -> None:
        """Down the loss of the pictures and of what pulls back; then the rates fall by ``decay``."""
        offset = (self.splats.means - self._anchors) / self._spacing
        loss = loss + _WEIGHT_OFFSET * offset.square().mean()
        for name, weight in _WEIGHTS_CHANGE.items():
            change = getattr(self.splats, name) - getattr(self._start, name)
            loss = loss + weight * change.square().mean()
        self.optimiser.step(torch.autograd.grad(loss, self.optimiser.parameters))
        self._keep()
        self.optimiser.slow_down(decay)

    @torch.no_grad()
    def _keep(self) -> None:
        """Put what is hidden back to where it was; smaller it may be: it is seen only if it sticks out."""
        hidden, sizes = self.hidden, self.splats.log_scales
        for name in _RATES:
            now, before = getattr(self.splats, name), getattr(self._start, name)[hidden]
            now[hidden] = torch.minimum(now[hidden], before) if name == "log_scales" else before
        sizes.copy_(torch.minimum(sizes, self._placed + _GROWTH))

    def refined(self) -> BoundSplats:
        """The splats as they are now."""
        return replace(self._bound, splats=self.splats.detached())

    def split(self, which: Tensor, factor: float, seed: int) -> Refinement:
        """Go on with the splats at ``which`` split in two."""
        before = self.splats.log_scales.detach()
        bound, parents = split(self.refined(), which, seed)
        shorter = bound.splats.log_scales - before[parents]  # children, along the axis that was cut
        return Refinement(bound, self.hidden[parents], factor, self._placed[parents] + shorter)
