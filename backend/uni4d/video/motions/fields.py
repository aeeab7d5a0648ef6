"""The few deformations that all motions are made of.

Each takes ``points`` ``[N, 3]`` (where they are now) and ``rest`` ``[N, 3]`` (where they were at rest;
weights are looked up there, so that several tracks compose). All are smooth over space and locally close to
rigid, which is what a few control nodes can follow.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d.video.body import Body
from uni4d.video.timing import ramp

__all__ = ["bend_rod", "grounded", "rotate", "scale", "squash", "turn_soft", "turned"]

Array = NDArray[np.float64]

_STATIONS = 65


def rotate(vectors: Array, axis: ArrayLike, angles: ArrayLike) -> Array:
    """Rodrigues: ``vectors`` ``[N, 3]`` turned about the unit ``axis`` by ``angles`` (radians, ``[N]`` or
    one)."""
    k = np.asarray(axis, dtype=np.float64)
    angle = np.broadcast_to(np.asarray(angles, dtype=np.float64), len(vectors))[:, None]
    return (
        vectors * np.cos(angle)
        + np.cross(k, vectors) * np.sin(angle)
        + k * (vectors @ k)[:, None] * (1.0 - np.cos(angle))
    )


def turned(points: Array, pivot: ArrayLike, axis: ArrayLike, angles: ArrayLike) -> Array:
    """:func:`rotate` about a line through ``pivot`` ``[3]``."""
    centre = np.asarray(pivot, dtype=np.float64)
    return rotate(points - centre, axis, angles) + centre


def turn_soft(points: Array, pivot: ArrayLike, axis: ArrayLike, angle: float, weights: Array) -> Array:
    """A turn whose angle fades with ``weights`` ``[N]``: full where 1, none where 0."""
    return turned(points, pivot, axis, angle * weights)


def scale(points: Array, pivot: ArrayLike, factors: ArrayLike) -> Array:
    """Scaled about ``pivot`` by ``factors`` (``[3]`` or one number)."""
    centre = np.asarray(pivot, dtype=np.float64)
    return (points - centre) * np.asarray(factors, dtype=np.float64) + centre


def squash(points: Array, body: Body, stretch: float) -> Array:
    """Height times ``1 + stretch`` from the base up; the width answers so that the volume stays the same."""
    factor = 1.0 + stretch
    across = 1.0 / math.sqrt(factor)
    return scale(points, body.base, [across, across, factor])


def bend_rod(
    points: Array,
    rest: Array,
    body: Body,
    origin: ArrayLike,
    direction: ArrayLike,
    axis: ArrayLike,
    angle: float,
    span: tuple[float, float],
) -> Array:
    """Bends a rod that runs from ``origin`` along ``direction``; its cross-sections turn about ``axis`` ⟂
    direction.

    The turn grows from 0 to ``angle`` between the distances ``span`` (metres along the rod) and stays
    there; the middle line is the integral of the turned direction, so lengths along it are kept and the far
    end moves rigidly. A thick body bends less: neighbouring cross-sections must not cross within it.
    """
    start = np.asarray(origin, dtype=np.float64)
    d, a = np.asarray(direction, dtype=np.float64), np.asarray(axis, dtype=np.float64)
    forward = np.cross(a, d)
    angle = _without_folding(body.samples - start, d, forward, angle, span)
    along = (rest - start) @ d
    far = max(span[1], float(along.max()))
    stations = np.linspace(span[0], far + 1e-9, _STATIONS)  # before the first one nothing turns
    turns = angle * ramp(stations, *span)
    tangents = d * np.cos(turns)[:, None] + forward * np.sin(turns)[:, None]
    steps = 0.5 * (tangents[1:] + tangents[:-1]) * np.diff(stations)[:, None]
    line = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)]) + d * span[0]
    placed = np.stack([np.interp(along, stations, line[:, i]) for i in range(3)], axis=1)
    placed = np.where((along < span[0])[:, None], along[:, None] * d, placed)
    return start + placed + rotate(points - start - along[:, None] * d, a, angle * ramp(along, *span))


_FOLDING = 0.7
"""Share of the way to where cross-sections would cross, at most."""


def _without_folding(
    offsets: Array, direction: Array, forward: Array, angle: float, span: tuple[float, float]
) -> float:
    """``angle``, limited so that its steepest change along the rod times the body's thickness stays below
    1."""
    along = offsets @ direction
    bent = offsets[(along > span[0]) & (along < span[1])]
    if not len(bent):
        return angle
    thickness = float(np.quantile(np.abs(bent @ forward), 0.95))
    steepest = 1.5 / (span[1] - span[0])  # the smoothstep's largest slope
    limit = _FOLDING / max(thickness * steepest, 1e-9)
    return float(np.clip(angle, -limit, limit))


def grounded(points: Array, samples: Array, ground: float) -> Array:
    """Lifted (or lowered) so that the lowest of ``samples``, moved like ``points``, touches ``ground``."""
    return points + np.array([0.0, 0.0, ground - float(samples[:, 2].min())])
