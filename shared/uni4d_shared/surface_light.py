"""What the splats' change of colour means for the materials of the mesh that carries them.

A splat changes its colour by itself; a mesh has materials. Where the splats of one material change, their
colours in linear light c_i become c'_it, which is written as a surface whose base colour is multiplied and
which shines,

    c'_it ≈ β_t c_i + ε_t,      0 ≤ β_t ≤ 1,  ε_t ≥ 0,  per channel,

by least squares: light that comes on is ε, light that fades is β. Exports and the add-on give both to the
part of the material that changes, which may be all of it.
"""

from __future__ import annotations

import numpy as np
from attrs import evolve, frozen

from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.skinning import colors_at
from uni4d_shared.types import Array, Gaussians4D

__all__ = ["LitPart", "lit_faces", "lit_parts"]

_LEAST = 0.05
"""Root mean square of a splat's change over time (sRGB) below which it does not count."""
_LIT = 0.4
"""The part of the strongest changes of a material from which on a splat belongs to what changes."""
_STRONGEST = 0.9
"""The quantile of a material's changes that counts as the strongest."""
_ALL = 0.85
"""The share of a material's splats from which on all of it changes."""
_SPREAD = 1e-3
"""Variance of linear colours below which a material is of one colour, and β and ε cannot be told apart."""
_NEIGHBOURS = 3
_ASKED, _CHUNK = 2048, 2048
"""Splats that vertices look for their neighbours among, and vertices that do so at a time."""


@frozen(eq=False)
class LitPart:
    """The part of one material that changes."""

    material: int
    """Its number in the ``materials`` that were given."""
    vertices: Array
    """``[P]`` bool: which vertices of the mesh belong to it."""
    whole: bool
    """Whether that is all of the material."""
    base: Array
    """``[T, 3]`` β_t: what the linear base colour is multiplied by."""
    emission: Array
    """``[T, 3]`` ε_t: linear light that is added."""
    emission_alone: Array
    """``[T, 3]`` the same where the base colour cannot be multiplied."""


def lit_parts(result: Gaussians4D, materials: Array) -> list[LitPart]:
    """What lights up or fades, for the number of each vertex's material ``[P]``; negative ones have none.

    Not what wanders over it as it turns in the light: :attr:`ColorMotion.shades`.
    """
    change = None if result.color_motion is None else result.color_motion.without_shades()
    if change is None:
        return []
    result = evolve(result, color_motion=change)
    frames = len(result.motion.rotations)
    colors = np.stack([colors_at(result, frame) for frame in range(frames)])  # [T, N, 3]
    sizes = np.sqrt(np.square(colors - result.splats.colors).mean(axis=(0, 2)))
    heaviest = np.argmax(result.splat_barycentric, axis=1)[:, None]
    corners = np.take_along_axis(result.mesh.faces[result.splat_faces], heaviest, axis=1)[:, 0]
    own = np.asarray(materials)[corners]
    parts = []
    for material in np.unique(own[own >= 0]).tolist():
        splats = np.flatnonzero(own == material)
        threshold = _LIT * float(np.quantile(sizes[splats], _STRONGEST))
        if threshold < _LIT * _LEAST:
            continue
        lit = splats[sizes[splats] > threshold]
        vertices = np.asarray(materials) == material
        whole = len(lit) > _ALL * len(splats)
        if not whole:
            places = result.mesh.vertices[vertices]
            vertices[vertices] = _near(places, result.splats.means[splats], sizes[splats]) > threshold
        before = linear_from_srgb(result.splats.colors[lit])
        base, emission, alone = _split(before, linear_from_srgb(colors[:, lit]))
        parts.append(LitPart(material, vertices, whole, base, emission, alone))
    return parts


def lit_faces(part: LitPart, faces: Array) -> Array:
    """``[F]`` bool: the triangles (vertices ``[F, 3]``) most corners of which belong to ``part``."""
    lit: Array = part.vertices[faces].sum(axis=1) >= 2
    return lit


def _near(places: Array, splats: Array, values: Array) -> Array:
    """``[Q]`` the mean of the ``values`` of the splats nearest to each of the ``places``."""
    every = -(-len(splats) // _ASKED)
    splats, values = splats[::every].astype(np.float64), values[::every]
    count = min(_NEIGHBOURS, len(splats))
    found = np.empty(len(places))
    for start in range(0, len(places), _CHUNK):
        asking = places[start : start + _CHUNK].astype(np.float64)
        distances = np.square(splats).sum(axis=1) - 2.0 * asking @ splats.T  # plus what all have in common
        nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
        found[start : start + _CHUNK] = values[nearest].mean(axis=1)
    return found


def _split(before: Array, after: Array) -> tuple[Array, Array, Array]:
    """β and ε ``[T, 3]`` of linear colours ``[n, 3]`` that become ``[T, n, 3]``; ε where β has to be 1."""
    mean, means = before.mean(axis=0), after.mean(axis=1)
    centred = before - mean
    variance = np.square(centred).mean(axis=0)
    slope = (centred * (after - means[:, None])).mean(axis=1) / np.maximum(variance, 1e-12)
    darker = np.clip(means / np.maximum(mean, 1e-6), 0.0, 1.0)
    base = np.where(variance > _SPREAD, np.clip(slope, 0.0, 1.0), darker)
    base = np.where(base * mean > means, darker, base)  # nothing to add: it is multiplied alone
    emission = np.clip(means - base * mean, 0.0, 1.0)
    return base, emission, np.clip(means - mean, 0.0, 1.0)
