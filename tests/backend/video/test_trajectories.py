"""Each verb's own trajectory: what moves, about which axis, how far, how often."""

from __future__ import annotations

import math

import numpy as np
import pytest

from uni4d.video.motions import points_at
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import VERBS

FRONT, LEFT, UP = np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])


def moved(shape, verb: str, cycles: float, **changes: object) -> np.ndarray:  # noqa: ANN001
    """The vertices after ``cycles`` cycles of one track with the verb's defaults."""
    row = VERBS[verb]
    track = Track(verb, 1.0, changes.get("amplitude", row.amplitude), changes.get("axis", row.axis))  # type: ignore[arg-type]
    return points_at(shape.vertices, shape.body, MotionProgram((track,), 1.0), cycles)


def rigid(shape, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:  # noqa: ANN001
    """Rotation, movement of the box's centre, and the largest residual (Kabsch 1976)."""
    rest, centre = shape.vertices, shape.vertices.mean(axis=0)
    u, _, vt = np.linalg.svd((rest - centre).T @ (points - points.mean(axis=0)))
    sign = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u @ sign @ vt).T
    placed = (rest - centre) @ rotation.T + points.mean(axis=0)
    shift = points.mean(axis=0) + rotation @ (shape.body.centre - centre) - shape.body.centre
    return rotation, shift, float(np.abs(placed - points).max())


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    k = np.cross(np.eye(3), axis)
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k


def region(shape, low: tuple[float, ...], high: tuple[float, ...]) -> np.ndarray:  # noqa: ANN001
    inside = np.all((shape.vertices >= low) & (shape.vertices <= high), axis=1)
    assert inside.any()
    return inside


INF = math.inf
HEAD = ((-0.09, -0.09, 0.9), (0.09, 0.09, 1.1))
LEFT_ARM, RIGHT_ARM = ((0.45, -1, 0.6), (1, 1, 0.9)), ((-1, -1, 0.6), (-0.45, 1, 0.9))
LEFT_FOOT, RIGHT_FOOT = ((0.04, -1, -1), (0.2, 1, 0.01)), ((-0.2, -1, -1), (-0.04, 1, 0.01))
TRUNK = ((-0.16, -0.09, 0.55), (0.16, 0.09, 0.82))

# --- turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "axis"), [("spin", UP), ("barrel_roll", -FRONT), ("roll", LEFT)])
def test_full_turns(shapes, verb: str, axis: np.ndarray) -> None:  # noqa: ANN001
    shape = shapes["person"]
    for cycles in (0.25, 0.6, 1.0):
        rotation, shift, residual = rigid(shape, moved(shape, verb, cycles))
        np.testing.assert_allclose(rotation, about(axis, 2 * math.pi * cycles), atol=1e-9)
        assert residual < 1e-9
        if verb != "roll":
            np.testing.assert_allclose(shift, 0.0, atol=1e-9)


def test_spin_turns_the_other_way_about_the_opposite_axis(shapes) -> None:  # noqa: ANN001
    rotation, _, _ = rigid(shapes["person"], moved(shapes["person"], "spin", 0.25, axis=(0.0, 0.0, -1.0)))
    np.testing.assert_allclose(rotation, about(UP, -math.pi / 2), atol=1e-9)


