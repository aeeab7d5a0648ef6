"""Doors, drawers and lids: components that close the front or the top of a body, with what is fixed to them.

A *door* is a thin panel at the front; it hangs at its outer edge, a single one opposite its handle, and one
that is wider than high at its lower edge, like an oven's (but not a microwave's, whose handle is upright).
A *drawer* is a panel at the front wider than high, with all that stands behind it. A *lid* covers most of
the body from above; its hinge is the rear lower edge.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.video.pieces import Pieces

__all__ = ["Hinged", "Sliding", "find_doors", "find_drawer", "find_lid"]

Array = NDArray[np.float64]
Members = NDArray[np.int64]


@frozen(eq=False)
class Hinged:
    """Components that turn about a hinge."""

    members: Members
    hinge: Array
    """``[3]`` a point on it."""
    axis: Array
    """``[3]`` unit vector along it; a positive turn opens."""


@frozen(eq=False)
class Sliding:
    """Components that come out to the front."""

    members: Members
    depth: float
    """Metres from front to rear."""


@frozen(eq=False)
class _Frame:
    """The box of the whole body."""

    low: Array
    high: Array

    @property
    def size(self) -> Array:
        return np.maximum(self.high - self.low, 1e-9)


def _frame(pieces: Pieces) -> _Frame:
    return _Frame(pieces.low.min(axis=0), pieces.high.max(axis=0))


def _is_slim(frame: _Frame) -> bool:
    return bool(frame.size[1] < 0.3 * frame.size[0])


def _front_panels(pieces: Pieces, frame: _Frame, *, thickest: float) -> list[int]:
    """Components at the front that cover 4 … 97 % of it, the largest first."""
    size, whole = pieces.size, frame.size
    area = size[:, 0] * size[:, 2] / (whole[0] * whole[2])
    slim = _is_slim(frame)  # a door in its frame: what is thin is at the front anyway
    at_front = pieces.low[:, 1] < frame.low[1] + (0.9 if slim else 0.2) * whole[1]
    thin = size[:, 1] < max(thickest * whole[1], 0.12 * min(whole[0], whole[2]) if slim else 0.0)
    found = np.flatnonzero(at_front & thin & (area > 0.04) & (area < 0.97))
    return [int(index) for index in found[np.argsort(-area[found])]]


def _rectangle(pieces: Pieces, index: int, grow: float) -> tuple[Array, Array]:
    """The panel's box without limits in depth, larger by ``grow`` of its size at each side."""
    margin = grow * pieces.size[index]
    low, high = pieces.low[index] - margin, pieces.high[index] + margin
    low[1], high[1] = -np.inf, np.inf
    return low, high


def find_doors(pieces: Pieces) -> tuple[Hinged, ...]:
    """The doors of a body, the largest first; none when no component is one."""
    if len(pieces) < 2:
        return ()
    frame = _frame(pieces)
    doors: list[Hinged] = []
    taken: set[int] = set()
    for index in _front_panels(pieces, frame, thickest=0.22):
        upright = pieces.size[index][2] > 0.22 * frame.size[2] and pieces.size[index][0] > 0.1 * frame.size[0]
        if index in taken or not upright or _encloses(pieces, index, frame):
            continue
        low, high = _rectangle(pieces, index, 0.04)
        if not _is_slim(frame):  # a door's knob shows on both its sides
            high[1] = pieces.high[index][1] + 0.06 * frame.size[1]
        small = np.all(pieces.size[:, [0, 2]] < 0.3 * pieces.size[index][[0, 2]], axis=1)
        fittings = small & np.all((pieces.centre >= low) & (pieces.centre <= high), axis=1)
        members = np.union1d(np.append(pieces.inside(low, high), index), np.flatnonzero(fittings))
        taken |= {int(member) for member in members}
        doors.append(_hung(pieces, index, members, frame))
    return tuple(doors)


def _encloses(pieces: Pieces, index: int, frame: _Frame) -> bool:
    """Whether a panel is a frame: two or more panels of some size stand inside its outline."""
    size, whole = pieces.size, frame.size
    area = size[:, 0] * size[:, 2]
    low, high = _rectangle(pieces, index, 0.0)
    inside = [i for i in pieces.inside(low, high) if i != index and area[i] > 0.12 * area[index]]
    beside = {round(float(pieces.centre[i][0] / (0.2 * whole[0]))) for i in inside}
    points = pieces.of(index)
    middle = np.abs(points - pieces.centre[index]) < 0.3 * size[index]
    hollow = not np.any(middle[:, 0] & middle[:, 2])  # a plain slab has no vertex there either
    return hollow and len(beside) >= 2 and bool(area[index] > 0.5 * whole[0] * whole[2])


