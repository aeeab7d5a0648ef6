"""Keeps a motion inside the frame of the camera that films it.

The photographs leave a margin about the bounding sphere; a path may use it up but not leave it.
Displacements and changes of size are scaled down until every moved point projects inside; turns are left as
they are.
"""

from __future__ import annotations

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions import points_at
from uni4d.video.program import MotionProgram
from uni4d.video.verbs import VERBS
from uni4d_shared.cameras import project
from uni4d_shared.types import Camera

__all__ = ["fit_to_frame", "overshoot"]

_BORDER = 0.02
"""Part of the frame that stays free at each side."""

_HALVINGS = 7


def fit_to_frame(program: MotionProgram, body: Body, camera: Camera, frames: int) -> MotionProgram:
    """The same program with displacements scaled to the frame, noted when they were; ``frames`` times are
    looked at."""
    outline = _outline(body.samples)
    if overshoot(program, outline, body, camera, frames) <= 0.0:
        return program
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if overshoot(_scaled(program, middle), outline, body, camera, frames) <= 0.0:
            low = middle
        else:
            high = middle
    smaller = _scaled(program, low)
    if smaller == program:
        return program.with_note("The turning object reaches beyond the frame.")
    return smaller.with_note(f"Displacements scaled to {low:.0%} to stay inside the frame.")


def overshoot(
    program: MotionProgram, points: NDArray[np.float64], body: Body, camera: Camera, frames: int
) -> float:
    """How far any of ``points`` ``[N, 3]`` leaves the frame (less its border) at any frame, in frame
    widths; ≤ 0 is inside."""
    size = np.array([camera.width, camera.height])
    worst = -np.inf
    for frame in range(frames):
        moved = points_at(points, body, program, program.duration * frame / frames)
        pixels, depth = project(camera, moved)
        if depth.min() <= 0.0:
            return float("inf")
        beyond = np.maximum(_BORDER - pixels / size, pixels / size - (1.0 - _BORDER))
        worst = max(worst, float(beyond.max()))
    return worst


def _scaled(program: MotionProgram, factor: float) -> MotionProgram:
    return evolve(
        program,
        tracks=tuple(
            evolve(track, amplitude=track.amplitude * factor) if _may_shrink(track.verb) else track
            for track in program.tracks
        ),
    )


def _may_shrink(verb: str) -> bool:
    return VERBS[verb].layer != "light" and VERBS[verb].unit != "radians"


def _outline(samples: NDArray[np.float64], directions: int = 400) -> NDArray[np.float64]:
    """The few ``samples`` that are extreme in some direction (a Fibonacci sphere of them)."""
    index = np.arange(directions) + 0.5
    z = 1.0 - 2.0 * index / directions
    turn = np.pi * (1.0 + 5.0**0.5) * index
    across = np.sqrt(1.0 - z * z)
    sphere = np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)
    return samples[np.unique(np.argmax(samples @ sphere.T, axis=0))]
