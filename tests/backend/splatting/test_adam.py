"""Adam takes PyTorch's steps, to the bit."""

from __future__ import annotations

import pytest
import torch

from uni4d.splatting.adam import Adam


@pytest.mark.parametrize("fused", [False, True])
def test_steps_are_those_of_pytorch(fused: bool) -> None:
    generator = torch.Generator().manual_seed(7)
    start = [torch.randn(50, 3, generator=generator), torch.randn(20, generator=generator)]
    own, theirs = ([value.clone().requires_grad_(True) for value in start] for _ in range(2))
    rates = (0.01, 0.3)
    mine = Adam(dict(zip(own, rates, strict=True)), 1e-8, fused=fused)
    groups = [{"params": [p], "lr": rate} for p, rate in zip(theirs, rates, strict=True)]
    known = torch.optim.Adam(groups, eps=1e-8, fused=fused)
    for _ in range(12):
        gradients = [torch.randn(value.shape, generator=generator) for value in start]
        mine.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        known.step()
        mine.slow_down(0.9)
        for group in known.param_groups:
            group["lr"] *= 0.9
        for one, other in zip(own, theirs, strict=True):
            assert torch.equal(one, other)
    assert not torch.equal(own[0], start[0])
