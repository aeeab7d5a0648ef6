"""Doors, drawers and lids: components that close the front or the top of a body, with what is fixed to them.

A *door* is a thin panel at the front; it hangs at its outer edge, a single one opposite its handle, and one
that is wider than high at its lower edge, like an oven's (but not a microwave's, whose handle is upright).
A body that is nothing but a leaf, such as a shower door, is a door itself. What stands beside a door and is
much narrower is a panel with knobs. A *drawer* is a panel at the front wider than high, with all that stands
behind it. A *lid* covers most of the body from above; its hinge is the rear lower edge. One that stands open
at rest, such as a laptop's, leans up behind a flat base.
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
    ajar: float = 0.0
    """Radians by which it is open at rest."""


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
    """Components at the front that cover at least 4 % of it, the largest first."""
    size, whole = pieces.size, frame.size
    area = size[:, 0] * size[:, 2] / (whole[0] * whole[2])
    slim = _is_slim(frame)  # a door in its frame: what is thin is at the front anyway
    at_front = pieces.low[:, 1] < frame.low[1] + (0.9 if slim else 0.2) * whole[1]
    thin = size[:, 1] < max(thickest * whole[1], 0.12 * min(whole[0], whole[2]) if slim else 0.0)
    largest = 0.97 if slim else 1.01  # of what is slim, the frame is as thin as the door in it
    found = np.flatnonzero(at_front & thin & (area > 0.04) & (area < largest))
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
    if not doors and _is_slim(frame):
        return _leaf(pieces, frame)
    return tuple(door for door in doors if not _beside_a_door(pieces, door, doors))


def _leaf(pieces: Pieces, frame: _Frame) -> tuple[Hinged, ...]:
    """The whole of a body that is one upright slab with its fittings."""
    slab = int(np.argmax(pieces.size[:, 0] * pieces.size[:, 2]))
    whole = np.all(pieces.size[slab][[0, 2]] > 0.9 * frame.size[[0, 2]])
    if not whole or frame.size[2] < 1.2 * frame.size[0]:
        return ()
    return (_hung(pieces, slab, np.arange(len(pieces)), frame),)


def _beside_a_door(pieces: Pieces, panel: Hinged, doors: list[Hinged]) -> bool:
    """Whether a panel is less than half as wide as a door at its side, and has no handle's height of its
    own: the knobs of a microwave."""
    low, high = _box_of(pieces, panel)
    for other in doors:
        other_low, other_high = _box_of(pieces, other)
        level = min(high[2], other_high[2]) - max(low[2], other_low[2]) > 0.7 * (high[2] - low[2])
        apart = max(low[0], other_low[0]) > min(high[0], other_high[0]) - 0.1 * (high[0] - low[0])
        if level and apart and high[0] - low[0] < 0.45 * (other_high[0] - other_low[0]):
            return True
    return False


def _box_of(pieces: Pieces, part: Hinged) -> tuple[Array, Array]:
    return pieces.low[part.members].min(axis=0), pieces.high[part.members].max(axis=0)


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
    ``False`` without one. It is a small component in front, or what stands out of the panel itself."""
    size, front = pieces.size[index], pieces.low[index][1] + 0.1 * pieces.size[index][1]
    small = [i for i in members if i != index and pieces.size[i][0] < 0.4 * size[0]]
    before = [i for i in small if pieces.low[i][1] <= front]
    if before:
        foremost = min(before, key=lambda i: float(pieces.low[i][1]))
        low, high = pieces.low[foremost], pieces.high[foremost]
    else:
        points = pieces.surface(index, 2000)
        out = points[points[:, 1] < pieces.low[index][1] + 0.3 * size[1]]
        if not 0 < len(out) < 0.25 * len(points):
            return 0.0, False
        low, high = out.min(axis=0), out.max(axis=0)
        if high[0] - low[0] > 0.4 * size[0]:
            return 0.0, False  # a bar from side to side, or a frame
    aside = 0.5 * (low[0] + high[0]) - pieces.centre[index][0]
    return float(aside), bool(high[2] - low[2] > 1.3 * (high[0] - low[0]))


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
    if len(pieces) < 2:
        return None
    whole, above = frame.size, pieces.centre[:, 2] > frame.low[2] + 0.5 * frame.size[2]
    low_enough = above & (pieces.size[:, 2] < 0.5 * whole[2])
    covers = low_enough & np.all(pieces.size[:, :2] > 0.7 * whole[:2], axis=1)
    found = np.flatnonzero(covers)[np.argsort(-pieces.high[covers, 2])].tolist()
    lid = next(([index] for index in found if not _roofed(pieces, index)), []) or _boards(pieces, frame)
    return _covering(pieces, lid, frame) if lid else _standing_lid(pieces, frame)


