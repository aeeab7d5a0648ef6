"""Wheels and blades: the connected components of a mesh, and what symmetry and size say of them.

A component is what hangs together by its edges, with vertices in the same place taken for one. A *wheel* is a
component that is round across a level axis, thin along it and near the ground, with all that lies inside it
(rim, spokes, bolts). *Blades* are a component, or several congruent ones, that a k-th of a turn about the
thin direction maps onto itself while half of that does not: a disc is no propeller.
"""

from __future__ import annotations

import math

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = ["Pieces", "Rotor", "find_blades", "find_pieces", "find_wheels"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WELD = 1e-5
"""Vertices nearer than this share of the diagonal are one."""
_MOST = 3000
"""With more components than this (loose triangles), none means anything."""


@frozen(eq=False)
class Pieces:
    """The connected components of a mesh."""

    points: Array = field(repr=False)
    """``[P, 3]`` its vertices."""
    label: NDArray[np.int64] = field(repr=False)
    """``[P]`` the component of each."""
    low: Array
    high: Array
    """``[C, 3]`` their bounding boxes."""
    corners: Array = field(repr=False)
    """``[F, 3, 3]`` its triangles."""
    face_label: NDArray[np.int64] = field(repr=False)
    """``[F]`` the component of each."""
    _tree: cKDTree = field(repr=False)

    def __len__(self) -> int:
        return len(self.low)

    @property
    def size(self) -> Array:
        """``[C, 3]`` edges of their boxes."""
        return self.high - self.low

    @property
    def centre(self) -> Array:
        """``[C, 3]``"""
        return 0.5 * (self.low + self.high)

    def of(self, index: int | NDArray[np.int64]) -> Array:
        """``[n, 3]`` the vertices of one component, or of several."""
        return self.points[np.isin(self.label, index)]

    def surface(self, index: int | NDArray[np.int64], count: int, seed: int = 0) -> Array:
        """``[count, 3]`` points spread over the surface of one component, or of several."""
        corners = self.corners[np.isin(self.face_label, index)]
        edges = corners[:, 1:] - corners[:, :1]
        areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
        random = np.random.default_rng(seed)
        u, v = random.random((2, count))
        flip = u + v > 1.0
        u[flip], v[flip] = 1.0 - u[flip], 1.0 - v[flip]
        face = random.choice(len(corners), count, p=areas / areas.sum())
        return np.asarray(corners[face, 0] + u[:, None] * edges[face, 0] + v[:, None] * edges[face, 1])

    def middle(self, index: int | NDArray[np.int64]) -> Array:
        """``[3]`` the centroid of their surface."""
        corners = self.corners[np.isin(self.face_label, index)]
        areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        return np.asarray((areas[:, None] * corners.mean(axis=1)).sum(axis=0) / areas.sum())

    def inside(self, low: Array, high: Array) -> NDArray[np.int64]:
        """Components whose boxes lie in the box from ``low`` to ``high`` ``[3]``."""
        return np.flatnonzero(np.all((self.low >= low) & (self.high <= high), axis=1))

    def carries(self, members: NDArray[np.int64], points: Array) -> Mask:
        """``[N]`` which of the surface points ``points`` ``[N, 3]`` belong to the components ``members``."""
        return np.isin(self.label[self._tree.query(points)[1]], members)


@frozen(eq=False)
class Rotor:
    """Components that turn together about an axis."""

    members: NDArray[np.int64]
    centre: Array
    axis: Array
    """``[3]`` unit vector."""
    radius: float


def find_pieces(vertices: Array, faces: NDArray[np.int64]) -> Pieces:
    """The components of a mesh of ``vertices`` ``[P, 3]`` and triangles ``faces`` ``[F, 3]``."""
    used = np.unique(faces)
    points = vertices[used]
    diagonal = max(float(np.linalg.norm(np.ptp(points, axis=0))), 1e-12)
    places, same = np.unique(np.round(points / (_WELD * diagonal)), axis=0, return_inverse=True)
    corners = same.reshape(-1)[np.searchsorted(used, faces)]  # [F, 3] welded
    rows, columns = corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel()
    links = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(places), len(places)))
    count, of_place = connected_components(links, directed=False)
    label = of_place[same.reshape(-1)].astype(np.int64)
    if count > _MOST:
        count, label = 1, np.zeros(len(points), np.int64)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, label, points)
    np.maximum.at(high, label, points)
    places_of_faces = np.searchsorted(used, faces)
    return Pieces(
        points, label, low, high, points[places_of_faces], label[places_of_faces[:, 0]], cKDTree(points)
    )


def find_wheels(pieces: Pieces) -> tuple[Rotor, ...]:
    """The wheels on the ground, the largest first; each with its axle along X or Y."""
    ground, height = float(pieces.low[:, 2].min()), float(np.ptp(pieces.points[:, 2]))
    wheels: list[Rotor] = []
    largest_first = np.argsort(-pieces.size[:, 2])
    for index in largest_first:
        low, size = pieces.low[index], pieces.size[index]
        if low[2] > ground + 0.12 * height or size[2] < 0.04 * height:
            continue
        axle = _axle(pieces, int(index))
        if axle is None or any(index in wheel.members for wheel in wheels):
            continue
        wheels.append(_wheel(pieces, int(index), axle))
    return tuple(wheels)


