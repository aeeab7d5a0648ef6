"""Parts from connected components: which they are, about which axis they turn; nothing else moves."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions import points_at
from uni4d.video.motions.pieces import FULLY_OPEN
from uni4d.video.program import MotionProgram, Track

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
FRONT, UP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    unit = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    return np.asarray(low) + unit * (np.asarray(high) - np.asarray(low)), faces


def disc(centre: tuple[float, float, float], radius: float, thickness: float) -> Mesh:
    """A wheel whose axle runs along X."""
    turns = 2.0 * np.pi * np.arange(24) / 24
    ring = np.stack([np.zeros(24), radius * np.cos(turns), radius * np.sin(turns)], axis=1)
    side = np.array([thickness / 2, 0.0, 0.0])
    vertices = np.concatenate([ring - side, ring + side, [-side, side]]) + np.asarray(centre)
    index, after = np.arange(24), (np.arange(24) + 1) % 24
    rim = [np.stack([index, after, after + 24], 1), np.stack([index, after + 24, index + 24], 1)]
    ends = [(np.full(24, 48), index, after), (np.full(24, 49), index + 24, after + 24)]
    return vertices, np.concatenate([*rim, *(np.stack(end, 1) for end in ends)])


def turned_z(mesh: Mesh, angle: float) -> Mesh:
    cos, sin = math.cos(angle), math.sin(angle)
    return mesh[0] @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]), mesh[1]


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh[0]) for mesh in meshes[:-1])])
    faces = [mesh[1] + start for mesh, start in zip(meshes, starts, strict=True)]
    return np.concatenate([mesh[0] for mesh in meshes]), np.concatenate(faces)


def rows(*meshes: Mesh) -> list[slice]:
    """Which vertices of :func:`joined` belong to which mesh."""
    stops = np.cumsum([len(mesh[0]) for mesh in meshes])
    return [slice(stop - len(mesh[0]), stop) for mesh, stop in zip(meshes, stops, strict=True)]


def moved(mesh: Mesh, track: Track, time: float) -> NDArray[np.float64]:
    body = Body.from_mesh(*mesh, samples=2000)
    return points_at(mesh[0], body, MotionProgram((track,), 1.0), time)


CART = (
    box((-0.4, -0.8, 0.2), (0.4, 0.8, 0.6)),
    *(disc((x, y, 0.2), 0.2, 0.08) for x in (-0.46, 0.46) for y in (-0.5, 0.5)),
    box((0.44, -0.52, 0.18), (0.48, -0.48, 0.22)),  # the hub of one
)


def test_a_cart_has_four_wheels_with_their_axles_across() -> None:
    wheels = Body.from_mesh(*joined(*CART), samples=2000).wheels
    assert len(wheels) == 4
    for wheel in wheels:
        np.testing.assert_allclose(np.abs(wheel.axis), [1, 0, 0])
        assert wheel.radius == pytest.approx(0.2)
    assert sorted(len(wheel.members) for wheel in wheels) == [1, 1, 1, 2], "the hub turns with its wheel"


def test_wheels_turn_forward_about_their_axles_and_the_body_stays() -> None:
    mesh, (trunk, wheel, *_) = joined(*CART), rows(*CART)
    quarter = moved(mesh, Track("spin", 1.0, 2.0 * math.pi, part="wheels"), 0.25)
    np.testing.assert_allclose(quarter[trunk], mesh[0][trunk])
    centre = np.array([-0.46, -0.5, 0.2])
    top = int(np.argmax(mesh[0][wheel][:, 2]))
    np.testing.assert_allclose(
        (quarter[wheel][top] - centre)[1:], [-0.2, 0.0], atol=1e-9
    )  # the top goes forward
    back = moved(mesh, Track("spin", 1.0, 2.0 * math.pi, (0, 0, -1), part="wheels"), 0.25)
    np.testing.assert_allclose((back[wheel][top] - centre)[1:], [0.2, 0.0], atol=1e-9)


def test_a_wheel_that_drives_rolls_without_slipping() -> None:
    mesh, (_, wheel, *_) = joined(*CART), rows(*CART)
    steps = [moved(mesh, Track("approach", 1.0, 0.5, (0, -1, 0)), t) for t in (0.4, 0.41)]
    rolled = np.diff(np.stack([step[wheel] for step in steps]), axis=0)[0]
    lowest = int(np.argmin(steps[0][wheel][:, 2]))
    way = float(rolled.mean(axis=0) @ FRONT)
    assert way > 0.003
    assert np.linalg.norm(rolled[lowest]) < 0.2 * way, "the point on the ground hardly moves"


def fan(blades: int) -> tuple[Mesh, ...]:
    blade = box((0.08, -0.06, 0.9), (0.5, 0.06, 0.93))
    ring = [turned_z(blade, 2.0 * math.pi * i / blades) for i in range(blades)]
    return (box((-0.1, -0.1, 0.0), (0.1, 0.1, 0.8)), box((-0.05, -0.05, 0.88), (0.05, 0.05, 0.95)), *ring)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_blades_are_what_a_part_of_a_turn_maps_onto_itself(count: int) -> None:
    meshes = fan(count)
    mesh, (stand, _, first, *_) = joined(*meshes), rows(*meshes)
    blades = Body.from_mesh(*mesh, samples=2000).blades
    assert blades is not None
    np.testing.assert_allclose(np.abs(blades.axis), UP, atol=1e-9)
    np.testing.assert_allclose(blades.centre[:2], 0.0, atol=1e-9)
    assert len(blades.members) == count + 1, "the hub belongs to them"
    quarter = moved(mesh, Track("spin", 1.0, 2.0 * math.pi, part="blades"), 0.25)
    np.testing.assert_allclose(quarter[stand], mesh[0][stand])
    x, y, z = mesh[0][first].T
    np.testing.assert_allclose(quarter[first], np.stack([-y, x, z], axis=1), atol=1e-9)


def test_a_plate_is_no_propeller() -> None:
    plate = disc((0.0, 0.0, 0.5), 0.5, 0.05)
    assert (
        Body.from_mesh(*joined(box((-0.1, -0.1, 0.0), (0.1, 0.1, 0.4)), plate), samples=2000).blades is None
    )


CASE = box((-0.5, -0.2, 0.0), (0.5, 0.3, 1.6))
LEFT_DOOR, RIGHT_DOOR = (
    box((0.01, -0.23, 0.05), (0.49, -0.2, 1.55)),
    box((-0.49, -0.23, 0.05), (-0.01, -0.2, 1.55)),
)
KNOB = box((0.03, -0.26, 0.75), (0.06, -0.23, 0.85))
SINGLE = box((-0.48, -0.23, 0.05), (0.48, -0.2, 1.55))
FLAP = (box((-0.5, -0.2, 0.0), (0.5, 0.3, 0.6)), box((-0.45, -0.23, 0.05), (0.45, -0.2, 0.55)))


def opening(part: str, angle: float) -> Track:
    return Track("open", 1.0, angle, (1.0, 0.0, 0.0), part=part)


def test_double_doors_open_to_the_front_about_their_outer_edges() -> None:
    meshes = (CASE, LEFT_DOOR, RIGHT_DOOR, KNOB)
    mesh, (case, left, right, knob) = joined(*meshes), rows(*meshes)
    wide = moved(mesh, opening("door", math.pi / 2), 1.0)
    np.testing.assert_allclose(wide[case], mesh[0][case])
    for door, edge in ((left, 0.49), (right, -0.49)):
        at_rest, now = mesh[0][door], wide[door]
        hinge = np.isclose(at_rest[:, 0], edge) & np.isclose(at_rest[:, 1], -0.2)
        np.testing.assert_allclose(now[hinge], at_rest[hinge], atol=1e-9)
        assert (now[~hinge] @ FRONT).max() > 0.6, "the free edge stands in front of the case"
        assert (
            np.abs(np.linalg.norm(now - now[0], axis=1) - np.linalg.norm(at_rest - at_rest[0], axis=1)).max()
            < 1e-9
        )
    assert (wide[knob] @ FRONT).min() > 0.5, "the knob goes with its door"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_single_door_hangs_opposite_its_handle(side: float) -> None:
    handle = box((0.4 * side - 0.02, -0.27, 0.7), (0.4 * side + 0.02, -0.23, 0.9))
    mesh = joined(CASE, SINGLE, handle)
    (door,) = Body.from_mesh(*mesh, samples=2000).doors
    assert door.hinge[0] == pytest.approx(-0.48 * side)
    wide = moved(mesh, opening("door", math.pi / 2), 1.0)
    free = np.isclose(mesh[0][8:16, 0], 0.48 * side)
    assert (wide[8:16][free] @ FRONT).min() > 1.0


def test_a_door_wider_than_high_falls_open_about_its_lower_edge() -> None:
    mesh = joined(*FLAP)
    wide = moved(mesh, opening("door", math.pi / 2), 1.0)
    assert wide[8:, 2].max() < 0.1
    assert (wide[8:] @ FRONT).max() > 0.6


def test_a_drawer_slides_out_to_the_front_and_nothing_else_moves() -> None:
    desk = (
        box((-0.6, -0.3, 0.7), (0.6, 0.3, 0.75)),
        *(box((x, -0.3, 0.0), (x + 0.05, 0.3, 0.7)) for x in (-0.6, 0.55)),
        box((-0.5, -0.3, 0.45), (0.5, 0.2, 0.65)),
        box((-0.05, -0.33, 0.53), (0.05, -0.3, 0.57)),
    )
    mesh, (top, leg, other, drawer, handle) = joined(*desk), rows(*desk)
    out = moved(mesh, opening("drawer", FULLY_OPEN), 1.0) - mesh[0]
    for still in (top, leg, other):
        np.testing.assert_allclose(out[still], 0.0, atol=1e-12)
    for goes in (drawer, handle):
        np.testing.assert_allclose(out[goes], out[drawer][:1].repeat(8, axis=0))
    np.testing.assert_allclose(out[drawer][0][[0, 2]], 0.0, atol=1e-12)
    assert 0.4 * 0.6 < out[drawer][0] @ FRONT < 0.7 * 0.6


def test_a_lid_turns_about_its_rear_lower_edge() -> None:
    chest = (box((-0.5, -0.3, 0.0), (0.5, 0.3, 0.4)), box((-0.5, -0.3, 0.41), (0.5, 0.3, 0.55)))
    mesh, (case, lid) = joined(*chest), rows(*chest)
    wide = moved(mesh, opening("lid", FULLY_OPEN), 1.0)
    np.testing.assert_allclose(wide[case], mesh[0][case])
    at_rest, now = mesh[0][lid], wide[lid]
    hinge = np.isclose(at_rest[:, 1], 0.3) & np.isclose(at_rest[:, 2], 0.41)
    np.testing.assert_allclose(now[hinge], at_rest[hinge], atol=1e-9)
    front = np.isclose(at_rest[:, 1], -0.3) & np.isclose(at_rest[:, 2], 0.41)
    np.testing.assert_allclose(now[front][:, 2] - 0.41, 0.6 * math.sin(FULLY_OPEN), atol=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "end"),
    [("open", "close", True), ("grow", "shrink", True), ("rise", "drop", True), ("close", "grow", False)],
)
def test_a_verb_takes_back_what_its_opposite_did(shapes, first: str, second: str, end: bool) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    tracks = (Track(first, stop=0.5, amplitude=0.5), Track(second, start=0.5, amplitude=0.9))
    program = MotionProgram(tracks, 1.0)
    at: Callable[[float], NDArray[np.float64]] = lambda time: points_at(  # noqa: E731
        shape.vertices, shape.body, program, time
    )
    alone = MotionProgram((Track(first, amplitude=0.5),), 1.0)
    np.testing.assert_allclose(at(0.5), points_at(shape.vertices, shape.body, alone, 1.0))
    assert np.abs(at(0.501) - at(0.499)).max() < 0.05 * shape.body.radius, "nothing jumps where they meet"
    if end:
        np.testing.assert_allclose(at(1.0), shape.vertices, atol=1e-9)


def test_tracks_wait_for_their_start_and_hold_their_end(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    program = MotionProgram(
        (Track("walk", 2.0, 0.5, start=0.5, stop=0.9), Track("fall", 1.0, 1.5, stop=0.5)), 1.0
    )
    for time in (0.0, 0.5 - 1e-9):
        only = MotionProgram(program.tracks[1:], 1.0)
        np.testing.assert_allclose(
            points_at(shape.vertices, shape.body, program, time),
            points_at(shape.vertices, shape.body, only, time),
            atol=1e-6,
        )
    late = [points_at(shape.vertices, shape.body, program, time) for time in (0.9, 0.95, 1.0)]
    np.testing.assert_allclose(late[0], late[2], atol=1e-6)


@pytest.mark.parametrize(("verb", "start", "stop"), [("bounce", 0.32, 0.96), ("jump", 0.34, 0.76)])
def test_flight_is_free_fall(shapes, verb: str, start: float, stop: float) -> None:  # noqa: ANN001
    """The lowest point has a constant downward acceleration: gravity, and nothing else, while in the air."""
    shape = shapes["lamp"]
    times = np.linspace(start, stop, 30)
    program = MotionProgram((Track(verb, 1.0, 0.5),), 1.0)
    lowest = [points_at(shape.vertices, shape.body, program, t)[:, 2].min() for t in times]
    acceleration = np.diff(lowest, 2)
    np.testing.assert_allclose(acceleration, acceleration.mean(), rtol=1e-6)
    assert acceleration.mean() < 0.0
