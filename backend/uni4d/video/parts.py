"""Legs, head, arm, wings and tail, from nothing but points on the surface.

Every part comes as a *soft* weight over space (0 … 1, continuous), so a motion that uses it bends the
surface and never tears it, whatever the triangles. Front is −Y, left is +X, up is +Z.
"""

from __future__ import annotations

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from uni4d.video.timing import ramp

__all__ = ["Head", "Legs", "Limb", "Wings", "find_arm", "find_head", "find_legs", "find_tail", "find_wings"]

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
    """Legs that swing about hips on one height."""

    feet: Array
    """``[L, 2]`` where each foot stands, in plan."""
    phases: tuple[float, ...]
    """Cycles by which each leg lags behind: diagonal pairs together, two legs in turn."""
    ground: float
    hip: float
    """Heights, metres."""
    softness: float
    """Width of the blend between neighbouring legs, metres."""

    @property
    def length(self) -> float:
        """From hip to ground."""
        return self.hip - self.ground

    def weights(self, points: Array) -> Array:
        """``[N, L]`` how much each leg carries each point: 1 at its foot, 0 at the hips and above."""
        distance = ((points[:, None, :2] - self.feet[None]) ** 2).sum(axis=2)
        closeness = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / (2.0 * self.softness**2))
        share = closeness / closeness.sum(axis=1, keepdims=True)
        return share * (1.0 - ramp(points[:, 2], self.ground + 0.3 * self.length, self.hip))[:, None]


@frozen(eq=False)
class Limb:
    """Something that turns about a joint."""

    joint: Array
    """``[3]``"""
    direction: Array
    """``[3]`` unit vector along which the weight grows."""
    span: tuple[float, float]
    """Where along ``direction`` from ``joint`` the weight begins and where it is 1, metres."""

    def weight(self, points: Array) -> Array:
        """``[N]``"""
        return ramp((points - self.joint) @ self.direction, *self.span)


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
    if not widths:
        neck = 0.6
    else:
        # Of equally narrow places (a lamp's stem) the one nearest to the head.
        narrow = np.asarray(widths) <= 1.15 * min(widths)
        neck = float(np.asarray(middles)[narrow].max())
    near = samples[np.abs(along - (start + neck * length)) < 0.06 * length]
    through = near.mean(axis=0) if len(near) else samples.mean(axis=0)
    origin = through + (start - through @ direction) * direction
    return Head(direction, origin, (max(neck - 0.22, 0.05) * length, (neck + 0.06) * length))


def find_legs(samples: Array) -> Legs | None:
    """Four legs when what touches the ground leaves the middle of the body free, front to back *and* left to
    right; two when it does so only left to right."""
    ground, top = float(samples[:, 2].min()), float(samples[:, 2].max())
    height = max(top - ground, 1e-9)
    soles = samples[samples[:, 2] < ground + 0.12 * height]
    if len(soles) < 12:
        return None
    sides = _two_groups(soles[:, 0])
    if sides is None:
        return None
    lengthwise = _two_groups(soles[:, 1])
    feet, phases = [], []
    for side in (0, 1):
        for end in (0, 1) if lengthwise is not None else (0,):
            group = sides == side
            if lengthwise is not None:
                group &= lengthwise == end
            if group.sum() < 3:
                return None
            feet.append(soles[group, :2].mean(axis=0))
            phases.append(0.5 * ((side + end) % 2))  # diagonal pairs; left and right in turn
    places = np.asarray(feet)
    apart = min(float(np.linalg.norm(places[i] - places[j])) for i in range(len(places)) for j in range(i))
    hip = _crotch(samples, ground, height, float(places[:, 0].mean()))
    return Legs(places, tuple(phases), ground, hip, 0.3 * apart)


def _two_groups(values: Array) -> NDArray[np.int64] | None:
    """Labels 0/1 of two clusters with an almost empty gap between them; ``None`` when there is no gap."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return None
    order = np.sort(values)
    inner = order[(order > low + 0.15 * (high - low)) & (order < high - 0.15 * (high - low))]
    if len(inner) < 2:
        middle = 0.5 * (low + high)
    else:
        # the widest empty stretch of the inner part (its ends included)
        stops = np.concatenate([[order[order <= inner[0]].max()], inner, [order[order >= inner[-1]].min()]])
        widest = int(np.argmax(np.diff(stops)))
        middle = 0.5 * (stops[widest] + stops[widest + 1])
    gap = 0.08 * (high - low)
    if np.mean(np.abs(values - middle) < 0.5 * gap) > 0.02:
        return None
    return (values > middle).astype(np.int64)


def _crotch(samples: Array, ground: float, height: float, middle: float) -> float:
    """The height at which the body closes between the legs, kept between 25 % and 60 % of the whole."""
    width = max(float(np.ptp(samples[:, 0])), 1e-9)
    for level in np.linspace(0.1, 0.6, 26):
        slab = samples[np.abs(samples[:, 2] - ground - level * height) < 0.03 * height]
        if len(slab) and np.mean(np.abs(slab[:, 0] - middle) < 0.06 * width) > 0.04:
            return ground + float(np.clip(level + 0.08, 0.25, 0.6)) * height
    return ground + 0.5 * height


def find_arm(samples: Array) -> Limb:
    """What lies outermost at the left (+X) above the knees; its joint is where it meets the trunk."""
    low, high = samples.min(axis=0), samples.max(axis=0)
    middle = 0.5 * (low[0] + high[0])
    upper = samples[samples[:, 2] > low[2] + 0.25 * (high[2] - low[2])]
    reach = max(float(upper[:, 0].max()) - middle, 1e-9)
    near = upper[np.abs(upper[:, 0] - middle - 0.5 * reach) < 0.12 * reach]
    outer = upper[upper[:, 0] > middle + 0.6 * reach]
    basis = near if len(near) else outer
    # Arms hang from the shoulder: the joint is near the top of where the arm begins, not in its middle.
    joint = np.array([middle + 0.42 * reach, np.median(basis[:, 1]), np.quantile(basis[:, 2], 0.7)])
    return Limb(joint, np.array([1.0, 0.0, 0.0]), (0.0, 0.3 * reach))


def find_wings(samples: Array) -> Wings:
    """The lateral extremes, beyond a fifth of the half span."""
    low, high = float(samples[:, 0].min()), float(samples[:, 0].max())
    middle, reach = 0.5 * (low + high), max(0.5 * (high - low), 1e-9)
    beyond = samples[np.abs(samples[:, 0] - middle) > 0.4 * reach]
    height = float(beyond[:, 2].mean()) if len(beyond) else float(samples[:, 2].mean())
    return Wings(middle, 0.15 * reach, reach, height)


def find_tail(samples: Array) -> Limb:
    """The last quarter towards the back (+Y)."""
    low, high = float(samples[:, 1].min()), float(samples[:, 1].max())
    length = max(high - low, 1e-9)
    start = low + 0.7 * length
    near = samples[np.abs(samples[:, 1] - start) < 0.06 * length]
    through = near.mean(axis=0) if len(near) else samples.mean(axis=0)
    joint = np.array([through[0], start, through[2]])
    return Limb(joint, np.array([0.0, 1.0, 0.0]), (0.0, 0.2 * length))
