"""The textured triangle mesh in memory: reading, normalising, and sampling its surface.

A :class:`TexturedMesh` lives in the world frame (Z-up, metres, front towards −Y; see
:mod:`uni4d_shared.conventions`). Its vertices are already split at seams, as in glTF: a vertex has one
normal and one texture coordinate, belongs to one material, and is used by at least one triangle. The
vertex order is that of the GLB's primitives, one after the other in scene order, so whatever indexes
vertices (skin weights, motion) fits the GLB file as it is.

Textures and base colours are sRGB with straight alpha; they are multiplied in linear light, as glTF says.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen
from numpy.typing import NDArray

from uni4d_shared.conventions import linear_from_srgb, srgb_from_linear
from uni4d_shared.errors import Uni4DError

__all__ = [
    "MESH_SUFFIXES",
    "Material",
    "SurfaceSamples",
    "Texture",
    "TexturedMesh",
    "normalised",
    "sample_surface",
    "surface_colors",
]

Array = NDArray[Any]

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".off", ".ply", ".stl", ".zip")
"""What can be read; a ``.zip`` holds one OBJ or GLB with its materials and textures."""


@frozen(eq=False)
class Texture:
    """An image with the bytes it came in, so that a GLB can carry those unchanged."""

    pixels: Array
    """``[H, W, 4]`` uint8 sRGB, straight alpha, rows from the top."""
    encoded: bytes = field(repr=False)
    media_type: str
    """``image/png`` or ``image/jpeg``."""

    @cached_property
    def has_alpha(self) -> bool:
        return bool((self.pixels[..., 3] < 255).any())

    def sample(self, uv: Array) -> Array:
        """Bilinear, repeating colours ``[N, 4]`` in [0, 1] at ``uv`` ``[N, 2]`` (origin top left)."""
        height, width = self.pixels.shape[:2]
        x = (uv[:, 0] % 1.0) * width - 0.5
        y = (uv[:, 1] % 1.0) * height - 0.5
        left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        columns, rows = (left % width, (left + 1) % width), (top % height, (top + 1) % height)
        upper = self.pixels[rows[0], columns[0]] * (1 - fx) + self.pixels[rows[0], columns[1]] * fx
        lower = self.pixels[rows[1], columns[0]] * (1 - fx) + self.pixels[rows[1], columns[1]] * fx
        return (upper * (1 - fy) + lower * fy) / 255.0


@frozen(eq=False)
class Material:
    """A surface: base colour (times texture, times vertex colour), metallic-roughness."""

    name: str = "material"
    color: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 1.0)
    """sRGB and alpha in [0, 1]."""
    texture: Texture | None = None
    roughness: float = 0.8
    metallic: float = 0.0

    @property
    def transparent(self) -> bool:
        """Whether light passes everywhere through it (glass), as opposed to cut-outs in a texture."""
        return self.color[3] < 0.999

    def shade(self, uv: Array, vertex_color: Array | None = None) -> Array:
        """Colours ``[N, 4]``, sRGB with alpha in [0, 1], at texture coordinates ``uv`` ``[N, 2]``."""
        factor = np.broadcast_to(np.array(self.color), (len(uv), 4))
        if vertex_color is None and self.texture is None:
            return factor.copy()
        linear = linear_from_srgb(factor[:, :3])
        alpha = factor[:, 3]
        for layer in (vertex_color, None if self.texture is None else self.texture.sample(uv)):
            if layer is not None:
                linear = linear * linear_from_srgb(layer[:, :3])
                alpha = alpha * layer[:, 3]
        return np.concatenate([srgb_from_linear(linear), alpha[:, None]], axis=1)


@define(eq=False, slots=False)
class TexturedMesh:
    """Triangles with materials in the world frame. Treat it as immutable."""

    vertices: Array
    """``[P, 3]`` float32 metres."""
    normals: Array
    """``[P, 3]`` float32 unit shading normals."""
    uv: Array
    """``[P, 2]`` float32, glTF's origin (top left); zeros where the material has no texture."""
    faces: Array
    """``[F, 3]`` int32 counter-clockwise seen from outside; grouped by material in ascending order."""
    face_material: Array
    """``[F]`` int32 index into ``materials``."""
    materials: tuple[Material, ...]
    vertex_colors: Array | None = None
    """``[P, 4]`` float32 sRGB with alpha in [0, 1], or ``None``."""
    name: str = "mesh"

    @property
    def bounds(self) -> Array:
        """``[2, 3]`` the lowest and the highest corner."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @property
    def extents(self) -> Array:
        """``[3]`` width (X), depth (Y) and height (Z) in metres."""
        return self.bounds[1] - self.bounds[0]

    @cached_property
    def face_vectors(self) -> Array:
        """``[F, 3]`` float64: unit normal times twice the area of each triangle."""
        a, b, c = np.moveaxis(self.vertices[self.faces].astype(np.float64), 1, 0)
        return np.cross(b - a, c - a)

    @cached_property
    def face_areas(self) -> Array:
        """``[F]`` square metres."""
        return np.linalg.norm(self.face_vectors, axis=1) / 2

    @cached_property
    def welded(self) -> Array:
        """``[P]`` int32: for each vertex the number of its place; equal for vertices split at a seam.

        Numbers run from 0 without gaps; ``mesh.welded[mesh.faces]`` is the connectivity without seams.
        """
        step = max(float(self.extents.max()), 1e-9) * 1e-6
        _, inverse = np.unique(np.round(self.vertices / step).astype(np.int64), axis=0, return_inverse=True)
        return inverse.reshape(-1).astype(np.int32)


@frozen(eq=False)
class SurfaceSamples:
    """Points spread evenly over a surface."""

    points: Array
    """``[N, 3]`` float32 world."""
    normals: Array
    """``[N, 3]`` float32 unit normals of the triangles."""
    colors: Array
    """``[N, 3]`` float32 sRGB in [0, 1], textures included."""
    opacities: Array
    """``[N]`` float32: the material's alpha there; below 1 for glass and cut-outs."""
    face_index: Array
    """``[N]`` int32."""
    barycentric: Array
    """``[N, 3]`` float32."""