def _hung(pieces: Pieces, index: int, members: Members, frame: _Frame) -> Hinged:
    low, high = pieces.low[index], pieces.high[index]
    width, height = pieces.size[index][0], pieces.size[index][2]
    handle, upright = _handle(pieces, index, members)
    flap = width > 1.25 * height and width > 0.6 * frame.size[0]
    if flap and not (upright and abs(handle) > 0.2 * width):
        return Hinged(members, np.array([low[0], high[1], low[2]]), np.array([1.0, 0.0, 0.0]))
    aside = pieces.centre[index][0] - 0.5 * (frame.low[0] + frame.high[0])
    if flap or abs(aside) < 0.08 * frame.size[0]:
        aside = -handle
    # Hung at its left (+X) the free edge, towards −X, comes out to the front by a turn about +Z.
    sign = 1.0 if aside >= 0.0 else -1.0
    edge = high[0] if sign > 0 else low[0]
    return Hinged(members, np.array([edge, high[1], low[2]]), np.array([0.0, 0.0, sign]))


def _handle(pieces: Pieces, index: int, members: Members) -> tuple[float, bool]:
    """Where the handle of a panel is beside its middle, along X, and whether it is higher than wide; 0 and
    ``False`` without one."""
    small = [i for i in members if i != index and pieces.size[i][0] < 0.4 * pieces.size[index][0]]
    if not small:
        return 0.0, False
    foremost = min(small, key=lambda i: float(pieces.low[i][1]))
    aside = pieces.centre[foremost][0] - pieces.centre[index][0]
    return float(aside), bool(pieces.size[foremost][2] > 1.3 * pieces.size[foremost][0])


def find_drawer(pieces: Pieces) -> Sliding | None:
    """The topmost drawer; ``None`` without one."""
    frame = _frame(pieces)
    fronts = [
        index
        for index in _front_panels(pieces, frame, thickest=1.0)
        if pieces.size[index][0] > 1.15 * pieces.size[index][2]
        and pieces.size[index][0] > 0.2 * frame.size[0]
        and pieces.size[index][2] < 0.6 * frame.size[2]
    ]
    if len(pieces) < 2 or not fronts:
        return None
    top = max(float(pieces.high[index][2]) for index in fronts)
    highest = [i for i in fronts if pieces.high[i][2] > top - 0.5 * pieces.size[i][2]]
    # The board on top of a desk is thin and at the front too; a drawer's front is higher than that.
    thickness = np.maximum(pieces.size[:, 1], 1e-3 * frame.size[1])
    fitness = pieces.size[:, 0] * pieces.size[:, 2] / np.sqrt(thickness)
    front = max(highest, key=lambda index: float(fitness[index]))
    low, high = _rectangle(pieces, front, 0.03)
    members = np.union1d(pieces.inside(low, high), [front])
    return Sliding(members, float(frame.size[1]))


def find_lid(pieces: Pieces) -> Hinged | None:
    """What covers the body from above; ``None`` without it."""
    frame = _frame(pieces)
    size, whole = pieces.size, frame.size
    covers = (size[:, 0] > 0.7 * whole[0]) & (size[:, 1] > 0.7 * whole[1]) & (size[:, 2] < 0.5 * whole[2])
    above = pieces.centre[:, 2] > frame.low[2] + 0.5 * whole[2]
    found = np.flatnonzero(covers & above)
    if len(pieces) < 2 or not len(found):
        return None
    lid = int(found[np.argmax(pieces.high[found, 2])])
    low = np.array([-np.inf, -np.inf, pieces.low[lid][2] - 0.02 * whole[2]])
    members = np.union1d(pieces.inside(low, np.full(3, np.inf)), [lid])
    if len(members) == len(pieces):
        return None
    hinge = np.array([pieces.centre[lid][0], pieces.high[lid][1], pieces.low[lid][2]])
    return Hinged(members, hinge, np.array([-1.0, 0.0, 0.0]))
