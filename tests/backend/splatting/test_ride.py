"""How a moved mesh carries splats that change: what it does to the splats it has, with gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, splats_from_mesh

SETTINGS = settings(max_examples=15, deadline=None)


@pytest.fixture(scope="module")
def bound(two_tone_box: TexturedMesh) -> BoundSplats:
    return splats_from_mesh(two_tone_box, 300)


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
def test_splats_as_they_are_go_where_they_are_carried(bound: BoundSplats, seed: int) -> None:
    moved = bent(bound.vertices, seed)
    ridden, carried = bound.ride(moved).placed(bound.splats), bound.carried(moved)
    torch.testing.assert_close(ridden.means, carried.means, atol=1e-5, rtol=0)
    same = (ridden.quaternions * carried.quaternions).sum(dim=1).abs()
    torch.testing.assert_close(same, torch.ones(len(bound)), atol=1e-5, rtol=0)


@given(seed=st.integers(0, 2**31 - 1))
@SETTINGS
def test_splats_that_have_changed_go_where_they_would_be_carried(bound: BoundSplats, seed: int) -> None:
    generator, moved = torch.Generator().manual_seed(seed), bent(bound.vertices, seed)
    changed = bound.splats.replaced(
        means=bound.splats.means + 0.1 * torch.randn(len(bound), 3, generator=generator),
        quaternions=torch.nn.functional.normalize(torch.randn(len(bound), 4, generator=generator), dim=1),
    )
    ridden = bound.ride(moved).placed(changed)
    carried = replace(bound, splats=changed).carried(moved)
    torch.testing.assert_close(ridden.means, carried.means, atol=1e-5, rtol=0)
    same = (ridden.quaternions * carried.quaternions).sum(dim=1).abs()
    torch.testing.assert_close(same, torch.ones(len(bound)), atol=1e-5, rtol=0)


def test_gradients_go_back_to_the_splats_at_rest(bound: BoundSplats) -> None:
    """Turned by a quarter about the vertical, a step along y in the world is one along x at rest."""
    quarter = math.pi / 2
    turn = torch.tensor(
        [[math.cos(quarter), -math.sin(quarter), 0], [math.sin(quarter), math.cos(quarter), 0], [0, 0, 1]]
    )
    splats = bound.splats.detached(trainable=True)
    placed = bound.ride(bound.vertices @ turn.T).placed(splats)
    (gradient,) = torch.autograd.grad(placed.means[:, 1].sum(), splats.means)
    torch.testing.assert_close(gradient, torch.tensor([1.0, 0, 0]).expand_as(gradient), atol=1e-5, rtol=0)

    ride, some = bound.ride(bent(bound.vertices, 1)), slice(0, 5)
    double = replace(
        ride, **{name: getattr(ride, name)[some].double() for name in ("before", "now", "turns")}
    )
    few = bound.splats.select(torch.arange(5))

    def moved(means: Tensor, quaternions: Tensor) -> tuple[Tensor, ...]:
        return tuple(double.placed(few.replaced(means=means, quaternions=quaternions)))

    start = [value.double().requires_grad_(True) for value in (few.means, few.quaternions)]
    assert torch.autograd.gradcheck(moved, start)