def test_a_part_of_a_turn_starts_and_stops_softly(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    angles = [
        math.atan2(*rigid(shape, moved(shape, "spin", share, amplitude=math.pi / 2))[0][[1, 0], 0])
        for share in (0.0, 0.1, 0.5, 0.9, 1.0 - 1e-9)
    ]
    assert angles[2] == pytest.approx(math.pi / 4)
    assert angles[4] == pytest.approx(math.pi / 2)
    assert angles[1] < 0.02 > math.pi / 2 - angles[3]


def test_roll_keeps_a_round_body_on_the_ground(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]  # taller than deep: fully on the ground
    for cycles in (0.1, 0.25, 0.6):
        assert moved(shape, "roll", cycles)[:, 2].min() == pytest.approx(0.0, abs=0.02)


def test_tumble_turns_over_in_the_air(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    rotation, shift, _ = rigid(shape, moved(shape, "tumble", 0.5))
    np.testing.assert_allclose(rotation, about(LEFT, math.pi), atol=1e-9)
    assert shift[2] == pytest.approx(0.25 * shape.body.radius)


@pytest.mark.parametrize(
    ("verb", "axis", "peak"),
    [("rock", LEFT, 0.25), ("swing", -FRONT, 0.25), ("tilt", -FRONT, 0.5)],
)
def test_leaning_turns(shapes, verb: str, axis: np.ndarray, peak: float) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    rotation, _, residual = rigid(shape, moved(shape, verb, peak))
    np.testing.assert_allclose(rotation, about(axis, VERBS[verb].amplitude), atol=1e-9)
    assert residual < 1e-9
    if verb != "tilt":
        back, _, _ = rigid(shape, moved(shape, verb, 0.75))
        np.testing.assert_allclose(back, rotation.T, atol=1e-9)


def test_a_wide_body_rocks_from_side_to_side(shapes) -> None:  # noqa: ANN001
    rotation, _, _ = rigid(shapes["person"], moved(shapes["person"], "rock", 0.25))
    np.testing.assert_allclose(rotation, about(-FRONT, VERBS["rock"].amplitude), atol=1e-9)


def test_a_swing_hangs_from_above_its_top(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    shift = np.abs(moved(shape, "swing", 0.25) - shape.vertices).max(axis=1)
    assert shift[region(shape, *HEAD)].max() < 0.35 * shift[region(shape, *LEFT_FOOT)].min()


def test_wobble_leans_all_around_its_foot(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    rotations = [rigid(shape, moved(shape, "wobble", p))[0] for p in (0.25, 0.4, 0.5, 0.6)]
    leans = np.array([rotation @ UP for rotation in rotations])
    assert np.arccos(leans[:, 2]).max() == pytest.approx(VERBS["wobble"].amplitude)
    assert len({(x > 0, y > 0) for x, y, _ in leans.round(6)}) >= 2


def test_shake_goes_to_and_fro_along_its_axis(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    _, left, _ = rigid(shape, moved(shape, "shake", 0.25))
    _, right, _ = rigid(shape, moved(shape, "shake", 0.75))
    np.testing.assert_allclose(left, VERBS["shake"].amplitude * shape.body.radius * LEFT, atol=1e-9)
    np.testing.assert_allclose(right, -left, atol=1e-9)


def test_fall_ends_on_its_side_on_the_ground_and_speeds_up_on_the_way(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    rotation, _, residual = rigid(shape, moved(shape, "fall", 1.0))
    np.testing.assert_allclose(rotation, about(-FRONT, math.pi / 2), atol=1e-9)
    assert residual < 1e-9
    assert moved(shape, "fall", 1.0)[:, 2].min() == pytest.approx(0.0, abs=0.01)
    heights = [float(moved(shape, "fall", p)[:, 2].max()) for p in (0.0, 0.3, 0.6)]
    assert heights[0] - heights[1] < 0.3 * (heights[1] - heights[2])


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["slide", "drive"])
def test_paths_to_and_fro(shapes, verb: str) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    way = VERBS[verb].amplitude * shape.body.radius * np.asarray(VERBS[verb].axis)
    for cycles, sign in ((0.25, 1), (0.5, 0), (0.75, -1)):
        _, shift, _ = rigid(shape, moved(shape, verb, cycles))
        np.testing.assert_allclose(shift, sign * way, atol=0.03)


@pytest.mark.parametrize(("verb", "way"), [("rise", UP), ("approach", FRONT), ("leave", -FRONT)])
def test_paths_that_lead_away(shapes, verb: str, way: np.ndarray) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    rotation, shift, _ = rigid(shape, moved(shape, verb, 1.0))
    np.testing.assert_allclose(rotation, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(shift, VERBS[verb].amplitude * shape.body.radius * way, atol=1e-9)
    ways = [float(rigid(shape, moved(shape, verb, p))[1] @ way) for p in np.linspace(0, 1, 20)]
    assert np.all(np.diff(ways) >= -1e-12)


def test_drop_is_lifted_falls_faster_and_faster_and_rebounds_lower_each_time(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    height = [float(rigid(shape, moved(shape, "drop", p))[1][2]) for p in np.linspace(0, 1, 201)]
    peaks = [
        height[i] for i in range(1, 200) if height[i] > 0.01 and height[i - 1] < height[i] > height[i + 1]
    ]
    assert max(height) == pytest.approx(VERBS["drop"].amplitude * shape.body.radius, rel=1e-3)
    assert height[-1] == pytest.approx(0.0, abs=1e-9)
    assert min(height) > -1e-9
    np.testing.assert_allclose(np.array(peaks[-2:]) / max(height), [0.25, 0.0625], rtol=0.05)


def test_flying_in_circles_follows_the_nose_and_banks_inwards(shapes) -> None:  # noqa: ANN001
    shape = shapes["plane"]
    phases = np.linspace(0.0, 1.0, 33)
    poses = [rigid(shape, moved(shape, "circle", p)) for p in phases]
    places = np.array([shift for _, shift, _ in poses])
    middle = places[:-1].mean(axis=0)
    np.testing.assert_allclose(
        np.linalg.norm(places - middle, axis=1), VERBS["circle"].amplitude * shape.body.radius, rtol=1e-6
    )
    assert np.ptp(places[:, 2]) < 1e-9, "the circle is level"
    for (rotation, _, residual), place, step in zip(
        poses[1:-1], places[1:-1], places[2:] - places[:-2], strict=True
    ):
        assert residual < 1e-9
        assert rotation @ FRONT @ step / np.linalg.norm(step) == pytest.approx(1.0, abs=1e-6)
        inner_wing = rotation @ LEFT  # a turn to the left
        assert inner_wing @ (middle - place) > 0.0
        assert inner_wing[2] == pytest.approx(-math.sin(math.radians(28.0)))


def test_the_other_way_round_the_right_wing_is_the_lower_one(shapes) -> None:  # noqa: ANN001
    rotation, _, _ = rigid(shapes["plane"], moved(shapes["plane"], "circle", 0.4, axis=(0.0, 0.0, -1.0)))
    assert (rotation @ -LEFT)[2] == pytest.approx(-math.sin(math.radians(28.0)))


def test_orbit_is_a_circle_upright(shapes) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    poses = [rigid(shape, moved(shape, "orbit", p)) for p in np.linspace(0.0, 1.0, 17)[:-1]]
    places = np.array([shift for _, shift, _ in poses])
    distance = np.linalg.norm(places - places.mean(axis=0), axis=1)
    np.testing.assert_allclose(distance, VERBS["orbit"].amplitude * shape.body.radius, rtol=1e-6)
    for rotation, _, _ in poses:
        np.testing.assert_allclose(rotation @ UP, UP, atol=1e-9)


@pytest.mark.parametrize(("verb", "low", "high"), [("hover", 0.0, 2.0), ("fly", -1.0, 1.0)])
def test_floating(shapes, verb: str, low: float, high: float) -> None:  # noqa: ANN001
    shape = shapes["plane"]
    heights = [rigid(shape, moved(shape, verb, p))[1][2] for p in np.linspace(0, 1, 41)]
    unit = VERBS[verb].amplitude * shape.body.radius
    assert (min(heights) / unit, max(heights) / unit) == pytest.approx((low, high), abs=0.02)


# --- bodies ---------------------------------------------------------------------------------------


def test_dance_sways_to_both_sides_bobs_twice_a_cycle_and_twists(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    head, hands = region(shape, *HEAD), (region(shape, *LEFT_ARM), region(shape, *RIGHT_ARM))
    poses = np.stack([moved(shape, "dance", p) for p in np.linspace(0, 1, 41)])
    sideways = poses[:, head, 0].mean(axis=1)
    assert sideways.max() > 0.12
    assert sideways.min() < -0.12
    height = poses[:, head, 2].mean(axis=1) - np.ptp(poses[0, :, 2])
    dips = [i for i in range(1, 40) if height[i - 1] > height[i] < height[i + 1]]
    assert len(dips) == 2
    turn = poses[:, hands[0], 1].mean(axis=1) - poses[:, hands[1], 1].mean(axis=1)
    assert turn.max() > 0.2
    assert turn.min() < -0.2


@pytest.mark.parametrize(("verb", "ground", "peak"), [("bounce", 0.0, 0.64), ("jump", 0.0, 0.55)])
def test_leaps_are_parabolas_between_squashes(shapes, verb: str, ground: float, peak: float) -> None:  # noqa: ANN001
    shape = shapes["person"]
    assert moved(shape, verb, ground)[:, 2].min() == pytest.approx(0.0, abs=1e-9)
    assert moved(shape, verb, peak)[:, 2].min() == pytest.approx(
        VERBS[verb].amplitude * shape.body.radius, rel=0.02
    )
    tall = [float(np.ptp(moved(shape, verb, p)[:, 2])) for p in np.linspace(0, 1, 101)]
    rest = float(np.ptp(shape.vertices[:, 2]))
    assert min(tall) < 0.85 * rest
    assert max(tall) > 1.05 * rest
    squashed = moved(shape, verb, np.linspace(0, 1, 101)[int(np.argmin(tall))])
    assert squashed[:, 2].min() == pytest.approx(0.0, abs=0.02), "it is squashed on the ground"


def test_sway_bends_the_top_to_both_sides_and_leaves_the_foot(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    top, foot = shape.vertices[:, 2] > 0.9, shape.vertices[:, 2] < 0.05
    right, left = (moved(shape, "sway", p) - shape.vertices for p in (0.25, 0.75))
    assert right[top, 0].mean() > 0.15
    assert left[top, 0].mean() == pytest.approx(-right[top, 0].mean(), rel=0.05)
    assert np.abs(right[foot]).max() < 0.01


def test_bend_bows_to_the_front(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    change = moved(shape, "bend", 0.5) - shape.vertices
    assert (change[region(shape, *HEAD)] @ FRONT).mean() > 0.2
    assert change[region(shape, *HEAD), 2].mean() < -0.05
    assert np.abs(change[region(shape, *LEFT_FOOT)]).max() < 1e-9


def test_twist_turns_the_top_against_the_foot(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    twisted = moved(shape, "twist", 0.25)
    top, foot = shape.vertices[:, 2] == 1.0, shape.vertices[:, 2] == 0.0
    np.testing.assert_allclose(twisted[foot], shape.vertices[foot], atol=1e-9)
    turned = shape.vertices[top] @ about(UP, VERBS["twist"].amplitude).T
    np.testing.assert_allclose(twisted[top], turned, atol=1e-9)


@pytest.mark.parametrize("verb", ["wiggle", "swim"])
def test_waves_travel(shapes, verb: str) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    coordinate = shape.vertices[:, 2] if verb == "wiggle" else shape.vertices[:, 1]
    order = np.quantile(coordinate, [0.7, 0.95])
    near = [np.abs(coordinate - value) < 0.05 for value in order]
    shifts = np.stack([moved(shape, verb, p)[:, 0] - shape.vertices[:, 0] for p in np.linspace(0, 1, 41)])
    peaks = [int(np.argmax(shifts[:, part].mean(axis=1))) for part in near]
    assert 0 < (peaks[1] - peaks[0]) % 40 < 20, "the far part follows later"
    assert np.abs(shifts).max() < 2.1 * VERBS[verb].amplitude * shape.body.radius


@pytest.mark.parametrize(("verb", "sign"), [("stretch", 1.0), ("squash", -1.0)])
def test_stretch_and_squash_keep_the_volume(shapes, verb: str, sign: float) -> None:  # noqa: ANN001
    shape = shapes["person"]
    factors = np.ptp(moved(shape, verb, 0.5), axis=0) / np.ptp(shape.vertices, axis=0)
    assert factors[2] == pytest.approx(1.0 + sign * VERBS[verb].amplitude)
    assert np.prod(factors) == pytest.approx(1.0)


def test_breathe_widens_the_chest_and_leaves_the_feet(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    full = moved(shape, "breathe", 0.45)
    trunk = region(shape, *TRUNK)
    assert np.ptp(full[trunk, 1]) > 1.05 * np.ptp(shape.vertices[trunk, 1])
    feet = region(shape, *LEFT_FOOT)
    np.testing.assert_allclose(full[feet], shape.vertices[feet], atol=1e-9)


def test_pulse_beats_twice_the_second_time_weaker(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    size = np.array([np.ptp(moved(shape, "pulse", p)[:, 0]) for p in np.linspace(0, 1, 98)])
    peaks = [size[i] for i in range(1, 97) if size[i - 1] < size[i] >= size[i + 1]]
    assert len(peaks) == 2
    assert peaks[0] > peaks[1] > size[0]


@pytest.mark.parametrize(("verb", "factor"), [("grow", 1.35), ("shrink", 0.55)])
def test_size_changes_from_the_base(shapes, verb: str, factor: float) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    end = moved(shape, verb, 1.0)
    np.testing.assert_allclose(np.ptp(end, axis=0) / np.ptp(shape.vertices, axis=0), factor, rtol=1e-6)
    assert end[:, 2].min() == pytest.approx(0.0, abs=1e-9)


def test_melt_sinks_and_spreads(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    end = moved(shape, "melt", 1.0)
    assert np.ptp(end[:, 2]) < 0.55 * np.ptp(shape.vertices[:, 2])
    foot = shape.vertices[:, 2] < 0.01
    assert np.ptp(end[foot, 0]) > 1.3 * np.ptp(shape.vertices[foot, 0])
    assert end[:, 2].min() == pytest.approx(0.0, abs=1e-9)


# --- parts ----------------------------------------------------------------------------------------


def test_a_person_walks_with_the_legs_in_turn(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    assert shape.body.legs is not None
    assert len(shape.body.legs.feet) == 2
    assert sorted(shape.body.legs.phases) == [0.0, 0.5]
    left, right = region(shape, *LEFT_FOOT), region(shape, *RIGHT_FOOT)
    ahead = [
        (
            float((moved(shape, "walk", p)[left] @ FRONT).mean()),
            float((moved(shape, "walk", p)[right] @ FRONT).mean()),
        )
        for p in (0.25, 0.75)
    ]
    (a, b), (c, d) = ahead
    assert a * b < 0 > c * d
    assert a * c < 0
    assert max(map(abs, (a, b, c, d))) > 0.1
    trunk = moved(shape, "walk", 0.25)[region(shape, *TRUNK)] - shape.vertices[region(shape, *TRUNK)]
    assert np.abs(trunk).max() < 0.1


def test_a_foot_is_lifted_only_while_it_goes_forward(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    foot = region(shape, *LEFT_FOOT)
    way = np.stack([moved(shape, "walk", p)[foot].mean(axis=0) for p in np.linspace(0, 1, 81)])
    forward = np.gradient(way @ FRONT)
    lifted = way[:, 2] > 0.6 * way[:, 2].max()
    assert lifted.any()
    assert (forward[lifted] > 0).mean() > 0.7


def test_a_dog_walks_with_diagonal_legs_together(shapes) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    legs = shape.body.legs
    assert legs is not None
    assert len(legs.feet) == 4
    phase = {(x > 0, y < 0): lag for (x, y), lag in zip(legs.feet, legs.phases, strict=True)}
    assert phase[True, True] == phase[False, False] != phase[False, True] == phase[True, False]
    feet = [
        region(shape, (x, y, -1), (x + 0.2, y + 0.2, 0.01))
        for x, y in ((0.02, -0.4), (-0.2, -0.4), (0.02, 0.2), (-0.2, 0.2))
    ]
    ahead = np.array([((moved(shape, "walk", 0.25) - shape.vertices)[foot] @ FRONT).mean() for foot in feet])
    assert ahead[0] * ahead[3] > 0 < ahead[1] * ahead[2]
    assert ahead[0] * ahead[1] < 0


def test_a_lamp_has_no_legs_and_waddles(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    assert shape.body.legs is None
    rotation, _, residual = rigid(shape, moved(shape, "walk", 0.25))
    assert residual < 1e-9
    assert (rotation @ UP)[0] > 0.05
    assert (rigid(shape, moved(shape, "walk", 0.75))[0] @ UP)[0] < -0.05


def test_a_run_leaves_the_ground(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    lowest = [float(moved(shape, "run", p)[:, 2].min()) for p in np.linspace(0, 1, 41)]
    assert max(lowest) > 0.03
    assert [float(moved(shape, "walk", p)[:, 2].min()) < 0.03 for p in np.linspace(0, 1, 41)].count(
        False
    ) == 0


@pytest.mark.parametrize("kind", ["person", "lamp", "dog"])
def test_nod_bends_the_head_forward_and_down_and_keeps_the_rest(shapes, kind: str) -> None:  # noqa: ANN001
    shape = shapes[kind]
    change = moved(shape, "nod", 0.5) - shape.vertices
    along = shape.body.head.along(shape.vertices)
    head = along > shape.body.head.neck[1] + 0.3 * (along.max() - shape.body.head.neck[1])
    assert (change[head] @ FRONT).mean() > 0.0 or change[head, 2].mean() < -0.03
    assert np.abs(change[head]).max() > 0.08
    assert np.abs(change[shape.vertices[:, 2] < 0.3]).max() < 1e-3
    # The head itself stays rigid.
    edges = shape.vertices[head]
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(moved(shape, "nod", 0.5)[head], axis=0), axis=1),
        np.linalg.norm(np.diff(edges, axis=0), axis=1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_look_turns_the_head_to_both_sides(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    face = region(shape, (-0.09, -0.0901, 0.97), (0.09, -0.0899, 1.07))
    left, right = (moved(shape, "look", p)[face, 0].mean() for p in (0.25, 0.75))
    assert left > 0.04
    assert right == pytest.approx(-left, abs=0.01)
    legs = shape.vertices[:, 2] < 0.5
    np.testing.assert_allclose(moved(shape, "look", 0.25)[legs], shape.vertices[legs], atol=1e-9)


def test_wave_raises_the_left_arm_alone(shapes) -> None:  # noqa: ANN001
    shape = shapes["person"]
    hand, other = region(shape, *LEFT_ARM), region(shape, *RIGHT_ARM)
    heights = [float(moved(shape, "wave", p)[hand, 2].mean()) for p in np.linspace(0, 1, 61)]
    assert max(heights) > heights[0] + 0.2
    peaks = [i for i in range(1, 60) if heights[i - 1] < heights[i] > heights[i + 1]]
    assert len(peaks) >= 3, "it waves more than once"
    raised = moved(shape, "wave", 0.5)
    np.testing.assert_allclose(raised[other], shape.vertices[other], atol=1e-9)


def test_a_dog_waves_with_a_paw(shapes) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    change = moved(shape, "wave", 0.5) - shape.vertices
    paw = region(shape, (0.05, -0.34, -1), (0.12, -0.24, 0.01))
    rear = shape.vertices[:, 1] > 0.2
    assert (change[paw] @ FRONT).mean() > 0.1
    np.testing.assert_allclose(change[rear], 0.0, atol=1e-9)


def test_flap_beats_both_wings_alike(shapes) -> None:  # noqa: ANN001
    shape = shapes["plane"]
    tips = shape.vertices[:, 0] > 0.59, shape.vertices[:, 0] < -0.59
    body = np.abs(shape.vertices[:, 0]) < 0.08
    up, down = (moved(shape, "flap", p) - shape.vertices for p in (0.25, 0.75))
    assert up[tips[0], 2].mean() > 0.12
    assert up[tips[0], 2].mean() == pytest.approx(up[tips[1], 2].mean(), rel=1e-6)
    assert down[tips[0], 2].mean() < -0.12
    assert np.ptp(up[body], axis=0).max() < 0.01


def test_wag_swings_the_tail_and_nothing_else(shapes) -> None:  # noqa: ANN001
    shape = shapes["dog"]
    tail = region(shape, (-0.05, 0.58, 0.4), (0.05, 0.61, 0.6))
    front = shape.vertices[:, 1] < 0.0
    left, right = (moved(shape, "wag", p) - shape.vertices for p in (0.25, 0.75))
    assert abs(left[tail, 0].mean()) > 0.08
    assert right[tail, 0].mean() == pytest.approx(-left[tail, 0].mean(), rel=0.05)
    np.testing.assert_allclose(left[front], 0.0, atol=1e-9)


def test_a_tail_near_the_ground_does_not_swing_with_the_legs(shapes) -> None:  # noqa: ANN001
    shape = shapes["low-tailed"]
    tail = shape.vertices[:, 1] > 0.8
    foot = region(shape, (0.02, 0.2, -1), (0.2, 0.4, 0.01))
    heights = np.array([moved(shape, "walk", p)[:, 2] - shape.vertices[:, 2] for p in (0.25, 0.5, 0.75)])
    strides = [moved(shape, "walk", p)[foot, 1].mean() for p in (0.25, 0.75)]
    assert abs(strides[0] - strides[1]) > 0.1
    assert np.ptp(heights[:, tail]) < 0.1


def test_a_lid_turns_back_about_the_rear_edge(shapes) -> None:  # noqa: ANN001
    shape = shapes["lamp"]
    opened = moved(shape, "open", 1.0) - shape.vertices
    front = region(shape, (-1, -0.21, 0.95), (1, -0.19, 1.01))
    foot = shape.vertices[:, 2] < 0.4
    assert opened[front, 2].mean() > 0.1, "its front edge rises"
    assert (opened[front] @ FRONT).mean() < 0.0 or opened[front, 2].mean() > 0.1
    np.testing.assert_allclose(opened[foot], 0.0, atol=1e-9)
    np.testing.assert_allclose(moved(shape, "close", 1.0), shape.vertices, atol=1e-9)
    assert (moved(shape, "close", 0.6) - shape.vertices)[front, 2].mean() > 0.1
