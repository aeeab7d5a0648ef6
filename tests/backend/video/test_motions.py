"""What every verb has in common: it starts near rest, is smooth, loops when it is cyclic, and tears
nothing."""

from __future__ import annotations

import numpy as np
import pytest

from uni4d.video.framing import fit_to_frame, overshoot
from uni4d.video.motions import MOTIONS, colors_at, points_at
from uni4d.video.motions.light import LIGHTS
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import VERBS
from uni4d_shared.cameras import orbit_rig

FRAMES = 12
LIFTED_AT_FIRST = {"circle": 1.05, "orbit": 0.75, "walk": 0.25, "run": 0.3}
"""Paths about the place of rest start beside it, a gait with a lifted foot; in radii."""


def program(verb: str, cycles: float | None = None) -> MotionProgram:
    """One track with the verb's own amplitude and axis, over 2 s."""
    row = VERBS[verb]
    repeats = cycles or (max(round(2.0 / row.period), 1) if row.cyclic else 1)
    return MotionProgram((Track(verb, repeats, row.amplitude, row.axis),), 2.0)


def frames_of(shape, motion: MotionProgram) -> np.ndarray:  # noqa: ANN001
    return np.stack(
        [points_at(shape.vertices, shape.body, motion, 2.0 * i / FRAMES) for i in range(FRAMES + 1)]
    )


@pytest.mark.parametrize("kind", ["person", "dog", "lamp", "plane"])
@pytest.mark.parametrize("verb", MOTIONS)
def test_a_motion_starts_near_rest_is_smooth_and_loops(shapes, verb: str, kind: str) -> None:  # noqa: ANN001
    shape = shapes[kind]
    motion = program(verb)
    moved = frames_of(shape, motion)
    radius = shape.body.radius
    assert np.isfinite(moved).all()

    assert np.abs(moved[0] - shape.vertices).max() <= LIFTED_AT_FIRST.get(verb, 0.12) * radius
    assert np.linalg.norm(moved - shape.vertices, axis=2).max() > 0.025 * radius, "it hardly moves"
    if VERBS[verb].cyclic:
        assert np.abs(moved[-1] - moved[0]).max() < 1e-6 * radius

    # Between two moments a fiftieth of a cycle apart nothing jumps.
    cycle = 2.0 / motion.tracks[0].cycles
    fine = np.stack([points_at(shape.vertices, shape.body, motion, cycle * i / 50) for i in range(51)])
    assert np.abs(np.diff(fine, axis=0)).max() < 0.25 * radius


@pytest.mark.parametrize("kind", ["person", "dog", "lamp", "plane"])
@pytest.mark.parametrize("verb", MOTIONS)
def test_no_triangle_is_torn(shapes, verb: str, kind: str) -> None:  # noqa: ANN001
    shape = shapes[kind]
    moved = frames_of(shape, program(verb))
    edges = np.concatenate([shape.faces[:, [0, 1]], shape.faces[:, [1, 2]], shape.faces[:, [2, 0]]])
    before = np.linalg.norm(shape.vertices[edges[:, 0]] - shape.vertices[edges[:, 1]], axis=1)
    after = np.linalg.norm(moved[:, edges[:, 0]] - moved[:, edges[:, 1]], axis=2)
    # A tear would stretch an edge across the gap; joints and bellows stretch theirs a few times at most.
    assert (after - before).max() < 0.25 * shape.body.radius
    assert (after / before).max() < 4.0
    assert np.quantile(np.abs(after / before - 1.0), 0.5) < 0.65


@pytest.mark.parametrize("kind", ["person", "plane"])
@pytest.mark.parametrize("verb", MOTIONS)
def test_a_motion_stays_inside_the_key_cameras_frame(shapes, verb: str, kind: str) -> None:  # noqa: ANN001
    body = shapes[kind].body
    camera = orbit_rig(body.centre, body.radius, margin=1.35)[0]
    framed = fit_to_frame(program(verb), body, camera, FRAMES)
    assert overshoot(framed, body.samples, body, camera, FRAMES) <= 0.02  # the border that stays free
    if framed != program(verb):
        assert "inside the frame" in framed.notes[-1]


@pytest.mark.parametrize("verb", LIGHTS)
def test_light_verbs_change_colours_and_move_nothing(shapes, verb: str) -> None:  # noqa: ANN001
    lamp = shapes["lamp"]
    colors = np.full(lamp.vertices.shape, 0.4)
    track = Track(verb, 1.0, VERBS[verb].amplitude, part="head")
    motion = MotionProgram((track,), 2.0)
    shown = np.stack(
        [colors_at(colors, lamp.vertices, lamp.body, motion, 2.0 * i / FRAMES) for i in range(FRAMES)]
    )
    np.testing.assert_allclose(shown[0], colors, atol=1e-9)
    assert shown.min() >= 0.0
    assert shown.max() <= 1.0
    shade, foot = lamp.vertices[:, 2] > 0.8, lamp.vertices[:, 2] < 0.04
    change = np.abs(shown - colors).max(axis=(0, 2))
    assert change[shade].min() > 0.1
    assert change[foot].max() < 1e-6, "only the shade lights up"
    np.testing.assert_array_equal(points_at(lamp.vertices, lamp.body, motion, 0.7), lamp.vertices)
    brighter = shown.mean(axis=2)[:, shade].mean(axis=1)
    if verb == "fade":
        assert brighter[-1] < 0.5 * brighter[0]
        assert np.all(np.diff(brighter) <= 1e-9)
    else:
        assert brighter.max() > 1.3 * brighter[0]
    if verb == "light_up":
        assert brighter[-1] == pytest.approx(brighter.max())


def test_tracks_compose_in_the_bodys_own_frame(shapes) -> None:  # noqa: ANN001
    """Whatever the order in the program: the shape changes first, then the body turns, then it travels."""
    shape = shapes["person"]
    tracks = tuple(program(verb).tracks[0] for verb in ("slide", "spin", "stretch"))
    forward = points_at(shape.vertices, shape.body, MotionProgram(tracks, 2.0), 0.5)
    backward = points_at(shape.vertices, shape.body, MotionProgram(tracks[::-1], 2.0), 0.5)
    np.testing.assert_allclose(forward, backward)
