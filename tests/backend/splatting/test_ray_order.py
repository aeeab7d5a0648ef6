"""Splats as a ray tracer shows them: against one ray after the other, and what their colours make up for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import render
from uni4d.splatting.ray_order import ray_weights, traced_change
from uni4d_shared.cameras import look_at, orbit_rig
from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.errors import Uni4DError
from uni4d_shared.splat_shapes import EXTENT, shapes_of, widened
from uni4d_shared.types import Camera, Splats

CAMERA = Camera(
    look_at([0.4, -2.0, 0.7], [0.0, 0.0, 0.0]),
    np.array([[25.0, 0.0, 9.0], [0.0, 31.0, 7.5], [0.0, 0.0, 1.0]]),
    width=20,
    height=14,
)
"""Off-centre, not square, with two focal lengths."""


def cloud(count: int, seed: int, size: float = 0.15) -> Splats:
    """Discs and ellipsoids about the origin."""
    chance = np.random.default_rng(seed)
    turns = chance.normal(size=(count, 4))
    scales = size * chance.uniform(0.3, 1.0, (count, 3))
    scales[: count // 2, 1] *= 0.05
    return Splats(
        means=chance.uniform(-0.4, 0.4, (count, 3)).astype(np.float32),
        quaternions=(turns / np.linalg.norm(turns, axis=1, keepdims=True)).astype(np.float32),
        scales=scales.astype(np.float32),
        opacities=chance.uniform(0.1, 0.99, count).astype(np.float32),
        colors=chance.uniform(0.0, 1.0, (count, 3)).astype(np.float32),
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 25), st.integers(0, 10_000), st.sampled_from([1, 3]))
def test_rays_show_what_they_meet_one_after_the_other(count: int, seed: int, stride: int) -> None:
    splats = cloud(count, seed)
    found = ray_weights(splats, CAMERA, CAMERA, stride).toarray()
    rows, columns = range(0, CAMERA.height, stride), range(0, CAMERA.width, stride)
    true = np.array([one_ray(splats, column + 0.5, row + 0.5) for row in rows for column in columns])
    np.testing.assert_allclose(found, true, atol=3e-4)


def one_ray(splats: Splats, x: float, y: float) -> NDArray[np.float64]:
    """``[N]``: how much of each splat the ray through a place of the picture shows."""
    to_world = np.linalg.inv(CAMERA.world_to_camera)
    inverse = np.linalg.inv(CAMERA.intrinsics)
    direction = to_world[:3, :3] @ inverse @ np.array([x, y, 1.0])
    shapes = shapes_of(splats)
    sizes = widened(shapes, splats.means, CAMERA)
    hits = []
    for index, (turn, size, flat) in enumerate(zip(shapes.turns, sizes, shapes.flat, strict=True)):
        eye = (turn.T @ (to_world[:3, 3] - splats.means[index])) / size
        ray = (turn.T @ direction) / size
        middle = -(eye @ ray) / (ray @ ray)
        away = np.linalg.norm(eye + middle * ray)
        if flat:
            place = -eye[2] / ray[2]
            met = np.linalg.norm(eye + place * ray) < EXTENT
        else:
            met = bool(away < EXTENT)
            place = middle - np.sqrt(max(EXTENT**2 - away**2, 0.0) / (ray @ ray))
        if met:
            hits.append((place, index, splats.opacities[index] * np.exp(-0.5 * away**2)))
    shown, left = np.zeros(len(splats.means)), 1.0
    for _, index, alpha in sorted(hits):
        shown[index], left = left * alpha, left * (1.0 - alpha)
    return shown


def test_a_camera_may_stand_among_the_splats() -> None:
    among = evolve(CAMERA, world_to_camera=look_at([0.05, -0.1, 0.0], [0.0, 1.0, 0.0]))
    weights = ray_weights(cloud(200, 3), among, CAMERA)
    totals = np.asarray(weights.sum(axis=1))
    assert np.isfinite(totals).all()
    assert 0.3 < totals.mean() <= 1.0 + 1e-6


def parameters(splats: Splats) -> SplatParameters:
    names = ("means", "quaternions", "scales", "opacities", "colors")
    return SplatParameters.from_activated(*(torch.from_numpy(getattr(splats, name)) for name in names))


def test_colors_make_up_for_another_order_and_for_linear_light() -> None:
    """A ball of many colours: seen by cameras that the colours were not found with."""
    chance = np.random.default_rng(4)
    normals = chance.normal(size=(1500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    splats = Splats(
        means=(0.5 * normals + chance.normal(0.0, 0.01, (1500, 3))).astype(np.float32),
        quaternions=np.tile(np.array([1.0, 0.0, 0.0, 0.0], np.float32), (1500, 1)),
        scales=np.full((1500, 3), 0.03, np.float32),
        opacities=np.full(1500, 0.9, np.float32),
        colors=(0.5 + 0.4 * np.sign(normals[:, :1]) * chance.choice([-1.0, 1.0], (1500, 3))).astype(
            np.float32
        ),
    )
    own = parameters(splats)
    rig = orbit_rig(np.zeros(3), 0.6, size=96, azimuths=6, margin=1.35)
    others = orbit_rig(np.zeros(3), 0.6, size=96, azimuths=5, elevations=[0.5], margin=1.35)
    change = traced_change(own, rig, rig[0])
    before, after = (errors(own, splats, others, rig[0], added) for added in (0.0, change))
    assert np.abs(after.mean(axis=0)).max() < 0.2 * np.abs(before.mean(axis=0)).max()
    assert np.sqrt((after**2).mean()) < 0.7 * np.sqrt((before**2).mean())


def errors(
    own: SplatParameters,
    splats: Splats,
    cameras: Sequence[Camera],
    lens: Camera,
    added: NDArray[np.float32] | float,
) -> NDArray[np.float64]:
    """``[R, 3]``: what rays show more than the rasteriser draws, in linear light, within the object."""
    found = []
    for camera in cameras:
        drawn = render(own, camera, (0.0, 0.0, 0.0))
        inside = (drawn.alpha > 0.95).numpy().reshape(-1)
        light = linear_from_srgb(drawn.image.numpy().clip(0.0, 1.0)).reshape(-1, 3)
        weights = ray_weights(splats, camera, lens)
        shown = weights @ (linear_from_srgb(splats.colors) + added) / weights.sum(axis=1).clip(1e-6)
        found.append((shown - light)[inside])
    return np.concatenate([np.asarray(one) for one in found])


def test_the_search_can_be_cancelled() -> None:
    def stop(share: float, message: str) -> None:
        raise Uni4DError("cancelled", f"{share}: {message}", "")

    splats = cloud(20, 0)
    with pytest.raises(Uni4DError, match="ray tracers"):
        traced_change(parameters(splats), [CAMERA], CAMERA, stop)
