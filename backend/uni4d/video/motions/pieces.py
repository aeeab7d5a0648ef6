"""Motions of components: wheels and blades turn about their own axes, doors and lids about their hinges, a
drawer comes out. Components move rigidly; what is not one stays where it is."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.motions.fields import turned
from uni4d.video.panels import Hinged
from uni4d.video.pieces import Rotor
from uni4d.video.program import Track
from uni4d.video.timing import ease, wave

__all__ = ["FULLY_OPEN", "opened", "roll_wheels", "turn_part"]

Array = NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])

FULLY_OPEN = math.radians(60.0)
"""The amplitude of ``open`` at which a drawer is out by :data:`_DRAWN` of the body's depth."""
_DRAWN = 0.55


def turn_part(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """The wheels, each about its axle, or the blades about theirs, by ``amplitude`` a cycle. Wheels turn as
    if they rolled forward; an axis downwards turns either the other way."""
    sense = -1.0 if track.axis[2] < -0.5 else 1.0
    rotors = body.wheels if track.part == "wheels" else (body.blades,)
    for rotor in rotors:
        if rotor is not None:
            points = _turned(points, rest, body, rotor, sense * track.amplitude * phase)
    return points


def _turned(points: Array, rest: Array, body: Body, rotor: Rotor, angle: float) -> Array:
    mine = body.pieces.carries(rotor.members, rest)
    moved = points.copy()
    moved[mine] = turned(points[mine], rotor.centre, rotor.axis, angle)
    return moved


def _travelled(phase: float) -> float:
    return ease(phase / 0.92)


_ROLLING: dict[str, Callable[[float], float]] = {"drive": wave, "approach": _travelled, "leave": _travelled}
"""Path → the share of its amplitude that has been travelled; as in :mod:`uni4d.video.motions.rigid`."""


def roll_wheels(points: Array, rest: Array, body: Body, track: Track, phase: float) -> Array:
    """Without slipping: a wheel turns by way / radius, on the way that leads across its axle."""
    if track.verb not in _ROLLING or not body.wheels:
        return points
    way = track.amplitude * body.radius * _ROLLING[track.verb](phase) * np.asarray(track.axis)
    for wheel in body.wheels:
        along = np.cross(wheel.axis, UP)  # a turn about the axle carries the top this way
        points = _turned(points, rest, body, wheel, float(way @ along) / wheel.radius)
    return points


def opened(
    points: Array, rest: Array, body: Body, track: Track, opening: float, standing: float
) -> Array | None:
    """The body with its doors, lid or drawer open by ``opening`` (0 … 1) of the amplitude; ``None`` when it
    has no such part. A whole that opens does it with its lid. A lid that is open at rest stays so by
    ``standing`` (0 … 1)."""
    angle = track.amplitude * opening
    if track.part == "drawer" and body.drawer is not None:
        out = _DRAWN * body.drawer.depth * angle / FULLY_OPEN
        moved = points.copy()
        moved[:, 1] -= out * body.pieces.carries(body.drawer.members, rest)
        return moved
    if track.part == "door" and body.doors:
        for door in body.doors:
            points = _swung(points, rest, body, door, angle)
        return points
    if track.part in ("lid", "whole") and body.lid is not None:
        if body.lid.ajar:
            angle = (standing - 1.0) * body.lid.ajar
        return _swung(points, rest, body, body.lid, angle)
    return None


def _swung(points: Array, rest: Array, body: Body, part: Hinged, angle: float) -> Array:
    mine = body.pieces.carries(part.members, rest)
    moved = points.copy()
    moved[mine] = turned(points[mine], part.hinge, part.axis, angle)
    return moved
