"""Turns about the body itself and paths through the world: the mesh keeps its shape."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions.fields import grounded, rotate, turned
from uni4d.video.program import Track
from uni4d.video.timing import bump, ease, hump, wave

__all__ = ["PATHS", "TURNS"]

Array = NDArray[np.float64]

FRONT = np.array([0.0, -1.0, 0.0])
UP = np.array([0.0, 0.0, 1.0])


def spin(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Full turns at constant speed about an axis through the centre; a part of a turn starts and stops
    softly."""
    turns = phase if track.amplitude >= _WHOLE_TURN else math.floor(phase) + ease(phase % 1.0)
    return turned(points, body.centre, track.axis, track.amplitude * turns)


_WHOLE_TURN = 2.0 * math.pi - 1e-6


def roll(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Full turns about a level axis while the lowest point stays on the ground (the camera rolls along)."""
    angle = track.amplitude * phase
    rolled, cloud = (turned(p, body.centre, track.axis, angle) for p in (points, body.samples))
    across = np.cross(np.asarray(track.axis), UP)
    # A plate on its edge would rise out of the frame: what is not round rolls partly in the air.
    roundness = min(1.0, float(body.size[2] / (np.abs(across) @ body.size)))
    lift = float(body.samples[:, 2].min() - cloud[:, 2].min())
    return rolled + roundness * lift * UP


def tumble(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A somersault in the air: a leap, and one full turn during the flight."""
    flight = min(max((phase % 1.0 - 0.1) / 0.8, 0.0), 1.0)
    height = 0.25 * body.radius * 4.0 * flight * (1.0 - flight)
    # Nearly even, as angular momentum keeps it in the air; a little softer at take-off and landing.
    turns = math.floor(phase) + flight - 0.5 * wave(flight) / (2.0 * math.pi)
    return turned(points, body.centre, track.axis, track.amplitude * turns) + height * UP


def rock(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Rolls to and fro on a rounded base, without slipping: contact moves by radius × angle.

    Rockers run lengthwise: a body much wider than deep rocks from side to side.
    """
    axis = np.asarray(track.axis)
    if abs(axis[0]) == 1.0 and body.size[0] > 1.3 * body.size[1]:
        axis = np.array([0.0, axis[0], 0.0])
    angle = track.amplitude * wave(phase)
    curvature = 0.9 * body.size[2]  # the base is an arc about a point near the top
    pivot = body.base + curvature * UP
    return turned(points, pivot, axis, angle) + curvature * angle * np.cross(axis, UP)


def swing(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A pendulum that hangs from above its top."""
    pivot = body.centre + np.array([0.0, 0.0, 0.5 * body.size[2] + 0.15 * body.radius])
    return turned(points, pivot, track.axis, track.amplitude * wave(phase))


def tilt(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Leans over to one side about the base and comes back."""
    return turned(points, body.base, track.axis, track.amplitude * hump(phase))


def wobble(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Staggers: a lean about the base that swells and dies within a cycle while it runs around twice."""
    around = 4.0 * math.pi * phase
    lean = np.array([-math.sin(around), math.cos(around), 0.0])
    return turned(points, body.base, lean, track.amplitude * hump(phase))


def shake(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Quick to and fro along the axis, with a little yaw in quadrature."""
    shift = track.amplitude * body.radius * wave(phase) * np.asarray(track.axis)
    return turned(points, body.centre, UP, 0.6 * track.amplitude * wave(2.0 * phase)) + shift


def fall(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Topples over the edge of its base: slow at first, faster and faster, a small rebound on the ground."""
    along = np.cross(np.asarray(track.axis), UP)
    edge = body.base + along * float((body.samples[_near_ground(body)] @ along).max() - body.base @ along)
    # An inverted pendulum falls as sinh²; it lands at two thirds of the clip and bounces once.
    landed = 0.68
    if phase < landed:
        turn = (math.sinh(1.6 * phase / landed) / math.sinh(1.6)) ** 2
    else:
        turn = 1.0 - 0.1 * bump(phase, landed, landed + 0.25)
    # What is wider than tall does not topple; it tips up on its edge as far as it is tall.
    lowness = min(1.0, float(body.size[2] / (np.abs(along) @ body.size)))
    angle = track.amplitude * turn * lowness
    ground = float(body.samples[:, 2].min())
    fallen, cloud = (turned(p, edge, track.axis, angle) for p in (points, body.samples))
    # The base slips under the falling weight, so the middle goes less far to the side.
    shift = turned(body.centre[None], edge, track.axis, angle)[0] - body.centre
    return grounded(fallen, cloud, ground) - _SLIP * (shift @ along) * along


_SLIP = 0.75
"""How much of its sideways way a falling body's middle takes back by slipping; 1 is a floor without
friction."""


def _near_ground(body: Body) -> NDArray[np.bool_]:
    return body.samples[:, 2] < body.low[2] + 0.1 * body.size[2]


def fly(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Cruises beside the camera: surges and heaves on the air, pitches and banks with it."""
    reach = track.amplitude * body.radius
    heave, surge = wave(phase), 0.8 * wave(phase)
    banked = turned(points, body.centre, FRONT, 0.22 * wave(phase))
    pitched = turned(banked, body.centre, [1.0, 0.0, 0.0], 0.16 * (math.cos(2 * math.pi * phase) - 1.0) / 2)
    return pitched + reach * (heave * UP + surge * np.asarray(track.axis))


def circle(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Along a level circle, the front along the tangent, banked towards its middle.

    In a steady turn the bank is constant: tan(bank) = v² / (g r).
    """
    sign = 1.0 if track.axis[2] >= 0 else -1.0  # + counter-clockwise from above: a turn to the left
    bank = math.radians(28.0)
    # The left wing points to +X; in a left turn it goes down: a turn of −bank about the front axis −Y.
    banked = turned(points, body.centre, FRONT, -sign * bank)
    return _around(banked, body, track, phase, heading=True)


def orbit(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Along a level circle, upright, the front along the tangent."""
    return _around(points, body, track, phase, heading=True)


_OFF_MIDDLE = 0.3
"""How far the circle's middle lies beside the place of rest, in radii of the circle. At 1 frame 0 would be at
rest, but the circle off-centre and small; at 0 it would be largest, and frame 0 a radius away."""


def _around(points: Array, body: Body, track: Track, phase: float, *, heading: bool) -> Array:
    sign = 1.0 if track.axis[2] >= 0 else -1.0
    radius = track.amplitude * body.radius
    angle = sign * 2.0 * math.pi * phase
    beside = np.array([sign, 0.0, 0.0])  # from the start towards the circle's middle (front −Y, left +X)
    spoke = rotate(-radius * beside[None], UP, angle)[0]
    facing = turned(points, body.centre, UP, angle) if heading else points
    return facing + spoke + _OFF_MIDDLE * radius * beside


def hover(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Floats: up and down, and a slow tilt that follows a quarter of a cycle later."""
    tilted = turned(points, body.centre, FRONT, 0.09 * wave(phase))
    lifted = track.amplitude * body.radius * hump(phase) * 2.0
    return turned(tilted, body.centre, UP, 0.14 * wave(phase)) + lifted * np.asarray(track.axis)


def travel(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Once from rest along the axis, starting and stopping softly (rise, approach, leave)."""
    return points + track.amplitude * body.radius * ease(phase / 0.92) * np.asarray(track.axis)


def drop(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Lifted a little, let go, and bounced twice on the ground, each time a quarter as high."""
    height = track.amplitude * body.radius
    # Durations of falls from h, h/4, h/16: √h each; lift, fall, two rebounds.
    lift, fall_time = 0.3, 0.22
    if phase < lift:
        up = ease(phase / lift)
    elif phase < lift + fall_time:
        up = 1.0 - ((phase - lift) / fall_time) ** 2
    else:
        first = (phase - lift - fall_time) / fall_time  # a rebound to 1/4 lasts 2 · √(1/4) = 1 fall time
        second = (first - 1.0) / 0.5
        up = _arc(first, 0.25) + _arc(second, 0.0625)
    return points + height * up * UP


def _arc(place: float, height: float) -> float:
    return height * 4.0 * place * (1.0 - place) if 0.0 < place < 1.0 else 0.0


def slide(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """To one side and to the other along the axis."""
    return points + track.amplitude * body.radius * wave(phase) * np.asarray(track.axis)


def drive(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Forward and back along the axis; the body dips when it brakes and rears when it speeds up."""
    pitch = 0.05 * wave(phase)  # against the acceleration, which is −wave
    across = np.cross(UP, np.asarray(track.axis))
    length = float(np.linalg.norm(across))
    pitched = turned(points, body.base, across / length, pitch) if length > 1e-6 else points
    return pitched + track.amplitude * body.radius * wave(phase) * np.asarray(track.axis)


TURNS = {
    "spin": spin,
    "roll": roll,
    "barrel_roll": spin,
    "tumble": tumble,
    "rock": rock,
    "swing": swing,
    "tilt": tilt,
    "wobble": wobble,
    "shake": shake,
    "fall": fall,
}
PATHS = {
    "fly": fly,
    "circle": circle,
    "orbit": orbit,
    "hover": hover,
    "rise": travel,
    "drop": drop,
    "slide": slide,
    "drive": drive,
    "approach": travel,
    "leave": travel,
}
