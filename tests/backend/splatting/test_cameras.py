"""Cameras as tensors: the same pictures, gradients that lead a camera home, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from harness.splat_calls import camera_of

from uni4d.splatting import CameraTensors, SplatParameters, rasterise, render
from uni4d_shared.cameras import orbit_rig


def test_a_camera_in_tensors_is_the_same_camera(random_scene: Callable[..., Any]) -> None:
    scene, camera = random_scene(100, 1), camera_of(30, 20)
    tensors = CameraTensors.of(camera, scene[0])
    assert torch.equal(rasterise(*scene, tensors).image, rasterise(*scene, camera).image)
    np.testing.assert_allclose(
        CameraTensors.of(camera, scene[0].double()).positions.numpy(),
        np.linalg.inv(camera.world_to_camera)[:3, 3],
        atol=1e-12,
    )


def test_gradients_lead_a_camera_home(random_scene: Callable[..., Any]) -> None:
    """A pose and focal lengths that are a little off are found again from the picture alone."""
    scene = random_scene(150, 6, 0.3)
    true = CameraTensors.of(camera_of(40, 40), scene[0])
    target = rasterise(*scene, true).image
    generator = torch.Generator().manual_seed(0)
    view = (true.world_to_camera + 0.03 * torch.randn(4, 4, generator=generator)).requires_grad_(True)
    zoom = torch.tensor([[1.04], [1.04], [1.0]], requires_grad=True)
    optimiser = torch.optim.Adam([view, zoom], lr=0.004)
    losses = []
    for _ in range(80):
        guess = CameraTensors(view, true.intrinsics * zoom, 40, 40)
        loss = (rasterise(*scene, guess).image - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.02 * losses[0]


def test_free_parameters_show_each_camera_its_own_colours() -> None:
    """Spherical harmonics: two cameras in one call see what each sees alone."""
    generator = torch.Generator().manual_seed(2)
    splats = SplatParameters(
        torch.randn(40, 3, generator=generator) * 0.3,
        torch.randn(40, 4, generator=generator),
        torch.full((40, 3), -2.5),
        torch.ones(40),
        torch.randn(40, 4, 3, generator=generator),
    )
    cameras = orbit_rig((0, 0, 0), 1.0, size=24)[:2]
    together = render(splats, cameras)
    for index, camera in enumerate(cameras):
        torch.testing.assert_close(together.image[index], render(splats, camera).image)


def test_cameras_that_do_not_fit_are_named(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(3, 0)
    camera = CameraTensors.of(camera_of(8, 8), scene[0])
    with pytest.raises(ValueError, match=r"world_to_camera of cameras must have shape \[\.\.\., 4, 4\]"):
        rasterise(*scene, CameraTensors(camera.world_to_camera[:3], camera.intrinsics, 8, 8))
    with pytest.raises(TypeError, match=r"intrinsics of cameras is torch\.float64"):
        rasterise(*scene, CameraTensors(camera.world_to_camera, camera.intrinsics.double(), 8, 8))
    with pytest.raises(ValueError, match="different sizes"):
        rasterise(*scene, camera, other_cameras=camera_of(9, 8))
    with pytest.raises(ValueError, match="must be positive"):
        rasterise(*scene, CameraTensors(camera.world_to_camera, camera.intrinsics, 0, 8))
