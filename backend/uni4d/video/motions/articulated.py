"""Motions of parts: legs, head, arm, wings, tail, lid. The weights are soft, so joints bend and nothing
tears."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions.fields import bend_rod, turn_soft, turned
from uni4d.video.motions.pieces import opened
from uni4d.video.parts import SLENDER, Legs
from uni4d.video.program import Track
from uni4d.video.timing import ease, hump, ramp, wave

__all__ = ["ARTICULATED"]

Array = NDArray[np.float64]

X, Y, UP = np.eye(3)
FRONT = -Y


def walk(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Legs swing about the hips, each foot lifted while it goes forward; the trunk rises over the standing
    leg and turns a little against the legs. Without legs it waddles from edge to edge of its base."""
    if body.legs is None:
        return _waddle(points, body, track, phase)
    return _step(points, rest, body, body.legs, track, phase, flight=0.0)


def run(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """A walk with both feet off the ground in mid-stride, leaning forward."""
    if body.legs is None:
        return _waddle(points, body, track, phase)
    return _step(points, rest, body, body.legs, track, phase, flight=0.12)


def _step(
    points: Array, rest: Array, body: Body, legs: Legs, track: Track, phase: float, *, flight: float
) -> Array:
    weights = _leg_weights(rest, body, legs)  # [N, L]
    moved = points.copy()
    for leg, lag in enumerate(legs.phases):
        cycle = phase - lag
        angle = -track.amplitude * wave(cycle)  # about +X: negative swings the foot forward (−Y)
        hip = np.array([legs.feet[leg, 0], legs.feet[leg, 1], legs.hips[leg]])
        weight = weights[:, leg]
        swung = turned(points, hip, X, angle * weight) - points
        lift = 0.2 * (legs.hips[leg] - legs.ground) * max(math.cos(2.0 * math.pi * cycle), 0.0) ** 2
        # The knee bends: a lifted foot draws nearer to its hip, the more the farther it is from it.
        moved += swung + (lift * weight)[:, None] * UP
    # An inverted pendulum: the trunk is highest over the upright standing leg, and sinks as the legs spread.
    stride = track.amplitude * wave(phase)
    sunk = float(np.mean(legs.hips - legs.ground)) * (1.0 - math.cos(stride))
    rise = flight * body.size[2] * hump(2.0 * phase) - sunk
    trunk = ramp(body.height_of(rest), 0.15, 0.7)
    moved = turned(moved, body.centre, UP, 0.12 * wave(phase) * trunk)
    moved = turned(moved, body.base, FRONT, 0.06 * wave(phase))
    if flight:
        moved = turned(moved, body.base, X, 0.1)
    return moved + rise * UP


def _leg_weights(rest: Array, body: Body, legs: Legs) -> Array:
    """``[N, L]`` as :meth:`Legs.weights`, but a tail that lies low does not swing with the nearest leg."""
    weights, tail = legs.weights(rest), body.tail
    leg_length = float(np.mean(legs.hips - legs.ground))
    is_foot = np.linalg.norm(legs.feet - tail.tip[:2], axis=1).min() < 0.5 * leg_length
    if tail.slenderness > SLENDER and not is_foot:
        weights = weights * (1.0 - tail.weight(rest))[:, None]
    return weights


def _waddle(points: Array, body: Body, track: Track, phase: float) -> Array:
    lean = 0.35 * track.amplitude * wave(phase)
    edge = body.base + math.copysign(0.35 * body.size[0], lean) * X
    leaned = turned(points, edge, Y, lean)
    # The unloaded side comes forward: the body yaws about the edge that it stands on.
    return turned(leaned, edge, UP, 0.5 * lean)


def nod(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The head bends forward about the lateral axis over a curved neck, and comes up again."""
    head = body.head
    return bend_rod(
        points, rest, body, head.origin, head.direction, track.axis, track.amplitude * hump(phase), head.neck
    )


def look(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The head turns to one side and to the other about the vertical through the neck."""
    head = body.head
    joint = head.origin + head.direction * head.neck[1]
    return turn_soft(points, joint, UP, track.amplitude * wave(phase), head.weight(rest))


def wave_arm(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The arm goes up to ``amplitude`` above the horizontal, waves three times, and comes down. Without an
    arm a front paw does; without either the whole body waves like a reed."""
    place = phase % 1.0
    raised = ease(place / 0.25) * ease((1.0 - place) / 0.25)
    beckoning = 0.4 * wave(3.0 * place)
    if body.arm is not None:
        reach = body.arm.tip - body.arm.joint
        hanging = -math.atan2(float(reach[2]), max(float(reach[0]), 1e-9))  # below the horizontal
        angle = raised * (min(track.amplitude + hanging, _SHOULDER) + beckoning)
        return turn_soft(points, body.arm.joint, FRONT, angle, body.arm.weight(rest))
    if body.paw is not None:
        angle = raised * (min(track.amplitude + 0.4, _SHOULDER) + beckoning)
        return turn_soft(points, body.paw.joint, X, -angle, body.paw.weight(rest))
    reed = raised * (0.3 + 0.6 * wave(3.0 * place)) * track.amplitude
    return bend_rod(points, rest, body, body.base, UP, Y, reed, (0.0, body.size[2]))


_SHOULDER = math.radians(115.0)
"""How far an arm turns at most: past this, soft shoulders look wrung."""


def flap(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Both wings bend up and down from their roots; the body sinks a little as they rise."""
    wings = body.wings
    angle = track.amplitude * wave(phase)
    root = np.array([wings.middle, float(body.centre[1]), wings.height])
    flapped = points
    for side in (X, -X):
        span = (wings.root, 0.5 * (wings.root + wings.tip))
        flapped = bend_rod(flapped, rest, body, root, side, np.cross(side, UP), angle, span)
    return flapped - 0.05 * body.radius * wave(phase) * UP


def wag(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The tail goes from side to side about the vertical through its root; the rump answers a little."""
    tail = body.tail
    return turn_soft(points, tail.joint, track.axis, track.amplitude * wave(phase), tail.weight(rest))


def open_up(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Doors about their hinge sides, the lid about its rear edge, a drawer to the front; without such a part
    what lies above the seam turns back like a lid. A lid that stands open is shut first."""
    standing = 1.0 - ease(phase / 0.35) + ease((phase - 0.4) / 0.45)
    return _open(points, rest, body, track, ease(phase / 0.85), standing)


def close(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Opens slowly and snaps shut; a lid that stands open is just shut."""
    place = phase % 1.0
    shut = 1.0 - max((place - 0.6) / 0.3, 0.0) ** 2 if place < 0.9 else 0.0
    return _open(points, rest, body, track, ease(place / 0.55) * shut, 1.0 - ease(phase / 0.85))


def _open(points: Array, rest: Array, body: Body, track: Track, opening: float, standing: float) -> Array:
    of_components = opened(points, rest, body, track, opening, standing)
    return _seam(points, rest, body, track, opening) if of_components is None else of_components


def _seam(points: Array, rest: Array, body: Body, track: Track, opening: float) -> Array:
    low, high = body.low[2] + 0.45 * body.size[2], body.low[2] + 0.85 * body.size[2]
    hinge = np.array([body.centre[0], body.high[1], 0.5 * (low + high)])
    # The skin about the seam stretches like a bellows: by no more than its own height at the front.
    widest = math.asin(min(1.1 * (high - low) / body.size[1], 1.0))
    angle = min(track.amplitude, widest) * opening
    return turn_soft(points, hinge, track.axis, -angle, ramp(rest[:, 2], low, high))


ARTICULATED = {
    "walk": walk,
    "run": run,
    "nod": nod,
    "look": look,
    "wave": wave_arm,
    "flap": flap,
    "wag": wag,
    "open": open_up,
    "close": close,
}
