"""Motions that are known exactly: where every vertex of a mesh is, and what glows, at any time of a clip.

Closed formulas of the rest pose and of u = t / T, the share of the clip that has passed; and motion programs
of :mod:`uni4d.video`. None of them knows control nodes, so a fit is not tested on its own model. Every motion
is at rest at u = 0: the clip starts from the photograph.

Lengths are in radii r of the mesh's bounding sphere, c is its centre, h in [0, 1] a point's height between
the lowest and the highest one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.geometry import TexturedMesh
from uni4d_shared.cameras import bounding_sphere

if TYPE_CHECKING:
    from uni4d.video.body import Body as FilmedBody

__all__ = ["GLOW_COLOR", "MOTIONS", "Body", "Motion"]

Array = NDArray[Any]

GLOW_COLOR = (1.0, 0.62, 0.12)
"""Of every glow, in linear light."""

X, Y, Z = np.eye(3)
_TURN = 2.0 * math.pi


@frozen(slots=False, eq=False)
class Body:
    """A mesh at rest, and what the formulas ask of it."""

    mesh: TexturedMesh

    @cached_property
    def rest(self) -> Array:
        """``[P, 3]``"""
        return np.asarray(self.mesh.vertices, np.float64)

    @cached_property
    def centre(self) -> Array:
        return bounding_sphere(self.rest)[0]

    @cached_property
    def radius(self) -> float:
        return bounding_sphere(self.rest)[1]

    @cached_property
    def base(self) -> Array:
        """Below the centre, on the ground."""
        return np.array([*self.centre[:2], self.rest[:, 2].min()])

    @cached_property
    def height(self) -> Array:
        """``[P]`` h."""
        low, high = self.rest[:, 2].min(), self.rest[:, 2].max()
        return np.asarray((self.rest[:, 2] - low) / (high - low))

    @cached_property
    def filmed(self) -> FilmedBody:
        """As the video generator knows it."""
        from uni4d.video.body import Body as Filmed

        return Filmed.from_mesh(self.rest, self.mesh.faces)

    @cached_property
    def pieces(self) -> Array:
        """``[P]`` which connected component each vertex is of; vertices at one place are one."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        cells = np.round((self.rest - self.centre) / (1e-5 * self.radius)).astype(np.int64)
        _, owner = np.unique(cells, axis=0, return_inverse=True)
        owner = owner.reshape(-1)
        faces = owner[self.mesh.faces]
        ends = np.concatenate([faces[:, :2], faces[:, 1:]])
        count = int(owner.max()) + 1
        links = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
        return np.asarray(connected_components(links, directed=False)[1][owner])

    def pieces_where(self, holds: Callable[[Array], bool]) -> Array:
        """``[P]`` bool: vertices of the components of whose places ``[M, 3]``, in radii from the centre,
        ``holds`` is true."""
        local = (self.rest - self.centre) / self.radius
        order = np.argsort(self.pieces, kind="stable")
        starts = np.flatnonzero(np.diff(self.pieces[order], prepend=-1))
        chosen = np.zeros(len(self.rest), bool)
        for members in np.split(order, starts[1:]):
            chosen[members] = holds(local[members])
        return chosen


@frozen
class Motion:
    """One motion, in words and as functions of a body and u in [0, 1]."""

    words: str
    vertices: Callable[[Body, float], Array]
    """→ ``[P, 3]``"""
    glow: Callable[[Body, float], Array] | None = None
    """→ ``[M]`` in [0, 1], an amount per material."""


