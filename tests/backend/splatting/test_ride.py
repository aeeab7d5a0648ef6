"""How a moved mesh carries splats that change: what it does to the splats it has, with gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.splatting import BoundSplats

SETTINGS = settings(max_examples=15, deadline=None)


def bent(vertices: Tensor, seed: int) -> Tensor:
    """Turned, moved, and every corner shifted by itself."""
    generator = torch.Generator().manual_seed(seed)
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator))
    turn = turn * torch.sign(torch.linalg.det(turn))
    return (
        vertices @ turn.T
        + torch.randn(3, generator=generator)
        + 0.1 * torch.randn(vertices.shape, generator=generator)
    )


@given(seed=st.integers(0, 2**31 - 1))
@SETTINGS
def test_splats_as_they_are_go_where_they_are_carried(bound_box: BoundSplats, seed: int) -> None:
    moved = bent(bound_box.vertices, seed)
    ridden, carried = bound_box.ride(moved).placed(bound_box.splats), bound_box.carried(moved)
    torch.testing.assert_close(ridden.means, carried.means, atol=1e-5, rtol=0)
    same = (ridden.quaternions * carried.quaternions).sum(dim=1).abs()
    torch.testing.assert_close(same, torch.ones(len(bound_box)), atol=1e-5, rtol=0)


@given(seed=st.integers(0, 2**31 - 1))
@SETTINGS
def test_splats_that_have_changed_go_where_they_would_be_carried(bound_box: BoundSplats, seed: int) -> None:
    generator, moved = torch.Generator().manual_seed(seed), bent(bound_box.vertices, seed)
    changed = bound_box.splats.replaced(
        means=bound_box.splats.means + 0.1 * torch.randn(len(bound_box), 3, generator=generator),
        quaternions=torch.nn.functional.normalize(torch.randn(len(bound_box), 4, generator=generator), dim=1),
    )
    ridden = bound_box.ride(moved).placed(changed)
    carried = replace(bound_box, splats=changed).carried(moved)
    torch.testing.assert_close(ridden.means, carried.means, atol=1e-5, rtol=0)
    same = (ridden.quaternions * carried.quaternions).sum(dim=1).abs()
    torch.testing.assert_close(same, torch.ones(len(bound_box)), atol=1e-5, rtol=0)


def test_gradients_go_back_to_the_splats_at_rest(bound_box: BoundSplats) -> None:
    """Turned by a quarter about the vertical, a step along y in the world is one along x at rest."""
    quarter = math.pi / 2
    turn = torch.tensor(
        [[math.cos(quarter), -math.sin(quarter), 0], [math.sin(quarter), math.cos(quarter), 0], [0, 0, 1]]
    )
    splats = bound_box.splats.detached(trainable=True)
    placed = bound_box.ride(bound_box.vertices @ turn.T).placed(splats)
    (gradient,) = torch.autograd.grad(placed.means[:, 1].sum(), splats.means)
    torch.testing.assert_close(gradient, torch.tensor([1.0, 0, 0]).expand_as(gradient), atol=1e-5, rtol=0)

    ride, some = bound_box.ride(bent(bound_box.vertices, 1)), slice(0, 5)
    double = replace(
        ride, **{name: getattr(ride, name)[some].double() for name in ("before", "now", "turns")}
    )
    few = bound_box.splats.select(torch.arange(5))

    def moved(means: Tensor, quaternions: Tensor) -> tuple[Tensor, ...]:
        return tuple(double.placed(few.replaced(means=means, quaternions=quaternions)))

    start = [value.double().requires_grad_(True) for value in (few.means, few.quaternions)]
    assert torch.autograd.gradcheck(moved, start)
