"""What a motion needs to know of a mesh: its surface in ten thousand points, its extents, its parts.

Parts are found from those points once, when a motion first asks for them. The world is Z-up, an
object's front is −Y and its left is +X.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import ArrayLike, NDArray

from uni4d.video import panels, parts
from uni4d.video.limbs import Limb, SurfaceGraph
from uni4d.video.pieces import Pieces, Rotor, find_blades, find_pieces, find_wheels
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.errors import Uni4DError
from uni4d_shared.motions import PARTS

__all__ = ["Body"]

Array = NDArray[np.float64]


@frozen(slots=False, eq=False)  # no slots: cached properties live in the instance's dict
class Body:
    """An object at rest."""

    samples: Array = field(repr=False)
    """``[S, 3]`` points spread evenly over its surface, metres."""
    low: Array
    high: Array
    """``[3]`` corners of the bounding box of its vertices."""
    centre: Array
    radius: float
    """The bounding sphere: centre of the box, distance to the farthest vertex."""
    vertices: Array = field(repr=False)
    faces: NDArray[np.int64] = field(repr=False)

    @classmethod
    def from_mesh(
        cls, vertices: ArrayLike, faces: ArrayLike, *, samples: int = 10_000, seed: int = 0
    ) -> Body:
        """Of ``vertices`` ``[P, 3]`` and triangles ``faces`` ``[F, 3]``."""
        points, triangles = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
        centre, radius = bounding_sphere(points)
        return cls(
            samples=_spread(points, triangles, samples, np.random.default_rng(seed)),
            low=points.min(axis=0),
            high=points.max(axis=0),
            centre=centre,
            radius=radius,
            vertices=points,
            faces=triangles,
        )

    @property
    def size(self) -> Array:
        """``[3]`` the box's edges, metres."""
        return np.maximum(self.high - self.low, 1e-6)

    @property
    def base(self) -> Array:
        """``[3]`` where it stands: below the centre, on its lowest point."""
        return np.array([self.centre[0], self.centre[1], self.low[2]])

    def height_of(self, points: Array) -> Array:
        """``[N]`` height of ``points`` above the base, 0 … 1."""
        return np.clip((points[:, 2] - self.low[2]) / self.size[2], 0.0, 1.0)

    @cached_property
    def graph(self) -> SurfaceGraph:
        """Paths over the surface."""
        return SurfaceGraph(self.samples)

    @cached_property
    def pieces(self) -> Pieces:
        """The connected components of the mesh."""
        return find_pieces(self.vertices, self.faces)

    @cached_property
    def wheels(self) -> tuple[Rotor, ...]:
        """Those on the ground."""
        return find_wheels(self.pieces)

    @cached_property
    def blades(self) -> Rotor | None:
        """A propeller, a fan, sails."""
        return find_blades(self.pieces)

    @cached_property
    def doors(self) -> tuple[panels.Hinged, ...]:
        """At the front."""
        return panels.find_doors(self.pieces)

    @cached_property
    def drawer(self) -> panels.Sliding | None:
        """The topmost."""
        return panels.find_drawer(self.pieces)

    @cached_property
    def lid(self) -> panels.Hinged | None:
        """What covers it from above."""
        return panels.find_lid(self.pieces)

    def has(self, part: str) -> bool:
        """Whether a part of :data:`uni4d_shared.motions.PARTS` was found."""
        if part in ("whole", "head"):
            return True
        return part in PARTS and bool(getattr(self, "doors" if part == "door" else part))

    def carries(self, part: str, points: Array) -> Array:
        """``[N]`` how much each of ``points`` at rest belongs to a head, lid, door or drawer, 0 … 1; to a
        component wholly or not at all."""
        if part == "head":
            return self.head.weight(points)
        panels_of = self.doors if part == "door" else (self.lid if part == "lid" else self.drawer,)
        mine = np.zeros(len(points), dtype=bool)
        for panel in panels_of:
            if panel is not None:
                mine |= self.pieces.carries(panel.members, points)
        return mine.astype(np.float64)

    @cached_property
    def alone(self) -> Callable[[str], Body]:
        """Part → a body that is nothing but that part, which has its own base, middle and size."""
        return cache(self._alone)

    def _alone(self, part: str) -> Body:
        samples = self.samples[self.carries(part, self.samples) > 0.5]
        if len(samples) < 4:
            return self
        low, high = samples.min(axis=0), samples.max(axis=0)
        centre, radius = bounding_sphere(samples)
        return evolve(self, samples=samples, low=low, high=high, centre=centre, radius=radius)

    @cached_property
    def head(self) -> parts.Head:
        """The upper (or front upper) end and its neck."""
        return parts.find_head(self.samples)

    @cached_property
    def legs(self) -> parts.Legs | None:
        """Two or four legs; ``None`` when it does not stand on any."""
        return parts.find_legs(self.samples)

    @cached_property
    def arm(self) -> Limb | None:
        """The arm at its left."""
        return parts.find_arm(self.graph)

    @cached_property
    def paw(self) -> Limb | None:
        """The front left leg, when it stands on four."""
        return parts.find_paw(self.graph, self.legs)

    @cached_property
    def wings(self) -> parts.Wings:
        """The lateral extremes."""
        return parts.find_wings(self.samples)

    @cached_property
    def tail(self) -> Limb:
        """The rear end."""
        return parts.find_tail(self.graph)


def _spread(vertices: Array, faces: NDArray[np.int64], count: int, random: np.random.Generator) -> Array:
    """``[count, 3]`` area-uniform points, stratified so that few of them cover thin parts too."""
    corners = vertices[faces]
    areas = 0.5 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    total = areas.sum()
    if not total > 0:
        raise Uni4DError("mesh-unreadable", "The mesh has no surface to move.", "Choose another mesh.")
    places = (np.arange(count) + random.random(count)) / count * total
    face = np.minimum(np.searchsorted(np.cumsum(areas), places), len(faces) - 1)
    u, v = random.random((2, count))
    flip = u + v > 1.0
    u[flip], v[flip] = 1.0 - u[flip], 1.0 - v[flip]
    return np.einsum("kn,nkd->nd", np.stack([1.0 - u - v, u, v]), corners[face])
