"""Screen-space flow: what moves by how many pixels, whether the splats move or the camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from harness.splat_calls import camera_of

from uni4d.splatting import CameraTensors, rasterise
from uni4d_shared.cameras import orbit_rig


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_flow_is_the_displacement_on_the_image(implementation: Any) -> None:
    """A splat that moves along the image's x by d metres at depth z moves focal d / z pixels."""
    camera = orbit_rig((0, 0, 0), 1.0, size=33)[0]
    right = torch.as_tensor(camera.world_to_camera[0, :3].copy()).float()
    ones = torch.ones(1, 3)
    scene = 0 * ones, torch.tensor([[1.0, 0, 0, 0]]), 0.1 * ones, 0.8 * ones[0, :1], ones
    rendered = rasterise(*scene, camera, implementation=implementation, other_means=scene[0] + 0.2 * right)
    assert rendered.flow is not None
    pixels = camera.intrinsics[0, 0] * 0.2 / float(rendered.depth[16, 16])
    seen = rendered.alpha > 0.01
    torch.testing.assert_close(
        rendered.flow[seen], torch.tensor([pixels, 0.0]).float().expand(int(seen.sum()), 2), atol=1e-3, rtol=0
    )
    assert not bool(rendered.flow[rendered.alpha == 0].any())


def test_what_is_behind_does_not_blend_in_more_than_it_shows() -> None:
    """Flow is a mean by weight: of a half transparent splat at rest before a moving opaque one, half."""
    camera = orbit_rig((0, 0, 0), 1.0, size=33)[0]
    back = torch.as_tensor(camera.world_to_camera[2, :3].copy()).float()
    right = torch.as_tensor(camera.world_to_camera[0, :3].copy()).float()
    means = torch.stack([-0.1 * back, 0.1 * back])
    ones = torch.ones(2, 3)
    turned = torch.tensor([[1.0, 0, 0, 0]]).expand(2, 4)
    scene = means, turned, 2.0 * ones, torch.tensor([0.5, 0.98]), ones
    moved = means + torch.stack([0 * right, 0.1 * right])
    rendered = rasterise(*scene, camera, other_means=moved)
    alone = rasterise(*(t[1:] for t in scene), camera, other_means=moved[1:])
    assert rendered.flow is not None and alone.flow is not None
    share = 0.5 * 0.98 / (0.5 + 0.5 * 0.98)
    torch.testing.assert_close(rendered.flow[16, 16], alone.flow[16, 16] * share, atol=1e-2, rtol=0)


def test_a_moving_camera_and_moving_splats_make_the_same_flow(random_scene: Callable[..., Any]) -> None:
    scene, camera = random_scene(80, 3), camera_of(32, 24)
    here = CameraTensors.of(camera, scene[0])
    shift = torch.tensor([0.1, -0.2, 0.05])
    view = here.world_to_camera.clone()
    view[:3, 3] += view[:3, :3] @ shift
    by_camera = rasterise(*scene, here, other_cameras=CameraTensors(view, here.intrinsics, 32, 24))
    by_splats = rasterise(*scene, here, other_means=scene[0] + shift)
    assert by_camera.flow is not None and by_splats.flow is not None
    torch.testing.assert_close(by_camera.flow, by_splats.flow, atol=1e-3, rtol=1e-3)
    assert rasterise(*scene, here).flow is None


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_a_splat_that_leaves_behind_the_camera_counts_as_still(
    random_scene: Callable[..., Any], implementation: Any
) -> None:
    scene, camera = random_scene(20, 3), camera_of(16, 16)
    away = scene[0] - 20.0 * torch.as_tensor(camera.world_to_camera[2, :3].copy()).float()
    rendered = rasterise(*scene, camera, implementation=implementation, other_means=away)
    assert rendered.flow is not None
    assert not bool(rendered.flow.any())
    assert bool((rendered.alpha > 0.5).any())
