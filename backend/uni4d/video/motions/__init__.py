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
from uni4d.video.motions.rigid import PATHS, TURNS
from uni4d.video.motions.soft import SOFT
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import VERBS

__all__ = ["MOTIONS", "colors_at", "points_at"]

Array = NDArray[np.float64]
Motion = Callable[[Array, Array, Body, Track, float], Array]

MOTIONS: dict[str, Motion] = {**SOFT, **ARTICULATED, **TURNS, **PATHS}
"""Geometric verb → its motion. Together with the light verbs it covers :data:`uni4d.video.verbs.VERBS`."""

_ORDER = ("shape", "turn", "path")


def points_at(rest: ArrayLike, body: Body, program: MotionProgram, time: float) -> Array:
    """Where the points ``rest`` ``[N, 3]`` of ``body`` are at ``time`` (seconds)."""
    at_rest = np.asarray(rest, dtype=np.float64)
    points = at_rest
    geometric = [track for track in program.tracks if track.verb in MOTIONS]
    for track in sorted(geometric, key=lambda track: _ORDER.index(VERBS[track.verb].layer)):
        points = MOTIONS[track.verb](points, at_rest, body, track, _phase(track, program, time))
    return points


def colors_at(colors: ArrayLike, rest: ArrayLike, body: Body, program: MotionProgram, time: float) -> Array:
    """The colours (sRGB ``[N, 3]``) of surface points ``rest`` ``[N, 3]`` at ``time`` (seconds)."""
    shown = np.asarray(colors, dtype=np.float64)
    at_rest = np.asarray(rest, dtype=np.float64)
    for track in program.tracks:
        if track.verb in LIGHTS:
            weights = weights_of(track.part, at_rest, body)
            shown = LIGHTS[track.verb](shown, weights, track, _phase(track, program, time))
    return shown


def _phase(track: Track, program: MotionProgram, time: float) -> float:
    return track.phase + track.cycles * time / program.duration
