"""Adam without what ``torch.optim`` brings along: its optimisers load PyTorch's compiler when they are first
used, which takes seconds, for nothing here. The arithmetic is PyTorch's own, to the bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

__all__ = ["Adam"]

_BETA1, _BETA2 = 0.9, 0.999


class Adam:
    """Kingma & Ba 2015. ``param_groups`` and ``state`` are those of ``torch.optim.Adam``."""

    def __init__(self, rates: Mapping[Tensor, float], epsilon: float, *, fused: bool = False) -> None:
        """``rates``: of each parameter; ``fused``: all of a step in one kernel, which rounds otherwise."""
        self._epsilon, self._fused = epsilon, fused
        self.param_groups: list[dict[str, Any]] = [
            {"params": [parameter], "lr": rate} for parameter, rate in rates.items()
        ]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    @property
    def parameters(self) -> list[Tensor]:
        return [group["params"][0] for group in self.param_groups]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """One step; ``gradients`` of the parameters, in their order."""
        for group, gradient in zip(self.param_groups, gradients, strict=True):
            parameter = group["params"][0]
            if parameter not in self.state:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                self.state[parameter] = {"step": torch.tensor(0.0), **moments}
            known = self.state[parameter]
            adam(
                *([parameter], [gradient], [known["exp_avg"]], [known["exp_avg_sq"]], [], [known["step"]]),
                foreach=False, fused=self._fused, amsgrad=False, beta1=_BETA1, beta2=_BETA2, lr=group["lr"],
                weight_decay=0.0, eps=self._epsilon, maximize=False,
            )  # fmt: skip

    def slow_down(self, factor: float) -> None:
        """All rates from now on ``factor`` times what they are."""
        for group in self.param_groups:
            group["lr"] *= factor
