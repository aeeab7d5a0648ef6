"""The table that the panel's editor shows says of each verb what the motions really do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import trimesh
from attrs import evolve

from uni4d.video.body import Body
from uni4d.video.motions import points_at
from uni4d.video.program import MotionProgram, Track
from uni4d_shared.motions import MOTION_VERBS, MotionVerb

MOVING = [verb for verb in MOTION_VERBS.values() if verb.layer != "light"]
SLANTED = (math.sqrt(0.5), math.sqrt(0.5), 0.0)


@pytest.fixture(scope="module")
def body() -> Body:
    mesh = trimesh.creation.box((0.4, 0.6, 0.8)).subdivide().subdivide().subdivide()
    mesh.apply_translation([0.0, 0.0, 0.4])
    return Body.from_mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces))


def path(body: Body, track: Track, times: tuple[float, ...] = (0.3, 0.9, 1.3)) -> np.ndarray:
    program = MotionProgram((track,), 2.0)
    rest = body.samples[::50]
    return np.stack([points_at(rest, body, program, time) for time in times])


@pytest.mark.parametrize("verb", MOVING, ids=lambda verb: verb.name)
def test_the_axis_is_used_as_the_table_says(body: Body, verb: MotionVerb) -> None:
    track = Track(verb.name)
    plain = path(body, track)
    x, y, z = verb.axis
    slanted = np.abs(path(body, evolve(track, axis=SLANTED)) - plain).max() > 1e-3
    opposite = np.abs(path(body, evolve(track, axis=(-x, -y, -z))) - plain).max() > 1e-3
    expected = {"nothing": (False, False), "sense": (False, True)}.get(verb.axis_use, (True, True))
    assert (slanted, opposite) == expected
    if verb.axis_use == "turned about, level":
        with pytest.raises(ValueError, match="a level one"):
            evolve(track, axis=(0.0, 0.0, 1.0))


@pytest.mark.parametrize("verb", MOVING, ids=lambda verb: verb.name)
def test_a_verb_that_happens_once_stays_and_one_that_repeats_comes_back(body: Body, verb: MotionVerb) -> None:
    start, end = path(body, Track(verb.name), (0.0, 2.0 - 1e-9))
    comes_back = np.abs(end - start).max() < 1e-3
    assert comes_back == (verb.cyclic or verb.name == "drop"), "what drops has been lifted before"


def test_every_verb_has_a_line_for_a_person() -> None:
    lines = [verb.summary for verb in MOTION_VERBS.values()]
    assert len(set(lines)) == len(lines)
    assert all(10 < len(line) < 90 for line in lines)
