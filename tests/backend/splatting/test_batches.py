"""Batches: cameras × moments in one call are the single pictures, and gradients of what is shared add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from uni4d.splatting import CameraTensors, rasterise
from uni4d_shared.cameras import orbit_rig

CAMERAS = orbit_rig((0, 0, 0), 1.0, size=32)[:3]


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_moments_times_cameras_in_one_call(random_scene: Callable[..., Any], implementation: Any) -> None:
    """Means [T, 1, N, 3] and cameras [C] make images [T, C, H, W, 3]."""
    means, *rest = random_scene(60, 5)
    moved = torch.stack([means, means + 0.1])
    backgrounds = torch.rand(3, 3)
    together = rasterise(
        moved[:, None], *rest, CAMERAS, backgrounds, implementation, other_means=moved.flip(0)[:, None]
    )
    assert together.image.shape == (2, 3, 32, 32, 3)
    assert together.flow is not None and together.flow.shape == (2, 3, 32, 32, 2)
    for t in range(2):
        for c, camera in enumerate(CAMERAS):
            alone = rasterise(
                moved[t], *rest, camera, backgrounds[c], implementation, other_means=moved[1 - t]
            )
            assert alone.flow is not None
            for own, part in zip(alone, together, strict=True):
                assert own is not None and part is not None
                torch.testing.assert_close(part[t, c], own, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_one_camera_sees_many_moments(random_scene: Callable[..., Any], implementation: Any) -> None:
    means, *rest = random_scene(60, 5)
    moved = torch.stack([means, means + 0.1, means - 0.2])
    together = rasterise(moved, *rest, CAMERAS[0], implementation=implementation)
    for index in range(3):
        alone = rasterise(moved[index], *rest, CAMERAS[0], implementation=implementation)
        torch.testing.assert_close(together.image[index], alone.image, atol=1e-6, rtol=1e-6)


def test_gradients_of_what_images_share_add_up(random_scene: Callable[..., Any]) -> None:
    scene = [t.requires_grad_(True) for t in random_scene(90, 7)]
    intrinsics = CameraTensors.of(CAMERAS[0], scene[0]).intrinsics.requires_grad_(True)
    background = torch.tensor([0.1, 0.6, 0.3], requires_grad=True)
    leaves = [*scene, intrinsics, background]
    views = CameraTensors.of(CAMERAS, scene[0]).world_to_camera
    weights = torch.rand(3, 32, 32, 3)
    together = rasterise(*scene, CameraTensors(views, intrinsics, 32, 32), background).image
    gradients = torch.autograd.grad((together * weights).sum(), leaves)
    parts = []
    for view, weight in zip(views, weights, strict=True):
        image = rasterise(*scene, CameraTensors(view, intrinsics, 32, 32), background).image
        parts.append(torch.autograd.grad((image * weight).sum(), leaves))
    for own, expected in zip(gradients, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(own, sum(expected), atol=1e-3, rtol=1e-4)


def test_batches_that_do_not_fit_are_named(random_scene: Callable[..., Any]) -> None:
    means, *rest = random_scene(4, 0)
    with pytest.raises(ValueError, match=r"means \[2\], cameras \[3\]"):
        rasterise(torch.stack([means, means]), *rest, CAMERAS)
    with pytest.raises(ValueError, match=r"without images: means \[0\]"):
        rasterise(means[None][:0], *rest, CAMERAS[0])
    with pytest.raises(ValueError, match=r"other_means must have shape \[\.\.\., 4, 3\]"):
        rasterise(means, *rest, CAMERAS[0], other_means=means[:2])
