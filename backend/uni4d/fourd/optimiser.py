"""Adam for a stack of frames of which each step touches a few.

An ordinary Adam would push every frame with stale momentum in every step; here each frame has its own moments
and its own step count, and moves only when it is in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from uni4d.fourd.checkpoint import Kept

__all__ = ["FrameAdam"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.99, 1e-12


class FrameAdam:
    """Kingma & Ba 2015, per frame; the tensors have a leading dimension of frames."""

    def __init__(self, tensors: Sequence[Tensor], rates: Sequence[float]) -> None:
        self._tensors, self._rates = tuple(tensors), tuple(rates)
        self._first = [torch.zeros_like(t, requires_grad=False) for t in tensors]
        self._second = [torch.zeros_like(t, requires_grad=False) for t in tensors]
        self._steps = torch.zeros(len(tensors[0]))

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts, for a checkpoint."""
        named = {"adam.steps": self._steps}
        for number, (first, second) in enumerate(zip(self._first, self._second, strict=True)):
            named |= {f"adam.{number}.first": first, f"adam.{number}.second": second}
        return named

    def read(self, kept: Kept) -> dict[str, Tensor]:
        """What :meth:`state` had, checked; for :meth:`restore`."""
        return {name: kept.like(name, tensor) for name, tensor in self.state().items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in self.state().items():
            tensor.copy_(state[name])

    @torch.no_grad()
    def step(self, frames: Tensor, gradients: Sequence[Tensor], factor: float = 1.0) -> None:
        """Move ``frames`` ``[B]`` (each once) against ``gradients``, at ``factor`` times the rates."""
        self._steps[frames] += 1
        steps = self._steps[frames]
        for tensor, gradient, first, second, rate in zip(
            self._tensors, gradients, self._first, self._second, self._rates, strict=True
        ):
            own = gradient[frames]
            shape = (-1, *([1] * (own.ndim - 1)))
            first[frames] = _BETA1 * first[frames] + (1 - _BETA1) * own
            second[frames] = _BETA2 * second[frames] + (1 - _BETA2) * own.square()
            mean = first[frames] / (1 - _BETA1**steps).view(shape)
            spread = (second[frames] / (1 - _BETA2**steps).view(shape)).sqrt()
            tensor[frames] -= factor * rate * mean / (spread + _EPSILON)
