"""Whole-body deformations: the base stays on the ground, volume is kept, everything is smooth."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions.fields import bend_rod, scale, squash, turned
from uni4d.video.program import Track
from uni4d.video.timing import bump, ease, hop, hump, ramp, wave

__all__ = ["SOFT"]

Array = NDArray[np.float64]

X, Y, UP = np.eye(3)


def _spine(points: Array, rest: Array, body: Body, axis: Array, angle: float) -> Array:
    """The whole body bent like a rod that stands on the ground; ``angle`` is the top's turn about
    ``axis``."""
    return bend_rod(points, rest, body, body.base, UP, axis, angle, (0.0, body.size[2]))


def _torsion(points: Array, rest: Array, body: Body, angle: float) -> Array:
    """The top turned about the vertical by ``angle``, the base by none."""
    return turned(points, body.centre, UP, angle * ramp(body.height_of(rest), 0.0, 1.0))


def dance(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Two beats a cycle: knees bend and release on each, hips sway to the left and to the right, the trunk
    twists against the sway, and a small hop carries from side to side."""
    gain = track.amplitude
    beat = 2.0 * phase
    sway = math.sin(2.0 * math.pi * phase)
    crouch = 0.14 * hump(beat) - 0.05 * bump(beat, 0.55, 1.0)
    twisted = math.sin(2.0 * math.pi * phase + 0.5 * math.pi * sway)  # lingers at either side
    danced = squash(points, body, -gain * crouch)
    danced = _torsion(danced, rest, body, 0.55 * gain * twisted)
    danced = _spine(danced, rest, body, Y, gain * 0.42 * sway)
    step = 0.14 * sway * X + 0.1 * hop(beat, 0.5, 1.0) * UP
    return turned(danced, body.base, UP, gain * 0.3 * sway) + gain * body.radius * step


def bounce(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A ball: free flight (a parabola), squashed while it touches the ground, stretched when it is
    fastest."""
    contact = 0.28
    height = track.amplitude * body.radius * hop(phase, contact, 1.0)
    flight = max((phase % 1.0 - contact) / (1.0 - contact), 0.0)
    speed = abs(1.0 - 2.0 * flight) if 0.0 < flight < 1.0 else 0.0
    # The stretch fades out at take-off and landing, where the squash takes over.
    stretch = 0.12 * speed * ease(min(flight, 1.0 - flight) / 0.15) - 0.24 * bump(phase, 0.0, contact)
    return squash(points, body, stretch) + height * UP


def jump(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Crouch, leap, land, recover; along the axis too when it is not vertical."""
    crouch = 0.22 * bump(phase, 0.0, 0.34) + 0.2 * bump(phase, 0.76, 1.0)
    stretch = 0.13 * bump(phase, 0.3, 0.5)
    height = track.amplitude * body.radius * hop(phase, 0.3, 0.8)
    return squash(points, body, stretch - crouch) + height * UP


def sway(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A stalk in a breeze: bends to either side, with a gust's second harmonic across."""
    axis = np.asarray(track.axis)
    swayed = _spine(points, rest, body, axis, track.amplitude * wave(phase))
    return _spine(swayed, rest, body, np.cross(UP, axis), 0.25 * track.amplitude * wave(2.0 * phase))


def bend(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Bows from the waist and straightens up."""
    height = float(body.size[2])
    angle = track.amplitude * hump(phase)
    return bend_rod(points, rest, body, body.base, UP, track.axis, angle, (0.2 * height, 0.75 * height))


def twist(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Wrung about the vertical, one way and the other."""
    return _torsion(points, rest, body, track.amplitude * wave(phase))


def wiggle(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A wave that travels up the body, growing from nothing at the base."""
    height = body.height_of(rest)
    reach = track.amplitude * body.radius * ramp(height, 0.0, 0.7)
    # Minus its value at the start of each cycle, faded, so that frame 0 is at rest and the clip loops.
    shift = np.sin(2.0 * math.pi * (phase - 0.7 * height)) + np.sin(1.4 * math.pi * height) * _still(phase)
    return points + (reach * shift)[:, None] * np.asarray(track.axis)


def _still(phase: float) -> float:
    """1 at whole cycles, 0 in the middle of one."""
    return 1.0 - hump(phase)


def swim(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A lateral wave that travels from head to tail and grows on the way, as an eel's does (Gray 1933)."""
    place = np.clip((rest[:, 1] - body.low[1]) / body.size[1], 0.0, 1.0)
    reach = track.amplitude * body.radius * (0.25 + 0.75 * place**2)
    shift = np.sin(2.0 * math.pi * (phase - 0.8 * place)) + np.sin(1.6 * math.pi * place) * _still(phase)
    return points + (reach * shift)[:, None] * np.asarray(track.axis)


def stretch(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Taller and thinner, and back."""
    return squash(points, body, track.amplitude * hump(phase))


def squash_down(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Lower and wider, and back."""
    return squash(points, body, -min(track.amplitude, 0.7) * hump(phase))


def breathe(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The trunk swells about its own middle line and the top rises a little; in faster than out."""
    breath = hump((phase % 1.0) ** 0.85)
    height = body.height_of(rest)
    chest = ramp(height, 0.05, 0.5) * (1.0 - ramp(height, 0.6, 1.0))
    outward = points - body.centre
    outward[:, 2] = 0.0
    swollen = points + track.amplitude * breath * chest[:, None] * outward
    return swollen + 0.35 * track.amplitude * breath * (ramp(height, 0.0, 0.8) * body.size[2])[:, None] * UP


def pulse(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A heart: two quick swellings, then a pause."""
    beat = bump(phase, 0.0, 0.35) + 0.6 * bump(phase, 0.3, 0.7)
    return scale(points, body.centre, 1.0 + track.amplitude * beat)


def grow(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Larger and larger from the base up, with a slight overshoot at the end."""
    size = ease(phase / 0.85) + 0.08 * bump(phase, 0.7, 1.0)
    return scale(points, body.base, 1.0 + track.amplitude * size)


def shrink(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Smaller and smaller towards the base."""
    return scale(points, body.base, 1.0 - min(track.amplitude, 0.9) * ease(phase / 0.92))


def melt(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Sinks from the top and spreads at the foot; the volume stays roughly the same."""
    progress = min(track.amplitude, 0.85) * ease(phase / 0.95)
    height = body.height_of(rest)
    sunk = points.copy()
    sunk[:, 2] = body.low[2] + (points[:, 2] - body.low[2]) * (1.0 - progress * (0.75 + 0.25 * height))
    spread = 1.0 + 0.65 * progress * (1.0 - ramp(height, 0.0, 0.8))
    sunk[:, :2] = body.base[:2] + (points[:, :2] - body.base[:2]) * spread[:, None]
    return sunk


SOFT = {
    "dance": dance,
    "bounce": bounce,
    "jump": jump,
    "sway": sway,
    "bend": bend,
    "twist": twist,
    "wiggle": wiggle,
    "swim": swim,
    "stretch": stretch,
    "squash": squash_down,
    "breathe": breathe,
    "pulse": pulse,
    "grow": grow,
    "shrink": shrink,
    "melt": melt,
}
