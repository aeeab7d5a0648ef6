"""The first frame shows the key view on white, and its camera sees what the frame shows."""

from __future__ import annotations

import attrs
import numpy as np
import pytest

from uni4d.video.photograph import first_frame, resized
from uni4d.video.scene import Scene
from uni4d_shared.cameras import project


@pytest.mark.parametrize(("width", "height"), [(96, 48), (48, 96), (100, 100), (32, 24)])
def test_the_object_is_where_the_camera_says(scene: Scene, width: int, height: int) -> None:
    image, camera = first_frame(scene.views, scene.alignment, width, height)
    assert image.shape == (height, width, 3)
    assert (camera.width, camera.height) == (width, height)
    scale = min(width, height) / 48
    [centre], _ = project(camera, np.zeros((1, 3)))
    red = np.argwhere(image[..., 0].astype(int) - image[..., 1] > 60) + 0.5
    np.testing.assert_allclose(red.mean(axis=0)[::-1], centre, atol=0.6)
    assert np.ptp(red[:, 0]) == pytest.approx(2 * 13 * scale, abs=2.5)
    assert camera.intrinsics[0, 0] == pytest.approx(scene.views.cameras[1].intrinsics[0, 0] * scale)


def test_the_rest_is_white_and_glass_shines_through(scene: Scene) -> None:
    image, _ = first_frame(scene.views, scene.alignment, 96, 48)
    assert (image[:, :24] == 255).all()
    assert (image[:, -24:] == 255).all()
    np.testing.assert_allclose(image[24, 48 + 6], (200, 30, 20), atol=3)
    np.testing.assert_allclose(image[24, 48 - 6], (227, 142, 137), atol=3)  # half of it white


def test_the_key_view_is_the_one_that_is_shown(scene: Scene) -> None:
    larger = attrs.evolve(scene.alignment, key_view=2)
    areas = [
        (first_frame(scene.views, alignment, 48, 48)[0][..., 1] < 200).sum()
        for alignment in (scene.alignment, larger)
    ]
    assert areas[1] > areas[0]


def test_another_size_is_the_same_view(scene: Scene) -> None:
    camera = scene.views.cameras[1]
    points = np.random.default_rng(0).normal(size=(5, 3)) * 0.3
    there, _ = project(resized(camera, 96, 24), points)
    here, _ = project(camera, points)
    np.testing.assert_allclose(there, here * (2.0, 0.5))
