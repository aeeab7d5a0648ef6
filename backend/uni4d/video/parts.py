"""Legs, head, arm, wings and tail, from nothing but points on the surface.

Every part comes as a *soft* weight over space (0 … 1, continuous), so a motion that uses it bends the
surface and never tears it, whatever the triangles. Front is −Y, left is +X, up is +Z.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from uni4d.video.limbs import Limb, SurfaceGraph
from uni4d.video.timing import ramp

__all__ = [
    "SLENDER",
    "Head",
    "Legs",
    "Wings",
    "find_arm",
    "find_head",
    "find_legs",
    "find_paw",
    "find_tail",
    "find_wings",
]

Array = NDArray[np.float64]

_SLICES = 40


@frozen(eq=False)
class Head:
    """The end that nods: everything beyond the neck along ``direction``."""

    direction: Array
    """``[3]`` unit vector from the body to the head, in the plane x = 0."""
    origin: Array
    """``[3]`` a point on the body's spine (the line along ``direction`` through the neck)."""
    neck: tuple[float, float]
    """Where along ``direction`` from ``origin`` the bend begins and where it is complete, metres."""

    def along(self, points: Array) -> Array:
        """``[N]`` metres along the spine."""
        return (points - self.origin) @ self.direction

    def weight(self, points: Array) -> Array:
        """``[N]`` 0 on the body … 1 on the head."""
        return ramp(self.along(points), *self.neck)


@frozen(eq=False)
class Legs:
    """Legs that swing about their hips."""

    feet: Array
    """``[L, 2]`` where each foot stands, in plan."""
    hips: Array
    """``[L]`` height of each leg's joint above the world's ground plane, metres."""
    phases: tuple[float, ...]
    """Cycles by which each leg lags behind: diagonal pairs together, two legs in turn."""
    ground: float
    """Height of the ground, metres."""
    softness: float
    """Width of the blend between neighbouring legs, metres."""

    def weights(self, points: Array) -> Array:
        """``[N, L]`` how much each leg carries each point: 1 at its foot, 0 at its hip and above."""
        distance = ((points[:, None, :2] - self.feet[None]) ** 2).sum(axis=2)
        closeness = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / (2.0 * self.softness**2))
        share = closeness / closeness.sum(axis=1, keepdims=True)
        height = (points[:, 2:] - self.ground) / (self.hips - self.ground)
        return share * (1.0 - ramp(height, 0.3, 1.0))


@frozen(eq=False)
class Wings:
    """Both lateral extremes."""

    middle: float
    """x of the plane between them."""
    root: float
    tip: float
    """Distances from that plane, metres."""
    height: float = field(default=0.0)
    """z of the roots."""

    def weight(self, points: Array) -> Array:
        """``[N]`` 0 at the body … 1 at the tips, linear outside the root so that a wing stays straight."""
        return ramp(np.abs(points[:, 0] - self.middle), self.root, self.root + 0.5 * (self.tip - self.root))


def find_head(samples: Array) -> Head:
    """The head lies towards the topmost fifth; the neck is the narrowest place on the way there.

    For a lamp, a bear or a person that is straight up; for a horse or a dog, up and to the front.
    """
    z = samples[:, 2]
    top = samples[z > np.quantile(z, 0.0) + 0.8 * np.ptp(z)].mean(axis=0)
    direction = top - samples.mean(axis=0)
    direction[0] = 0.0
    direction[2] = max(direction[2], abs(direction[1]), 1e-9)  # at least 45° up, even for a long low animal
    direction /= np.linalg.norm(direction)
    along = samples @ direction
    start, length = float(along.min()), max(float(np.ptp(along)), 1e-9)

    edges = np.linspace(0.35, 0.88, _SLICES + 1)
    middles, widths = [], []
    for low, high in zip(edges[:-1] - 0.02, edges[1:] + 0.02, strict=True):
        slab = samples[(along >= start + low * length) & (along < start + high * length)]
        if len(slab) >= 3:
            across = slab - slab.mean(axis=0)
            across = across - np.outer(across @ direction, direction)
            middles.append(0.5 * (low + high))
            widths.append(float(np.sqrt((across**2).sum(axis=1).mean())))
    bottom, neck = _narrowest(np.asarray(middles), np.asarray(widths))
    near = samples[np.abs(along - (start + neck * length)) < 0.06 * length]
    through = near.mean(axis=0) if len(near) else samples.mean(axis=0)
    origin = through + (start - through @ direction) * direction
    return Head(direction, origin, (bottom * length, neck * length))


def _narrowest(places: Array, widths: Array) -> tuple[float, float]:
    """Where the neck bends: ``places`` ``[n]`` along the spine (0 … 1, ascending) have ``widths`` ``[n]``.

    A stem is narrow for a long way: it bends in its upper part and the head above stays rigid. A bear's
    neck is one narrow place: it bends about that.
    """
    if not len(places):
        return 0.4, 0.7
    narrow = widths <= max(1.15 * widths.min(), 0.3 * widths.max())
    top = int(np.flatnonzero(narrow).max())  # of equally narrow places the one nearest to the head
    bottom = top
    while bottom > 0 and narrow[bottom - 1]:
        bottom -= 1
    if places[top] - places[bottom] > 0.15:
        return float(max(places[bottom], places[top] - 0.35)), float(places[top])
    middle = float(places[bottom] + places[top]) / 2
    return max(middle - 0.19, 0.05), middle + 0.09


