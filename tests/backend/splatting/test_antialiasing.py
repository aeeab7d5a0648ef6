"""The antialiased option: small splats keep their weight, large ones their looks."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from uni4d.splatting import rasterise
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.cameras import orbit_rig

CAMERA = orbit_rig((0, 0, 0), 1.0, size=33)[0]
DISTANCE = math.hypot(*CAMERA.world_to_camera[:3, 3])


def splat_of(pixels: float, implementation: Any, antialiased: bool) -> Rendered:
    """One round splat in the middle of the image, ``pixels`` its standard deviation there."""
    ones = torch.ones(1, 3)
    size = pixels * DISTANCE / float(CAMERA.intrinsics[0, 0])
    scene = 0 * ones, torch.tensor([[1.0, 0, 0, 0]]), size * ones, torch.tensor([0.9]), ones
    return rasterise(*scene, CAMERA, implementation=implementation, low_pass=0.3, antialiased=antialiased)


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_a_small_splat_covers_what_it_is_large(implementation: Any) -> None:
    """∫ alpha = 2π o σ²; without the option the low-pass makes it much more."""
    true = 2 * math.pi * 0.9 * 0.5**2
    assert float(splat_of(0.5, implementation, True).alpha.sum()) == pytest.approx(true, rel=0.05)
    assert float(splat_of(0.5, implementation, False).alpha.sum()) > 2.0 * true


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_a_large_splat_looks_the_same(implementation: Any) -> None:
    with_it, without = (splat_of(5.0, implementation, antialiased) for antialiased in (True, False))
    torch.testing.assert_close(with_it.alpha, without.alpha, atol=0.012, rtol=0)


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_a_splat_seen_edge_on_vanishes(implementation: Any) -> None:
    """A disc without thickness has no area from the side: no alpha, and gradients that are finite."""
    forward = torch.as_tensor(CAMERA.world_to_camera[2, :3].copy()).float()
    side = torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0]))
    # a needle along the line of sight
    axis = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([1.0, 0, 0]), forward), dim=0)
    half = 0.5 * torch.acos(forward[0])
    turned = torch.cat([half.cos()[None], half.sin() * axis])[None]
    scales = torch.tensor([[0.5, 1e-12, 1e-12]])
    leaves = [t.requires_grad_(True) for t in (0 * side[None], turned, scales)]
    rendered = rasterise(
        *leaves,
        torch.ones(1),
        torch.ones(1, 3),
        CAMERA,
        implementation=implementation,
        antialiased=True,
    )
    assert float(rendered.alpha.detach().max()) < 1e-3
    gradients = torch.autograd.grad(rendered.image.sum(), leaves)
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
