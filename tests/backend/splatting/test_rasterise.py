"""The rasteriser draws what the formula says, whatever it is given; wrong inputs are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from harness.splat_calls import camera_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.splatting import CameraTensors, projection, rasterise
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.cameras import orbit_rig, project
from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera


def render(
    scene: Sequence[Tensor],
    camera: Camera | Sequence[Camera],
    background: Sequence[float] | Tensor = (1.0, 1.0, 1.0),
    implementation: Any = "cpu",
) -> Rendered:
    """By the formulas of 3D Gaussian splatting."""
    means, quaternions, scales, opacities, colors = scene
    return rasterise(
        *(means, quaternions, scales, opacities, colors, camera, background, implementation),
        low_pass=0.3,
        antialiased=False,
    )


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_projection_is_the_matrix_formula(random_scene: Callable[..., Any], seed: int) -> None:
    """Σ' = J W R S Sᵀ Rᵀ Wᵀ Jᵀ + 0.3 I, written with matrices in numpy."""
    means, quaternions, scales, _, _ = random_scene(20, seed, 0.3, torch.float64)
    camera = camera_of(64, 48)
    seen_by = CameraTensors.of(camera, means)
    found = projection.project(
        *(means, quaternions, scales, seen_by.world_to_camera, seen_by.intrinsics, 64, 48), low_pass=0.3
    )
    pixels, depths = project(camera, means.numpy())
    np.testing.assert_allclose(found.means.numpy(), pixels, rtol=1e-9)
    np.testing.assert_allclose(found.depths.numpy(), depths, rtol=1e-9)
    fx, fy, view = camera.intrinsics[0, 0], camera.intrinsics[1, 1], camera.world_to_camera[:3, :3]
    for index, rotation in enumerate(matrix_from_quaternion(quaternions.numpy())):
        x, y, z = view @ means[index].numpy() + camera.world_to_camera[:3, 3]
        if abs(x / z) > 1.2 * 32 / fx or abs(y / z) > 1.2 * 24 / fy:
            continue  # outside the image the Jacobian is limited
        jacobian = np.array([[fx / z, 0, -fx * x / z**2], [0, fy / z, -fy * y / z**2]])
        half = jacobian @ view @ rotation @ np.diag(scales[index].numpy())
        a, b, c = found.conics[index].numpy()
        np.testing.assert_allclose(
            [[a, b], [b, c]], np.linalg.inv(half @ half.T + 0.3 * np.eye(2)), rtol=1e-7
        )


def test_one_splat_is_the_gaussian_of_the_formula() -> None:
    camera = orbit_rig((0, 0, 0), 1.0, size=33)[0]
    sigma, opacity, color = 0.1, 0.8, torch.tensor([[0.9, 0.3, 0.1]])
    scene = (
        torch.zeros(1, 3),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), sigma),
        torch.tensor([opacity]),
        color,
    )
    rendered = render(scene, camera, (0.0, 0.0, 0.0))
    distance = float(np.linalg.norm(camera.world_to_camera[:3, 3]))
    variance = (sigma * camera.intrinsics[0, 0] / distance) ** 2 + 0.3
    y, x = torch.meshgrid(torch.arange(33) + 0.5, torch.arange(33) + 0.5, indexing="ij")
    alpha = opacity * torch.exp(-0.5 * ((x - 16.5) ** 2 + (y - 16.5) ** 2) / variance)
    alpha = torch.where(alpha >= 1 / 255, alpha, torch.zeros(()))
    torch.testing.assert_close(rendered.alpha, alpha.float(), atol=2e-4, rtol=0)
    torch.testing.assert_close(rendered.image, alpha[..., None].float() * color[0], atol=2e-4, rtol=0)
    assert float(rendered.depth[16, 16]) == pytest.approx(distance, rel=1e-5)
    assert bool(torch.isinf(rendered.depth[0, 0]))