def _axle(pieces: Pieces, index: int) -> int | None:
    """The level coordinate axis across which a component is round; ``None`` when there is none."""
    size, points = pieces.size[index], pieces.of(index)
    axle = int(np.argmin(size[:2]))
    across = [1 - axle, 2]
    width, height = size[across]
    if len(points) < 12 or size[axle] > 0.8 * height or not 0.88 < width / max(height, 1e-12) < 1.14:
        return None
    distance = np.linalg.norm(points[:, across] - pieces.centre[index][across], axis=1)
    return axle if distance.max() < 1.1 * 0.5 * max(width, height) else None  # a square's corners: 1.41


def _wheel(pieces: Pieces, index: int, axle: int) -> Rotor:
    centre, radius = pieces.centre[index], 0.5 * float(pieces.size[index][2])
    across = [1 - axle, 2]
    # A component lies inside when its farthest corner does; of round ones the middle of an edge counts.
    offset = np.abs(pieces.centre[:, across] - centre[across])
    reach = np.linalg.norm(offset, axis=1) + 0.5 * pieces.size[:, across].max(axis=1)
    beside = np.abs(pieces.centre[:, axle] - centre[axle]) + 0.5 * pieces.size[:, axle]
    inside = (reach < 1.03 * radius) & (beside < max(1.5 * pieces.size[index][axle], 0.6 * radius))
    members = np.union1d(np.flatnonzero(inside), [index])
    axis = np.zeros(3)
    axis[axle] = 1.0
    return Rotor(members, centre, axis, radius)


def find_blades(pieces: Pieces) -> Rotor | None:
    """The widest propeller, fan or sails; ``None`` when nothing has their symmetry."""
    best: Rotor | None = None
    for members in _congruent(pieces):
        rotor = _rotor(pieces, members)
        if rotor is not None and (best is None or rotor.radius > 1.02 * best.radius):
            best = rotor
    return None if best is None else _with_hub(pieces, best)


def _congruent(pieces: Pieces) -> list[NDArray[np.int64]]:
    """Single components, and groups of two to eight that have as many vertices, as far from their middle."""
    kinds: dict[tuple[int, int], list[int]] = {}
    counts = np.bincount(pieces.label, minlength=len(pieces))
    whole = float(np.linalg.norm(np.ptp(pieces.points, axis=0)))
    edges = pieces.corners[:, 1:] - pieces.corners[:, :1]
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    area = np.bincount(pieces.face_label, areas, minlength=len(pieces))
    length = np.linalg.norm(pieces.size, axis=1)
    large = np.flatnonzero((counts >= 4) & (length > 0.1 * whole) & (area > 1e-6 * whole**2)).tolist()
    for index in large:
        points = pieces.of(index)
        spread = float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))
        kinds.setdefault((int(counts[index]), round(math.log(spread) * 25.0)), []).append(index)
    groups = [np.array(kind) for kind in kinds.values() if 2 <= len(kind) <= 8]
    return [*groups, *(np.array([index]) for index in large if counts[index] >= 12)]


def _rotor(pieces: Pieces, members: NDArray[np.int64]) -> Rotor | None:
    points, centre = pieces.surface(members, 4000), pieces.middle(members)
    offsets = points - centre
    spread, directions = np.linalg.eigh(offsets.T @ offsets / len(offsets))
    axis = directions[:, 0]
    nearest = int(np.argmax(np.abs(axis)))
    axis = np.eye(3)[nearest] if abs(axis[nearest]) > 0.99 else axis * np.sign(axis[nearest])
    radius = float(np.linalg.norm(offsets - np.outer(offsets @ axis, axis), axis=1).max())
    if spread[0] > 0.15 * spread[1] or radius <= 0.0:
        return None  # not thin
    tree = cKDTree(offsets)
    for fold in range(2, 9) if len(members) == 1 else (len(members),):
        onto = _mismatch(tree, offsets[:800], axis, 2.0 * math.pi / fold) / radius
        beside = _mismatch(tree, offsets[:800], axis, math.pi / fold) / radius
        plank = fold == 2 and len(members) == 1 and spread[2] < 9.0 * spread[1]
        if onto < 0.03 and beside > 0.05 and not plank:
            return Rotor(members, centre, axis, radius)
    return None


def _mismatch(tree: cKDTree, offsets: Array, axis: Array, angle: float) -> float:
    """Mean distance of the turned points from the points as they are."""
    cos, sin = math.cos(angle), math.sin(angle)
    turned = offsets * cos + np.cross(axis, offsets) * sin + np.outer(offsets @ axis, axis) * (1.0 - cos)
    return float(tree.query(turned)[0].mean())


def _with_hub(pieces: Pieces, rotor: Rotor) -> Rotor:
    """The blades with the small components on their axis: the hub and its cap."""
    offset = pieces.centre - rotor.centre
    along = np.abs(offset @ rotor.axis)
    beside = np.linalg.norm(offset - np.outer(offset @ rotor.axis, rotor.axis), axis=1)
    small = np.linalg.norm(pieces.size, axis=1) < 0.6 * rotor.radius
    hub = np.flatnonzero(small & (along < 0.15 * rotor.radius) & (beside < 0.1 * rotor.radius))
    return Rotor(np.union1d(rotor.members, hub), rotor.centre, rotor.axis, rotor.radius)