def find_legs(samples: Array) -> Legs | None:
    """Compact patches of surface near the ground that lie clear of the middle plane, some on either side.

    Feet are looked for in slabs of a few thicknesses (a foot in mid-stride is lifted); the slab that shows
    most of them decides. From each foot the leg is followed upwards until it merges with something much
    wider.
    """
    ground, height = float(samples[:, 2].min()), max(float(np.ptp(samples[:, 2])), 1e-9)
    middle = 0.5 * float(samples[:, 0].min() + samples[:, 0].max())
    link = 3.5 * float(np.median(cKDTree(samples).query(samples, k=2)[0][:, 1]))
    reach = 0.5 * float(np.linalg.norm(np.ptp(samples, axis=0)))
    best: list[Array] = []
    for level in (0.06, 0.12, 0.2):
        soles = _clusters(samples[samples[:, 2] < ground + level * height], link)
        feet = [
            sole
            for sole in soles
            if _spread_of(sole) < 0.25 * reach and abs(np.mean(np.sign(sole[:, 0] - middle))) > 0.8
        ]
        if len(best) < len(feet) <= _MOST_LEGS:
            best = feet
    places = np.array([foot[:, :2].mean(axis=0) for foot in best]).reshape(-1, 2)
    left = places[:, 0] > middle
    if left.all() or not left.any():
        return None
    front = places[:, 1] < 0.5 * (places[:, 1].min() + places[:, 1].max())
    # Without a front and a rear pair the ends do not count: two legs just take turns.
    ends = front if np.ptp(places[:, 1]) > 0.15 * reach and len(best) > 2 else np.zeros(len(best), dtype=bool)
    hips = np.array([_hip(samples, foot, ground, height, middle, link) for foot in best])
    for end in (False, True):  # a pair of legs is one pair of joints
        hips[ends == end] = hips[ends == end].max(initial=0.0)
    apart = min(float(np.linalg.norm(p - q)) for i, p in enumerate(places) for q in places[:i])
    phases = tuple(0.5 * float(one ^ two) for one, two in zip(left, ends, strict=True))
    return Legs(places, hips, phases, ground, 0.3 * apart)


_MOST_LEGS = 8


def _clusters(points: Array, link: float) -> list[Array]:
    """``points`` ``[N, 3]`` in groups that are connected by steps of at most ``link``; crumbs are left
    out."""
    if len(points) < 5:
        return []
    pairs = cKDTree(points).query_pairs(link, output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    count, labels = connected_components(graph, directed=False)
    groups = [points[labels == label] for label in range(count)]
    return [group for group in groups if len(group) >= 5]


def _spread_of(points: Array) -> float:
    """Root mean square distance from the mean in plan, metres."""
    return float(np.sqrt(points[:, :2].var(axis=0).sum()))


def _hip(samples: Array, foot: Array, ground: float, height: float, middle: float, link: float) -> float:
    """The height at which the leg above ``foot`` joins the trunk, between a fifth and 65 % of the whole."""
    place, thick = foot[:, :2].mean(axis=0), max(_spread_of(foot), 0.5 * link)
    side = np.sign(place[0] - middle)
    level = 0.1
    while level < 0.6:
        slab = samples[np.abs(samples[:, 2] - ground - level * height) < 0.04 * height]
        sections = _clusters(slab, link)
        if not sections:
            break
        section = min(sections, key=lambda s: float(np.linalg.norm(s[:, :2] - place, axis=1).min()))
        if _spread_of(section) > 2.2 * thick or (side * (section[:, 0] - middle)).min() < 0.0:
            break
        place = section[:, :2].mean(axis=0)
        level += 0.04
    return ground + float(np.clip(level + 0.1, 0.2, 0.65)) * height


def find_arm(graph: SurfaceGraph) -> Limb | None:
    """The limb that ends outermost at the left (+X), above the knees; ``None`` when nothing slender does."""
    samples = graph.samples
    low, high = samples[:, 2].min(), samples[:, 2].max()
    reach = np.where(samples[:, 2] > low + 0.25 * (high - low), samples[:, 0], -np.inf)
    limb = graph.limb(int(np.argmax(reach)))
    return limb if limb.slenderness > SLENDER else None


SLENDER = 3.0
"""A limb is at least this many widths long."""


def find_paw(graph: SurfaceGraph, legs: Legs | None) -> Limb | None:
    """The front left leg of an animal on four."""
    if legs is None or len(legs.feet) < 4:
        return None
    foot = legs.feet[np.argmax(legs.feet @ np.array([1.0, -1.0]))]
    target = np.array([*foot, legs.ground])
    limb = graph.limb(int(graph.tree.query(target)[1]))
    return limb if limb.slenderness > SLENDER else None


def find_wings(samples: Array) -> Wings:
    """The lateral extremes, beyond a fifth of the half span."""
    low, high = float(samples[:, 0].min()), float(samples[:, 0].max())
    middle, reach = 0.5 * (low + high), max(0.5 * (high - low), 1e-9)
    beyond = samples[np.abs(samples[:, 0] - middle) > 0.4 * reach]
    height = float(beyond[:, 2].mean()) if len(beyond) else float(samples[:, 2].mean())
    return Wings(middle, 0.15 * reach, reach, height)


def find_tail(graph: SurfaceGraph) -> Limb:
    """The limb that ends rearmost (+Y)."""
    return graph.limb(int(np.argmax(graph.samples[:, 1])))