def _turn(axis: Array, angle: Array | float) -> Array:
    """Rotations ``[..., 3, 3]`` about a unit ``axis`` (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.asarray(angle)[..., None, None]
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def _about(points: Array, pivot: Array, axis: Array, angle: Array | float) -> Array:
    return np.einsum("...ij,...j->...i", _turn(axis, angle), points - pivot) + pivot


def _wave(u: float, times: float = 1.0) -> float:
    return math.sin(_TURN * times * u)


def _hump(u: float, times: float = 1.0) -> float:
    """0 → 1 → 0, ``times`` times."""
    return 0.5 - 0.5 * math.cos(_TURN * times * u)


def _ease(u: float) -> float:
    return u * u * (3.0 - 2.0 * u)


# --- rigid --------------------------------------------------------------------------------------------


def _fly(body: Body, u: float) -> Array:
    points = _about(body.rest, body.centre, Y, math.radians(28.0) * _wave(u))
    points = _about(points, body.centre, X, math.radians(12.0) * _wave(u, 2.0))
    points = _about(points, body.centre, Z, math.radians(40.0) * _wave(u))
    way = 0.16 * _wave(u) * X + 0.1 * _wave(u, 2.0) * Y + 0.14 * _hump(u) * Z
    return points + body.radius * way


def _tumble(body: Body, u: float) -> Array:
    axis = np.array([0.36, 0.48, 0.8])
    hop = 4.0 * u * (1.0 - u)
    return _about(body.rest, body.centre, axis, _TURN * _ease(u)) + 0.25 * body.radius * hop * Z


def _ride(body: Body, u: float) -> Array:
    """A circle, nose ahead, seen from above; it starts and ends at the rest place."""
    angle = _TURN * u
    points = _about(body.rest, body.centre, Z, angle)
    way = 0.15 * (np.array([math.cos(angle), math.sin(angle), 0.0]) - X)
    return points + body.radius * (way + 0.04 * _hump(u, 4.0) * Z)


def _spin(body: Body, u: float) -> Array:
    """Once about the upright axis, wobbling, while it drifts aside and back."""
    points = _about(body.rest, body.base, X, math.radians(9.0) * _wave(u, 2.0))
    points = _about(points, body.centre, Z, -_TURN * _ease(u))
    return points + body.radius * (0.12 * _hump(u) * X - 0.1 * _wave(u) * Y)


# --- articulated --------------------------------------------------------------------------------------


def _turn_head(body: Body, u: float) -> Array:
    """Everything above the neck turns, and nods a little; the whole rocks."""
    above = body.pieces_where(lambda places: bool(places[:, 2].min() > -0.1))
    pivot = np.array([*body.centre[:2], body.rest[above, 2].min()])
    points = body.rest.copy()
    head = _about(points[above], pivot, Z, math.radians(60.0) * _wave(u))
    points[above] = _about(head, pivot, X, math.radians(16.0) * _hump(u, 2.0))
    return _about(points, body.base, Y, math.radians(10.0) * _wave(u, 2.0))


def _exercise(body: Body, u: float) -> Array:
    """Both arms are lifted to the sides, one after the other; one leg kicks."""
    points = body.rest.copy()
    for side, times in ((1.0, _hump(u)), (-1.0, _hump(u, 2.0))):
        arm = body.pieces_where(_arm_at(side))
        inner = side * (side * body.rest[arm, 0]).min()
        shoulder = np.array([inner, body.rest[arm, 1].mean(), body.rest[arm, 2].max()])
        points[arm] = _about(points[arm], shoulder, Y, -side * math.radians(70.0) * times)
    leg = body.pieces_where(lambda p: bool(p[:, 0].mean() > 0.0 and p[:, 2].max() < -0.02))
    hip = np.array([body.rest[leg, 0].mean(), body.rest[leg, 1].mean(), body.rest[leg, 2].max()])
    points[leg] = _about(points[leg], hip, X, -math.radians(45.0) * _hump(u))
    return points


def _arm_at(side: float) -> Callable[[Array], bool]:
    return lambda places: bool((side * places[:, 0]).mean() > 0.11 and places[:, 2].mean() > -0.3)


def _march(body: Body, u: float) -> Array:
    """A jointed figure steps on the spot, twice a leg: hips and knees bend, and the arms swing against the
    legs with bent elbows."""
    points = body.rest.copy()
    for side, step in ((1.0, max(_wave(u, 2.0), 0.0)), (-1.0, max(-_wave(u, 2.0), 0.0))):
        _bend_limb(points, body, _limb_at(side, 0.02, 0.2, -1.0), -0.36, (-55.0 * step, 75.0 * step))
        _bend_limb(points, body, _limb_at(-side, 0.2, 1.0, -0.25), 0.29, (-45.0 * step, -50.0 * step))
    return points


def _limb_at(side: float, inner: float, outer: float, low: float) -> Callable[[Array], bool]:
    """Components whose middle lies so far to the side, and below the chest."""
    return lambda places: bool(
        inner < side * places[:, 0].mean() < outer and low < places[:, 2].mean() < 0.62
    )


def _bend_limb(
    points: Array, body: Body, limb: Callable[[Array], bool], joint: float, degrees: tuple[float, float]
) -> None:
    """Turn a limb, in place, about its upper end, and its components below ``joint`` (radii) about that."""
    whole = body.pieces_where(limb)
    lower = body.pieces_where(lambda places: limb(places) and bool(places[:, 2].mean() < joint))
    for part, angle in ((lower, degrees[1]), (whole, degrees[0])):
        rest = body.rest[part]
        top = np.array([*rest[:, :2].mean(0), rest[:, 2].max()])
        points[part] = _about(points[part], top, X, math.radians(angle))


# --- soft ---------------------------------------------------------------------------------------------


def _lean(body: Body, u: float) -> Array:
    """Cranes forward like a rod that stands on the ground, then twists about its height."""
    points = _about(body.rest, body.base, Z, math.radians(38.0) * _wave(u, 2.0) * body.height)
    return _about(points, body.base, X, math.radians(20.0) * _wave(u) * body.height**1.5)


def _bend(body: Body, u: float) -> Array:
    """Like a rod that stands on the ground: sideways once, forwards twice, and breathing."""
    breath = 1.0 + 0.07 * _hump(u, 2.0)
    points = body.base + (body.rest - body.base) * np.array([breath, breath, 2.0 - breath])
    points = _about(points, body.base, Y, math.radians(26.0) * _wave(u) * body.height)
    return _about(points, body.base, X, math.radians(10.0) * _hump(u, 2.0) * body.height)


def _program(*tracks: dict[str, Any]) -> Callable[[Body, float], Array]:
    """A motion program of two seconds."""

    def vertices(body: Body, u: float) -> Array:
        from uni4d.video.motions import points_at
        from uni4d.video.program import MotionProgram, Track

        program = MotionProgram(tuple(Track(**track) for track in tracks), 2.0)
        return np.asarray(points_at(body.rest, body.filmed, program, 2.0 * u))

    return vertices


# --- light --------------------------------------------------------------------------------------------


def _swing(body: Body, u: float) -> Array:
    """A pendulum about its top."""
    top = np.array([*body.centre[:2], body.rest[:, 2].max()])
    return _about(body.rest, top, Y, math.radians(12.0) * _wave(u))


def _nod(body: Body, u: float) -> Array:
    """The shade tips to and fro on its stem; the stem leans against it."""
    shade = body.pieces_where(lambda places: bool(places[:, 2].min() > 0.3))
    points = body.rest.copy()
    top = np.array([*body.centre[:2], body.rest[shade, 2].max()])
    points[shade] = _about(points[shade], top, Y, math.radians(20.0) * _wave(u, 2.0))
    return _about(points, body.base, Y, math.radians(-7.0) * _wave(u))


def _hop(body: Body, u: float) -> Array:
    points = _about(body.rest, body.base, Z, math.radians(35.0) * _wave(u))
    return points + 0.2 * body.radius * _hump(u, 2.0) * Z


def _leap(body: Body, u: float) -> Array:
    """One high hop to the side and back, tilted, turning one way and farther the other."""
    points = _about(body.rest, body.base, Y, math.radians(14.0) * _wave(u))
    points = _about(points, body.centre, Z, math.radians(50.0) * _wave(u) - math.radians(40.0) * _hump(u))
    return points + body.radius * (0.3 * math.sin(math.pi * u) * Z + 0.18 * _hump(u) * X)


def _glow_of(*materials: int, times: float) -> Callable[[Body, float], Array]:
    """Some materials light up and go out."""

    def glow(body: Body, u: float) -> Array:
        amounts = np.zeros(len(body.mesh.materials))
        amounts[list(materials)] = 0.9 * _hump(u, times)
        return amounts

    return glow


MOTIONS: dict[str, Motion] = {
    "fly": Motion("banks and climbs along a figure of eight", _fly),
    "tumble": Motion("turns over once about a slanting axis in a hop", _tumble),
    "ride": Motion("rides round a circle, nose ahead, over bumps", _ride),
    "spin": Motion("spins once, wobbling and drifting", _spin),
    "turn-head": Motion("its head turns and nods while it rocks", _turn_head),
    "drive": Motion(
        "drives to and fro on turning wheels",
        _program({"verb": "drive", "amplitude": 0.25, "axis": (0.0, -1.0, 0.0)}),
    ),
    "wave": Motion("waves and looks around", _program({"verb": "wave", "cycles": 2.0}, {"verb": "twist"})),
    "exercise": Motion("lifts one arm after the other and kicks", _exercise),
    "march": Motion("marches on the spot", _march),
    "lean": Motion("leans to and fro and twists", _lean),
    "bend": Motion("bends sideways and forwards, and breathes", _bend),
    "dance": Motion("dances", _program({"verb": "dance", "cycles": 1.0})),
    "graze": Motion("nods twice and sways", _program({"verb": "nod", "cycles": 2.0}, {"verb": "sway"})),
    "lantern": Motion("glows twice while it swings", _swing, _glow_of(1, times=2.0)),
    "lamp": Motion("its shade nods and lights up", _nod, _glow_of(0, times=1.0)),
    "glimmer": Motion("leaps and turns while its case glows once", _leap, _glow_of(2, times=1.0)),
    "ribbon": Motion("hops and turns while its ribbon changes colour", _hop, _glow_of(1, times=1.0)),
}
"""Name → motion."""