def normalised(mesh: TexturedMesh, size: tuple[float, float, float] | None = None) -> TexturedMesh:
    """The mesh with its base at height 0 and centred in plan; stretched to ``size`` when that is given.

    ``size`` is (width, depth, height) in metres; an axis along which the mesh is flat keeps its scale.
    """
    low, high = mesh.bounds.astype(np.float64)
    extents = high - low
    scale = np.ones(3)
    if size is not None:
        solid = extents > 1e-9 * extents.max()
        scale[solid] = np.asarray(size, dtype=np.float64)[solid] / extents[solid]
        if not solid.all():  # the flat axis has no size of its own: give it the others' scale
            scale[~solid] = np.prod(scale[solid]) ** (1 / max(int(solid.sum()), 1))
    anchor = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    vertices = ((mesh.vertices - anchor) * scale).astype(np.float32)
    normals = mesh.normals / scale
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return evolve(mesh, vertices=vertices, normals=normals.astype(np.float32))


def sample_surface(mesh: TexturedMesh, count: int, seed: int = 0) -> SurfaceSamples:
    """``count`` points spread over the surface in proportion to area, with their texture colours.

    The triangles are drawn by systematic sampling (one draw per equal share of the area), so that every
    part gets its share, to within one point; the place within a triangle is uniform.
    """
    areas = mesh.face_areas
    total = float(areas.sum())
    if not total > 0:
        raise Uni4DError("mesh-unreadable", f"{mesh.name}: the mesh has no surface.", "Choose another mesh.")
    generator = np.random.default_rng(seed)
    draws = (np.arange(count) + generator.random(count)) / count * total
    face_index = np.searchsorted(np.cumsum(areas), draws, side="right")
    face_index = np.minimum(face_index, np.flatnonzero(areas > 0)[-1])
    root, share = np.sqrt(generator.random(count)), generator.random(count)
    barycentric = np.stack([1 - root, root * (1 - share), root * share], axis=1)
    corners = mesh.faces[face_index]

    def interpolate(values: Array) -> Array:
        return np.einsum("nc,nck->nk", barycentric, values[corners])

    rgba = surface_colors(mesh, face_index, barycentric)
    normals = mesh.face_vectors[face_index] / (2 * areas[face_index, None])
    return SurfaceSamples(
        points=interpolate(mesh.vertices).astype(np.float32),
        normals=normals.astype(np.float32),
        colors=rgba[:, :3].astype(np.float32),
        opacities=rgba[:, 3].astype(np.float32),
        face_index=face_index.astype(np.int32),
        barycentric=barycentric.astype(np.float32),
    )


def surface_colors(mesh: TexturedMesh, face_index: Array, barycentric: Array) -> Array:
    """``[N, 4]`` the materials' colours, sRGB with alpha in [0, 1], textures included, at ``barycentric``
    places ``[N, 3]`` on the triangles ``face_index`` ``[N]``."""
    corners = mesh.faces[face_index]

    def interpolate(values: Array) -> Array:
        return np.einsum("nc,nck->nk", barycentric, values[corners])

    uv = interpolate(mesh.uv)
    tint = None if mesh.vertex_colors is None else interpolate(mesh.vertex_colors)
    rgba = np.empty((len(corners), 4))
    owner = mesh.face_material[face_index]
    for index in np.unique(owner):
        mine = owner == index
        rgba[mine] = mesh.materials[index].shade(uv[mine], None if tint is None else tint[mine])
    return rgba
