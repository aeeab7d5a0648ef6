"""Rigs, projection and ``transforms.json``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from uni4d_shared import cameras
from uni4d_shared.conventions import blender_matrix_from_world_to_camera

places = hnp.arrays(np.float64, (3,), elements=st.floats(-100, 100))


@given(position=places, target=places)
def test_look_at_centres_the_target_and_keeps_the_horizon_level(position: Any, target: Any) -> None:
    distance = float(np.linalg.norm(target - position))
    if distance < 1e-3:
        return
    matrix = cameras.look_at(position, target)
    assert np.allclose(matrix @ [*target, 1.0], [0, 0, distance, 1], atol=1e-6)
    assert np.allclose(matrix @ [*position, 1.0], [0, 0, 0, 1], atol=1e-6)
    rotation = matrix[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert math.isclose(np.linalg.det(rotation), 1.0, abs_tol=1e-9)
    if abs(rotation[2, 2]) < 0.999:
        assert math.isclose(rotation[0, 2], 0.0, abs_tol=1e-6)  # the image's x axis is horizontal
        assert rotation[1, 2] < 0  # and the world's up is not down


@given(centre=places, radius=st.floats(0.01, 50), azimuths=st.integers(1, 12), size=st.integers(16, 1024))
def test_the_sphere_of_an_orbit_rig_just_fits_into_every_view(
    centre: Any, radius: float, azimuths: int, size: int
) -> None:
    rig = cameras.orbit_rig(centre, radius, azimuths=azimuths, size=size, margin=1.0)
    assert len(rig) == 2 * azimuths
    for camera in rig:
        to_camera = camera.world_to_camera[:3, :3] @ centre + camera.world_to_camera[:3, 3]
        assert np.allclose(to_camera[:2], 0, atol=1e-6 * (1 + np.abs(centre).max()))
        half_angle = math.atan(0.5 * size / camera.intrinsics[0, 0])
        assert math.isclose(math.asin(radius / to_camera[2]), half_angle, rel_tol=1e-6)


def test_the_first_view_is_the_front_three_quarter_view_and_the_ring_turns_counter_clockwise() -> None:
    rig = cameras.orbit_rig([0, 0, 0], 1.0, azimuths=4, elevations=[0.0])
    where = np.array([blender_matrix_from_world_to_camera(camera.world_to_camera)[:3, 3] for camera in rig])
    azimuths = np.degrees(np.arctan2(where[:, 1], where[:, 0]))
    assert np.allclose(azimuths, [-60, 30, 120, -150])
    assert where[0, 1] < 0  # in front: the front is towards −Y


@pytest.mark.parametrize("wrong", [{"azimuths": 0}, {"size": 0}])
def test_an_impossible_rig_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must all be positive"):
        cameras.orbit_rig([0, 0, 0], 1.0, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="radius=0"):
        cameras.orbit_rig([0, 0, 0], 0.0)


@given(
    factor=st.sampled_from([0.25, 0.5, 2.0, 3.0]),
    point=hnp.arrays(np.float64, (3,), elements=st.floats(-1, 1)),
)
def test_a_scaled_camera_sees_the_same_picture(factor: float, point: Any) -> None:
    camera = cameras.orbit_rig([0, 0, 0], 2.0, size=256)[3]
    larger = cameras.scaled(camera, int(256 * factor))
    assert np.allclose(cameras.project(larger, [point])[0], factor * cameras.project(camera, [point])[0])
    assert (larger.width, larger.height) == (256 * factor, 256 * factor)


@given(points=hnp.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-50, 50)))
def test_the_bounding_sphere_holds_all_points(points: Any) -> None:
    centre, radius = cameras.bounding_sphere(points)
    assert radius > 0
    assert np.all(np.linalg.norm(points - centre, axis=1) <= radius * (1 + 1e-9))


def test_transforms_are_read_back_exactly_and_as_nerf_tools_expect(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    rig = cameras.orbit_rig([0.1, 0.2, 0.3], 1.5, size=200, azimuths=3)
    names = [f"view_{index:02d}.png" for index in range(len(rig))]
    cameras.write_transforms(path, rig, names)
    again, again_names = cameras.read_transforms(path)
    assert list(again_names) == names
    for one, other in zip(rig, again, strict=True):
        assert np.allclose(one.world_to_camera, other.world_to_camera, atol=1e-12)
        assert np.allclose(one.intrinsics, other.intrinsics)
        assert (one.width, one.height) == (other.width, other.height)
    document = json.loads(path.read_text())
    assert math.isclose(document["camera_angle_x"], math.radians(40.0))
    matrix = np.array(document["frames"][0]["transform_matrix"])
    towards = np.array([0.1, 0.2, 0.3]) - matrix[:3, 3]
    assert np.allclose(matrix[:3, :3] @ [0, 0, -1], towards / np.linalg.norm(towards))


def test_transforms_with_only_a_field_of_view_are_read(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    path.write_text(json.dumps({"camera_angle_x": 1.0, "w": 64, "h": 48, "frames": [frame]}))
    (camera,), names = cameras.read_transforms(path)
    assert names == ("a.png",)
    assert np.allclose(camera.intrinsics, cameras.pinhole_intrinsics(64, 48, 1.0))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"frames": [{"file_path": "a"}]}',
        '{"w": 1, "h": 1, "frames": [{"file_path": "a", "fl_x": 1}]}',
    ],
)
def test_unreadable_transforms_name_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "transforms.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"transforms\.json: not a readable"):
        cameras.read_transforms(path)


def test_every_image_needs_a_camera(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="16 cameras but 1 image names"):
        cameras.write_transforms(tmp_path / "t.json", cameras.orbit_rig([0, 0, 0], 1.0), ["a"])