def test_a_splat_lands_on_the_pixel_that_the_shared_cameras_say() -> None:
    camera = camera_of(64, 48)
    point = np.array([0.31, -0.12, 0.22])
    (pixel,), _ = project(camera, point[None])
    place = torch.tensor(point[None], dtype=torch.float32)
    ones = torch.ones(1, 3)
    rendered = render((place, torch.tensor([[1.0, 0, 0, 0]]), 1e-3 * ones, 0.9 * ones[0, :1], ones), camera)
    y, x = np.unravel_index(int(rendered.alpha.argmax()), (48, 64))
    assert (x, y) == tuple(np.floor(pixel).astype(int))


def test_nearer_splats_hide_farther_ones_whatever_their_order(random_scene: Callable[..., Any]) -> None:
    camera = camera_of(40, 40)
    scene = random_scene(300, 11)
    shuffled = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    first = render(scene, camera)
    second = render([t[shuffled] for t in scene], camera)
    torch.testing.assert_close(first.image, second.image, atol=1e-5, rtol=0)


@pytest.mark.parametrize("implementation", ["cpu", "torch"])
def test_nothing_to_see(random_scene: Callable[..., Any], implementation: Any) -> None:
    camera = camera_of(24, 20)
    background = torch.tensor([0.1, 0.2, 0.3])
    behind = [t.clone() for t in random_scene(5, 0)]
    behind[0] -= 20.0 * torch.as_tensor(camera.world_to_camera[2, :3], dtype=torch.float32)
    for scene in (behind, [t[:0] for t in behind]):
        leaves = [t.requires_grad_(True) for t in scene]
        rendered = render(leaves, camera, background, implementation)
        torch.testing.assert_close(rendered.image, background.expand(20, 24, 3))
        assert not bool(rendered.alpha.any())
        gradients = torch.autograd.grad(rendered.image.sum(), leaves)
        assert all(bool(torch.isfinite(g).all()) for g in gradients)


def test_a_splat_that_is_not_a_number_hurts_nobody_else(random_scene: Callable[..., Any]) -> None:
    scene, camera = random_scene(50, 2), camera_of(32, 32)
    clean = render([t[1:] for t in scene], camera)
    scene[0][0] = math.nan
    assert torch.equal(render(scene, camera).image, clean.image)


def test_wrong_inputs_are_named(random_scene: Callable[..., Any]) -> None:
    means, quaternions, scales, opacities, colors = random_scene(4, 0)
    camera = camera_of(8, 8)
    with pytest.raises(ValueError, match=r"scales must have shape \[\.\.\., 4, 3\], got \[3, 3\]"):
        rasterise(means, quaternions, scales[:3], opacities, colors, camera)
    with pytest.raises(ValueError, match="no camera"):
        rasterise(means, quaternions, scales, opacities, colors, [])
    with pytest.raises(TypeError, match=r"colors is torch\.float64"):
        rasterise(means, quaternions, scales, opacities, colors.double(), camera)
    with pytest.raises(ValueError, match="different sizes"):
        rasterise(means, quaternions, scales, opacities, colors, [camera, camera_of(9, 8)])
    with pytest.raises(ValueError, match="background"):
        rasterise(means, quaternions, scales, opacities, colors, camera, (1.0, 1.0))
    scene = means, quaternions, scales, opacities, colors
    with pytest.raises(ValueError, match="unknown implementation"):
        render(scene, camera, implementation="gpu")
    with pytest.raises(TypeError, match="float32"):
        render([t.double() for t in scene], camera)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_gsplat_without_cuda_says_what_is_missing(random_scene: Callable[..., Any]) -> None:
    with pytest.raises(Uni4DError, match="NVIDIA") as caught:
        render(random_scene(4, 0), camera_of(8, 8), implementation="gsplat")
    assert caught.value.code == "gsplat-unavailable"
    assert "pip install gsplat" in caught.value.cure