def _roofed(pieces: Pieces, index: int) -> bool:
    """Whether other components lie over most of the middle of one: a drawer in its case."""
    others = np.setdiff1d(np.arange(len(pieces)), [index])
    points = pieces.surface(others, 3000)
    middle = (points - pieces.centre[index]) / np.maximum(pieces.size[index], 1e-9)
    over = (middle[:, 2] > 0.5) & np.all(np.abs(middle[:, :2]) < 0.4, axis=1)
    cells = np.floor((middle[over, :2] + 0.4) / 0.2).astype(np.int64)  # 4 × 4
    return len(np.unique(cells, axis=0)) > 8


def _boards(pieces: Pieces, frame: _Frame) -> list[int]:
    """Flat components at the top that cover most of the body together; none when they do not."""
    whole, size = frame.size, pieces.size
    found = np.flatnonzero(
        (pieces.low[:, 2] > frame.high[2] - 0.2 * whole[2]) & (size[:, 2] < 0.2 * whole[2])
    )
    if not len(found) or (size[found, 0] * size[found, 1]).sum() < 0.5 * whole[0] * whole[1]:
        return []
    together = pieces.high[found].max(axis=0) - pieces.low[found].min(axis=0)
    return found.tolist() if np.all(together[:2] > 0.7 * whole[:2]) else []


def _covering(pieces: Pieces, lid: list[int], frame: _Frame) -> Hinged | None:
    """These components with all that stands on them; ``None`` when that is the whole body."""
    level, rear = float(pieces.low[lid, 2].min()), float(pieces.high[lid, 1].max())
    low = np.array([-np.inf, -np.inf, level - 0.02 * frame.size[2]])
    members = np.union1d(pieces.inside(low, np.full(3, np.inf)), lid)
    if len(members) == len(pieces):
        return None
    hinge = np.array([float(pieces.centre[lid, 0].mean()), rear, level])
    return Hinged(members, hinge, np.array([-1.0, 0.0, 0.0]))


def _standing_lid(pieces: Pieces, frame: _Frame) -> Hinged | None:
    """A thin panel that leans up behind a flat base as wide as it; ``None`` without one."""
    size, whole = pieces.size, frame.size
    wide = size[:, 0] > 0.7 * whole[0]
    bases = wide & (pieces.high[:, 2] < frame.low[2] + 0.25 * whole[2]) & (size[:, 1] > 0.35 * whole[1])
    leaning = wide & (size[:, 2] > 0.5 * whole[2]) & (pieces.low[:, 2] < frame.low[2] + 0.3 * whole[2])
    for lid in np.flatnonzero(leaning)[np.argsort(-size[leaning, 2])].tolist():
        points = pieces.of(lid)
        spread, directions = np.linalg.eigh(np.cov(points.T))
        if spread[0] > 0.02 * spread[1] or abs(directions[0, 0]) > 0.2:
            continue  # not thin, or it does not lean about X
        up = points[:, 2] >= np.quantile(points[:, 2], 0.9)
        down = points[:, 2] <= np.quantile(points[:, 2], 0.1)
        hinge, rise = points[down].mean(axis=0), points[up].mean(axis=0) - points[down].mean(axis=0)
        if not np.any(bases & (pieces.centre[:, 1] < hinge[1])) or rise[2] < 0.0:
            continue
        margin = 0.03 * whole
        inside = pieces.inside(pieces.low[lid] - margin, pieces.high[lid] + margin)
        higher = inside[pieces.centre[inside, 2] > hinge[2] + 0.1 * size[lid, 2]]
        ajar = 0.97 * float(np.arctan2(rise[2], -rise[1]))  # shut, it lies on the base and not in it
        return Hinged(np.union1d(higher, [lid]), hinge, np.array([-1.0, 0.0, 0.0]), ajar)
    return None
