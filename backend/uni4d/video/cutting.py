"""Doors and lids of meshes that are one piece: cut free along their creases.

A *facet* is a part of the surface without a sharp crease: triangles that meet at less than ``_CREASE`` belong
to one. A lid is what covers the body from above, with all that stands on it; doors are the upright facets
that close the front, with what lies within their outline. They become components of their own, a gap of a
thousandth apart, so that :mod:`uni4d.video.panels` finds them as it finds any other; what they leave
behind is hollow, as the mesh is. A body that is round where it would part has no crease, and is left whole.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh

__all__ = ["Facets", "cut_free", "find_facets"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CREASE = math.radians(25.0)
_MOST_FACES = 300_000
"""Half a second's work; a finer mesh is left whole."""
_GAP = 1e-3
"""Of the extents: between what was cut free and the rest."""
_SAME = 1e-6
"""Vertices nearer than this share of the largest extent are one."""


@frozen(eq=False)
class Facets:
    """The surface of a mesh between its creases."""

    label: NDArray[np.int64] = field(repr=False)
    """``[F]`` the facet of each triangle."""
    low: Array
    high: Array
    """``[K, 3]`` their bounding boxes."""
    normal: Array
    """``[K, 3]`` the mean normal times the area: its length tells how flat a facet is."""
    area: Array
    """``[K]``"""

    @property
    def size(self) -> Array:
        return self.high - self.low

    def facing(self, axis: int, sign: float) -> Mask:
        """``[K]`` those that are nearly flat and look along a coordinate axis."""
        return np.asarray(sign * self.normal[:, axis] > 0.85 * np.maximum(self.area, 1e-30))


def find_facets(vertices: Array, faces: NDArray[Any]) -> Facets:
    """Of ``vertices`` ``[P, 3]`` and triangles ``faces`` ``[F, 3]``."""
    corners = vertices[faces].astype(np.float64)
    doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = doubled / np.maximum(np.linalg.norm(doubled, axis=1, keepdims=True), 1e-30)
    left, right = _neighbours(vertices, faces)
    smooth = np.einsum("nd,nd->n", unit[left], unit[right]) > math.cos(_CREASE)
    pairs = (left[smooth], right[smooth])
    links = coo_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(len(faces), len(faces)))
    count, label = connected_components(links, directed=False)
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, label, corners.min(axis=1))
    np.maximum.at(high, label, corners.max(axis=1))
    normal, area = np.zeros((count, 3)), np.zeros(count)
    np.add.at(normal, label, 0.5 * doubled)
    np.add.at(area, label, 0.5 * np.linalg.norm(doubled, axis=1))
    return Facets(label.astype(np.int64), low, high, normal, area)


def _neighbours(vertices: Array, faces: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of triangles that share an edge; where more than two do, a chain of them."""
    step = max(float(np.ptp(vertices, axis=0).max()), 1e-12) * _SAME
    _, same = np.unique(np.round(vertices / step).astype(np.int64), axis=0, return_inverse=True)
    corners = same.reshape(-1)[faces]
    edges = np.sort(corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    meets = np.flatnonzero(np.all(edges[order[1:]] == edges[order[:-1]], axis=1))
    return owner[order[meets]], owner[order[meets + 1]]


def cut_free(mesh: TexturedMesh, part: str) -> TexturedMesh | None:
    """The mesh with its ``door`` or ``lid`` as components of their own; ``None`` when no crease bounds it."""
    if len(mesh.faces) > _MOST_FACES:
        return None
    facets = find_facets(mesh.vertices, mesh.faces)
    low, high = facets.low.min(axis=0), facets.high.max(axis=0)
    chosen = (_lid if part == "lid" else _doors)(facets, low, high)
    for group in chosen:
        mesh = _parted(mesh, np.isin(facets.label, group), 1 if part == "door" else 2)
    return mesh if chosen else None


def _lid(facets: Facets, low: Array, high: Array) -> list[NDArray[np.int64]]:
    whole = np.maximum(high - low, 1e-9)
    flat = facets.facing(2, 1.0) & (facets.size[:, 2] < 0.2 * whole[2])
    top = np.flatnonzero(flat & (facets.low[:, 2] > max(high[2] - 0.25 * whole[2], low[2] + 0.5 * whole[2])))
    if not len(top) or facets.normal[top, 2].sum() < 0.4 * whole[0] * whole[1]:
        return []
    if np.any(np.ptp(np.concatenate([facets.low[top], facets.high[top]]), axis=0)[:2] < 0.7 * whole[:2]):
        return []
    level = float(facets.low[top, 2].min()) - 0.02 * whole[2]
    members = np.flatnonzero(facets.low[:, 2] >= level)
    return [members] if len(members) < len(facets.area) else []


def _doors(facets: Facets, low: Array, high: Array) -> list[NDArray[np.int64]]:
    whole, size = np.maximum(high - low, 1e-9), facets.size
    share = -facets.normal[:, 1] / (whole[0] * whole[2])
    at_front = (facets.low[:, 1] < low[1] + 0.2 * whole[1]) & (size[:, 1] < 0.12 * whole[1])
    upright = (size[:, 2] > 0.22 * whole[2]) & (size[:, 0] > 0.1 * whole[0])
    found = np.flatnonzero(facets.facing(1, -1.0) & at_front & upright & (share > 0.04))
    if len(facets.area) < 2 or not len(found):
        return []
    panels = found[share[found] < 0.9]
    chosen, taken = [], set[int]()
    for door in (panels if share[panels].sum() > 0.3 else found[np.argsort(-share[found])][:1]).tolist():
        margin = 0.02 * size[door]
        within = np.all(
            (facets.low >= facets.low[door] - margin)[:, [0, 2]]
            & (facets.high <= facets.high[door] + margin)[:, [0, 2]],
            axis=1,
        )
        ahead = facets.high[:, 1] <= facets.high[door, 1] + 0.06 * whole[1]
        members = [index for index in np.flatnonzero(within & ahead).tolist() if index not in taken]
        if door in members:
            taken |= set(members)
            chosen.append(np.array(members))
    return chosen


def _parted(mesh: TexturedMesh, faces: Mask, outwards: int) -> TexturedMesh:
    """The mesh with some of its faces on vertices of their own, which stand a gap inside their outline and
    outside of the body: to the front (axis 1) or upwards (axis 2)."""
    used = np.unique(mesh.faces[faces])
    place = np.full(len(mesh.vertices), -1, np.int64)
    place[used] = len(mesh.vertices) + np.arange(len(used))
    points = mesh.vertices[used].astype(np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = 0.5 * (low + high)
    inside = centre + (points - centre) * (1.0 - _GAP)
    inside[:, outwards] = points[:, outwards]
    inside[:, outwards] += (
        (1.0 if outwards == 2 else -1.0) * _GAP * float(np.ptp(mesh.vertices, axis=0).max())
    )
    corners = mesh.faces.copy()
    corners[faces] = place[mesh.faces[faces]]
    colors = mesh.vertex_colors
    return evolve(
        mesh,
        vertices=np.concatenate([mesh.vertices, inside.astype(mesh.vertices.dtype)]),
        normals=np.concatenate([mesh.normals, mesh.normals[used]]),
        uv=np.concatenate([mesh.uv, mesh.uv[used]]),
        faces=corners,
        vertex_colors=None if colors is None else np.concatenate([colors, colors[used]]),
    )
