"""The shapes that splats have in Blender, which the add-on places and the backend foresees.

A splat is drawn as far as :data:`EXTENT` standard deviations: if it is flat, as those on a surface are, as
a disc across its thinnest axis, else as an ellipsoid. Both give a ray the same opacity, but a ray crosses a
disc once and an ellipsoid twice, and crossings are what rendering costs.

The rasteriser that fitted the splats widens each on the image plane by :data:`LOW_PASS` pixels²; without
that, thin ones leave gaps and silhouettes are rough. So the shapes are widened alike: with the viewpoint c
and the width ω of a pixel at a distance of 1 of the camera that they were fitted with, every deviation σ at
the place p becomes √(σ² + LOW_PASS (ω |p − c|)² / f). For an ellipsoid f = 1. For a disc f is the cosine at
its normal: it can grow in its plane only, where a pixel is 1 wide one way and 1/f the other; the middle of
both gives it the right area.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.types import Array, Camera, Splats

__all__ = ["EXTENT", "LOW_PASS", "STEEPEST", "Shapes", "lens_of", "shapes_of", "widened"]

EXTENT = 3.0
"""Standard deviations from the centre to the edge."""

LOW_PASS = 0.1
"""Variance in pixels² that the rasteriser adds to every projected splat."""

STEEPEST = 0.25
"""The cosine below which a disc is not widened any more: it is as good as edge-on."""

_FLAT = 0.3
"""A splat whose thinnest axis is shorter than this part of the next one is drawn as a disc."""


class Shapes(NamedTuple):
    """Of ``N`` splats, their thinnest axis the third."""

    turns: Array
    """``[N, 3, 3]`` rotations, the axes as columns."""
    sizes: Array
    """``[N, 3]`` standard deviations, metres."""
    flat: Array
    """``[N]`` bool: drawn as a disc."""


def shapes_of(splats: Splats) -> Shapes:
    """The axes are renamed in a circle, so that rotations stay rotations."""
    turns, sizes = matrix_from_quaternion(splats.quaternions.astype(np.float64)), splats.scales
    order = (np.argmin(sizes, axis=1)[:, None] + np.array([1, 2, 3])) % 3  # [N, 3]
    turns = np.take_along_axis(turns, order[:, None, :], axis=2)
    sizes = np.take_along_axis(sizes, order, axis=1)
    return Shapes(turns, sizes, sizes[:, 2] < _FLAT * sizes[:, :2].min(axis=1))


def lens_of(camera: Camera) -> tuple[Array, float]:
    """A camera's place ``[3]``, and the width of its pixels at a distance of 1."""
    place = np.linalg.inv(camera.world_to_camera)[:3, 3]
    return place, 1.0 / float(np.sqrt(camera.intrinsics[[0, 1], [0, 1]].prod()))


def widened(shapes: Shapes, means: Array, camera: Camera) -> Array:
    """``[N, 3]``: the deviations of shapes at ``means`` ``[N, 3]``, fitted with ``camera``."""
    viewpoint, pixel = lens_of(camera)
    rays = means - viewpoint
    distances = np.linalg.norm(rays, axis=1)
    facing = np.abs((shapes.turns[:, :, 2] * rays).sum(axis=1)) / np.maximum(distances, 1e-12)
    cosines = np.where(shapes.flat, np.maximum(facing, STEEPEST), 1.0)
    return np.sqrt(shapes.sizes**2 + (LOW_PASS * (pixel * distances) ** 2 / cosines)[:, None])
