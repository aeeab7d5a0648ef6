"""Pictures drawn finer and averaged are the mean of the fine picture, in every output and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness.splat_calls import camera_of
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from uni4d.splatting import Rendered, rasterise
from uni4d.splatting.supersampling import averaged, averaged_plainly
from uni4d_shared.cameras import scaled


@pytest.mark.parametrize("factor", [2, 3])
def test_a_pixel_is_the_mean_of_its_square(random_scene: Callable[..., Any], factor: int) -> None:
    scene, camera = random_scene(60, 4), camera_of(20, 15)
    moved = scene[0] + 0.05
    drawn = rasterise(*scene, camera, finer=factor, other_means=moved)
    fine = rasterise(*scene, scaled(camera, 20 * factor), other_means=moved)
    assert fine.flow is not None and drawn.flow is not None

    def mean(planes: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(planes.movedim(-1, 0)[None], factor)[0].movedim(0, -1)

    torch.testing.assert_close(drawn.image, mean(fine.image))
    torch.testing.assert_close(drawn.alpha, mean(fine.alpha[..., None])[..., 0])
    seen = drawn.alpha > 0.05
    weights = fine.alpha[..., None]
    depth = torch.where(weights > 0, fine.depth[..., None], torch.zeros(()))
    torch.testing.assert_close(
        drawn.depth[seen], (mean(depth * weights)[..., 0] / drawn.alpha)[seen], rtol=1e-4, atol=1e-4
    )
    flow = mean(fine.flow * weights) / drawn.alpha[..., None] / factor
    torch.testing.assert_close(drawn.flow[seen], flow[seen], rtol=1e-4, atol=1e-4)
    assert bool(torch.isinf(drawn.depth[drawn.alpha == 0]).all())


@given(
    batch=st.sampled_from([(), (1,), (2, 3)]),
    height=st.integers(1, 4),
    width=st.integers(1, 5),
    factor=st.integers(2, 4),
    seed=st.integers(0, 999),
)
def test_the_kernel_averages_as_its_twin_does(
    batch: tuple[int, ...], height: int, width: int, factor: int, seed: int
) -> None:
    """All outputs and gradients, of pictures with holes: pixels, and whole squares of them."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.rand(*batch, *shape, generator=generator)

    holes = (noise(height, width) < 0.3).repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    alpha = noise(height * factor, width * factor)
    alpha = torch.where(holes | (alpha < 0.2), torch.zeros(()), alpha)
    depth = torch.where(alpha > 0, 1.0 + noise(*alpha.shape[-2:]), torch.full((), torch.inf))
    planes = [p.requires_grad_(True) for p in (noise(*alpha.shape[-2:], 3), alpha, depth)]
    weights = noise(height, width, 3), noise(height, width), noise(height, width)
    results = []
    for average in (averaged, averaged_plainly):
        means = average(Rendered(*planes), factor)[:3]
        total = sum(
            (torch.where(mean.isfinite(), mean, torch.zeros(())) * weight).sum()
            for mean, weight in zip(means, weights, strict=True)
        )
        results.append((*means, *torch.autograd.grad(total, planes)))
    for fast, slow in zip(*results, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_the_fine_picture(random_scene: Callable[..., Any]) -> None:
    camera = camera_of(16, 12)
    leaves = [t.requires_grad_(True) for t in random_scene(40, 5)]
    weights = torch.rand(12, 16, 3, generator=torch.Generator().manual_seed(0))
    found = torch.autograd.grad((rasterise(*leaves, camera, finer=2).image * weights).sum(), leaves)
    spread = weights.repeat_interleave(2, 0).repeat_interleave(2, 1) / 4
    true = torch.autograd.grad((rasterise(*leaves, scaled(camera, 32)).image * spread).sum(), leaves)
    for own, other in zip(found, true, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-6)


def test_a_factor_below_one_is_refused(random_scene: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="finer must be at least 1, got 0"):
        rasterise(*random_scene(3, 0), camera_of(8, 8), finer=0)
