"""A test for each row of the table in :mod:`uni4d_shared.conventions`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from uni4d_shared import conventions as c
from uni4d_shared.cameras import look_at, pinhole_intrinsics, project
from uni4d_shared.types import Camera, ViewSet

numbers = st.floats(-10, 10, width=32)
vectors = hnp.arrays(np.float64, (5, 3), elements=numbers)
X, Y, Z = np.eye(3)


@st.composite
def unit_quaternions(draw: Any) -> Any:
    q = draw(hnp.arrays(np.float64, (4,), elements=st.floats(-1, 1)))
    length = np.linalg.norm(q)
    assume(length > 1e-2)
    return q / length


def test_world_is_right_handed_and_z_up() -> None:
    assert np.array_equal(np.cross(X, Y), Z)
    above = Camera(look_at([0, -5, 0], [0, 0, 0]), pinhole_intrinsics(100, 100, 1.0), 100, 100)
    pixels, _ = project(above, np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]]))
    assert pixels[0, 1] < pixels[1, 1]  # up in the world is up in the image
    assert pixels[2, 0] > pixels[1, 0]  # seen from the front (−Y), +X is on the right


def test_gltf_is_y_up_with_its_front_towards_plus_z() -> None:
    assert np.array_equal(c.world_from_gltf(Y), Z)
    assert np.array_equal(c.world_from_gltf(Z), -Y)
    assert np.array_equal(c.world_from_gltf(X), X)
    assert math.isclose(np.linalg.det(c.GLTF_TO_WORLD), 1.0)


@given(points=vectors)
def test_gltf_conversion_goes_both_ways_and_matches_the_table(points: Any) -> None:
    assert np.array_equal(c.gltf_from_world(c.world_from_gltf(points)), points)
    x, y, z = points.T
    assert np.array_equal(c.world_from_gltf(points), np.stack([x, -z, y], 1))
    assert c.world_from_gltf(points.astype(np.float32)).dtype == np.float32


def test_camera_is_opencv_and_acts_on_columns() -> None:
    world_to_camera = look_at([0, -2, 0], [0, 0, 0])
    assert np.allclose(world_to_camera @ [0, 0, 0, 1], [0, 0, 2, 1])  # the target lies ahead, along +z
    assert np.allclose(world_to_camera @ [0, 0, 1, 1], [0, -1, 2, 1])  # up is −y
    assert np.allclose(world_to_camera @ [1, 0, 0, 1], [1, 0, 2, 1])  # right is +x


def test_blender_camera_is_opengl_camera_to_world() -> None:
    matrix = c.blender_matrix_from_world_to_camera(look_at([0, -2, 0], [0, 0, 0]))
    assert np.allclose(matrix[:3, 3], [0, -2, 0])  # where the camera is
    assert np.allclose(matrix[:3, :3] @ [0, 0, -1], Y)  # Blender's cameras look along −Z
    assert np.allclose(matrix[:3, :3] @ Y, Z)  # and have Y up


@given(q=unit_quaternions(), place=hnp.arrays(np.float64, (3,), elements=numbers))
def test_camera_conversion_goes_both_ways(q: Any, place: Any) -> None:
    extrinsics = np.eye(4)
    extrinsics[:3, :3], extrinsics[:3, 3] = c.matrix_from_quaternion(q), place
    again = c.world_to_camera_from_blender_matrix(c.blender_matrix_from_world_to_camera(extrinsics))
    assert np.allclose(again, extrinsics, atol=1e-9)


def test_pixel_centres_lie_at_a_half() -> None:
    # A camera of 2×2 pixels with a focal length of one pixel: the ray through the centre of the
    # top-left pixel passes half a pixel left of and above the axis.
    camera = Camera(np.eye(4), [[1, 0, 1], [0, 1, 1], [0, 0, 1]], 2, 2)  # type: ignore[arg-type]
    pixels, _ = project(camera, np.array([[-0.5, -0.5, 1.0], [0, 0, 1], [1, 1, 1]]))
    assert np.allclose(pixels, np.array([[0.5, 0.5], [1, 1], [2, 2]]))


def test_quaternions_are_wxyz_and_rotate_columns() -> None:
    quarter_about_z = [math.cos(math.pi / 4), 0, 0, math.sin(math.pi / 4)]
    assert np.allclose(c.matrix_from_quaternion(quarter_about_z) @ X, Y)
    assert np.allclose(c.matrix_from_quaternion([1, 0, 0, 0]), np.eye(3))


@given(q=unit_quaternions())
def test_quaternions_and_matrices_agree(q: Any) -> None:
    matrix = c.matrix_from_quaternion(q)
    assert np.allclose(matrix @ matrix.T, np.eye(3))
    assert math.isclose(np.linalg.det(matrix), 1.0)
    again = c.quaternion_from_matrix(matrix)
    assert again[0] >= 0
    assert np.allclose(c.matrix_from_quaternion(again), matrix, atol=1e-9)
    assert np.allclose(np.abs(again @ q), 1.0)


def test_half_turns_have_quaternions() -> None:
    for axis in (X, Y, Z, (X + Y) / math.sqrt(2), (X - Z) / math.sqrt(2)):
        turn = 2 * np.outer(axis, axis) - np.eye(3)
        assert np.allclose(c.matrix_from_quaternion(c.quaternion_from_matrix(turn)), turn)


@given(left=unit_quaternions(), right=unit_quaternions())
def test_the_right_factor_of_a_product_rotates_first(left: Any, right: Any) -> None:
    product = c.matrix_from_quaternion(c.multiply_quaternions(left, right))
    assert np.allclose(product, c.matrix_from_quaternion(left) @ c.matrix_from_quaternion(right))


def test_depth_is_along_z_not_along_the_ray() -> None:
    camera = Camera(look_at([0, -2, 0], [0, 0, 0]), pinhole_intrinsics(64, 64, 1.0), 64, 64)
    _, depth = project(camera, np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]]))
    assert np.allclose(depth, 2.0)


@settings(max_examples=50)
@given(points=hnp.arrays(np.float64, (6, 3), elements=numbers))
def test_uni3d_clouds_are_y_up_centred_and_in_the_unit_ball(points: Any) -> None:
    assume(np.ptp(points) > 1e-3)
    cloud = c.uni3d_cloud_from_world(points)
    assert np.allclose(cloud.mean(axis=0), 0, atol=1e-6)
    assert math.isclose(np.linalg.norm(cloud, axis=1).max(), 1.0)
    pole = c.uni3d_cloud_from_world(np.array([[0, 0, 0], [0, 0, 4]]))
    assert np.allclose(pole, np.array([[0, -1, 0], [0, 1, 0]]))


@given(colors=hnp.arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_harmonics_of_degree_0_are_colours_about_grey(colors: Any) -> None:
    assert math.isclose(c.SH_C0, 1 / (2 * math.sqrt(math.pi)))
    assert np.allclose(c.color_from_sh0(c.sh0_from_color(colors)), colors)
    assert np.allclose(c.sh0_from_color([0.5, 0.5, 0.5]), 0)
    assert np.all(c.sh0_from_color([1.0]) > 0)


def test_images_are_8_bit_with_straight_alpha_and_rows_from_the_top() -> None:
    camera = Camera(look_at([0, -5, 0], [0, 0, 0]), pinhole_intrinsics(4, 4, 0.5), 4, 4)
    (pixel,), _ = project(camera, [[0, 0, 0.9]])
    image = np.zeros((1, 4, 4, 4))
    image[0, int(pixel[1]), int(pixel[0])] = [255, 0, 0, 128]  # red at full strength, half transparent
    views = ViewSet(image, np.full((1, 4, 4), np.inf), (camera,))
    assert views.images.dtype == np.uint8
    assert int(pixel[1]) < 2  # what is up in the world is in an upper row
    assert views.images[views.images[..., 3] > 0].tolist() == [[255, 0, 0, 128]]


@given(colors=hnp.arrays(np.float64, (4, 3), elements=st.floats(0.0, 1.0)))
def test_srgb_goes_to_linear_light_and_back(colors: Any) -> None:
    np.testing.assert_allclose(c.srgb_from_linear(c.linear_from_srgb(colors)), colors, atol=1e-7)


def test_srgb_of_known_light() -> None:
    """Middle grey, the end of the straight part, and what is clipped."""
    found = c.srgb_from_linear(np.array([-1.0, 0.0, 0.0031308, 0.2140411, 1.0, 3.0], np.float32))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.04045, 0.5, 1.0, 1.0], atol=1e-5)
    assert found.dtype == np.float32
