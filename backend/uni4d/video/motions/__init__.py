"""From a motion program to the body at any time: every verb is one small function.

A geometric verb maps ``(points, rest, body, track, phase)`` to new points ``[N, 3]``; a light verb maps
``(colors, weights, track, phase)`` to new colours. ``phase`` counts cycles from the start of the clip.
Tracks act in the order shape → turn → path, whatever their order in the program, so that a body that dances
while it flies in circles dances in its own frame.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d.video.body import Body
from uni4d.video.motions.articulated import ARTICULATED
from uni4d.video.motions.light import LIGHTS, weights_of
from uni4d.video.motions.pieces import roll_wheels, turn_part
from uni4d.video.motions.rigid import PATHS, TURNS
from uni4d.video.motions.soft import SOFT
from uni4d.video.program import MotionProgram, Track
from uni4d.video.timing import ease
from uni4d.video.verbs import OPPOSITES, VERBS

__all__ = ["MOTIONS", "colors_at", "points_at"]

Array = NDArray[np.float64]
Motion = Callable[[Array, Array, Body, Track, float], Array]

MOTIONS: dict[str, Motion] = {**SOFT, **ARTICULATED, **TURNS, **PATHS}
"""Geometric verb → its motion. Together with the light verbs it covers :data:`uni4d.video.verbs.VERBS`."""

_ORDER = ("shape", "turn", "path")
_OFF_REST = frozenset({"walk", "run", "circle", "orbit"})
"""Verbs that are not at rest at whole cycles: in a part of the clip they come and go softly."""
_SOFTLY = 0.25
"""Cycles that this takes."""


def points_at(rest: ArrayLike, body: Body, program: MotionProgram, time: float) -> Array:
    """Where the points ``rest`` ``[N, 3]`` of ``body`` are at ``time`` (seconds)."""
    at_rest = np.asarray(rest, dtype=np.float64)
    acting = [(track, phase) for track, phase in _acting(program, time) if track.verb in MOTIONS]
    points = at_rest
    for track, phase in acting:
        points = roll_wheels(points, at_rest, body, track, phase)
    for track, phase in sorted(acting, key=lambda one: _ORDER.index(VERBS[one[0].verb].layer)):
        if track.part in ("wheels", "blades") and body.has(track.part):
            points = turn_part(points, at_rest, body, track, phase)
            continue
        moved = _moved(points, at_rest, body, track, phase)
        share = _presence(track, phase)
        points = moved if share >= 1.0 else points + share * (moved - points)
    return points


def _moved(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A head, lid, door or drawer that shakes, tilts or rises does it alone, about its own base and by its
    own size; its neck bends."""
    motion = MOTIONS[track.verb]
    if track.part not in _APART or track.verb in ARTICULATED or not body.has(track.part):
        return motion(points, rest, body, track, phase)
    moved = motion(points, rest, body.alone(track.part), track, phase)
    return points + body.carries(track.part, rest)[:, None] * (moved - points)


_APART = ("head", "lid", "door", "drawer")


def colors_at(colors: ArrayLike, rest: ArrayLike, body: Body, program: MotionProgram, time: float) -> Array:
    """The colours (sRGB ``[N, 3]``) of surface points ``rest`` ``[N, 3]`` at ``time`` (seconds)."""
    shown = np.asarray(colors, dtype=np.float64)
    at_rest = np.asarray(rest, dtype=np.float64)
    for track, phase in _acting(program, time):
        if track.verb in LIGHTS:
            shown = LIGHTS[track.verb](shown, weights_of(track.part, at_rest, body), track, phase)
    return shown


def _acting(program: MotionProgram, time: float) -> list[tuple[Track, float]]:
    """The tracks with their phases at ``time``. One that follows its opposite on the same part takes back
    what that did: it plays it backwards, and nothing of its own."""
    share = time / program.duration
    phases = [(track, track.phase_at(share)) for track in program.tracks]
    for index, track in enumerate(program.tracks):
        undone = _undone(program, track)
        if undone is None:
            continue
        phases[index] = (track, 0.0)
        if share > track.start:
            done = program.tracks[undone]
            left = 1.0 - min((share - track.start) / (track.stop - track.start), 1.0)
            phases[undone] = (done, done.phase + done.cycles * left)
    return [
        (track, phase)
        for index, (track, phase) in enumerate(phases)
        if not (phase == 0.0 and _undone(program, program.tracks[index]) is not None)
    ]


def _undone(program: MotionProgram, track: Track) -> int | None:
    """The track that ``track`` takes back: the last one of its opposite verb that ended before it starts."""
    opposite = OPPOSITES.get(track.verb)
    before = [
        index
        for index, other in enumerate(program.tracks)
        if other.verb == opposite and other.part == track.part and other.stop <= track.start + 1e-9
    ]
    return max(before, key=lambda index: program.tracks[index].stop, default=None)


def _presence(track: Track, phase: float) -> float:
    """How much of the verb is there, 0 … 1."""
    if track.verb not in _OFF_REST or (track.start <= 0.0 and track.stop >= 1.0):
        return 1.0
    passed = phase - track.phase
    arriving = ease(passed / _SOFTLY) if track.start > 0.0 else 1.0
    leaving = ease((track.cycles - passed) / _SOFTLY) if track.stop < 1.0 else 1.0
    return arriving * leaving
