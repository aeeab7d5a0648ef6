"""Reading GLB and glTF 2.0 files: every triangle primitive of the default scene, at rest.

Node transforms are applied; the order of vertices is that of the primitives, depth first. Compressed
geometry (Draco, meshopt, quantised) is refused by name.
Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.formats.glb import TRIANGLES, unpack_glb
from uni4d.library.formats.members import Members
from uni4d.library.formats.textures import decode_texture
from uni4d.library.geometry import Material, Texture, TexturedMesh
from uni4d_shared.conventions import matrix_from_quaternion, srgb_from_linear, world_from_gltf

__all__ = ["GltfDocument", "Primitive", "read_glb", "read_gltf"]

Array = NDArray[Any]

_COMPONENTS = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_HARMLESS = {
    "KHR_materials_clearcoat",
    "KHR_materials_emissive_strength",
    "KHR_materials_ior",
    "KHR_materials_sheen",
    "KHR_materials_specular",
    "KHR_materials_transmission",
    "KHR_materials_unlit",
    "KHR_materials_volume",
    "KHR_texture_transform",
}
"""Required extensions without which geometry and base colour are still right (the last one is applied)."""


def read_glb(data: bytes, members: Members, name: str = "mesh") -> TexturedMesh:
    """The mesh in the bytes of a GLB file; ``ValueError`` says what is wrong with it."""
    text, binary = unpack_glb(data)
    return read_gltf(text, members, name, binary)


def read_gltf(text: bytes, members: Members, name: str = "mesh", binary: bytes | None = None) -> TexturedMesh:
    """The mesh of a glTF document; ``binary`` is a GLB's own buffer."""
    try:
        return GltfDocument(text, members, binary).mesh(name)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not valid glTF: {error!r}") from error


@frozen(eq=False)
class Primitive:
    """One triangle primitive where the scene puts it: its part of :class:`TexturedMesh`, and its own JSON."""

    vertices: Array
    """``[P, 3]`` float32 world."""
    normals: Array
    """``[P, 3]`` float32 unit."""
    uv: Array
    """``[P, 2]`` float32."""
    faces: Array
    """``[F, 3]`` from 0."""
    tint: Array | None
    """``[P, 4]`` float32 sRGB, where it has vertex colours."""
    json: dict[str, Any]


class GltfDocument:
    """A parsed glTF document and its buffers."""

    def __init__(self, text: bytes, members: Members, binary: bytes | None) -> None:
        try:
            self.json: dict[str, Any] = json.loads(text)
        except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"its JSON cannot be read: {error}") from error
        unknown = set(self.json.get("extensionsRequired", ())) - _HARMLESS
        if unknown:
            raise ValueError(
                f"it needs {', '.join(sorted(unknown))}, which is not supported; export it uncompressed"
            )
        self._members = members
        self._binary = binary
        self._images: dict[int, Texture] = {}
        self._buffers: dict[int, bytes] = {}

    def mesh(self, name: str) -> TexturedMesh:
        pieces = self.primitives()
        offsets = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
        return TexturedMesh(
            vertices=np.concatenate([piece.vertices for piece in pieces]),
            normals=np.concatenate([piece.normals for piece in pieces]),
            uv=np.concatenate([piece.uv for piece in pieces]),
            faces=np.concatenate(
                [piece.faces + offset for piece, offset in zip(pieces, offsets, strict=False)]
            ).astype(np.int32),
            face_material=np.repeat(np.arange(len(pieces)), [len(piece.faces) for piece in pieces]).astype(
                np.int32
            ),
            materials=tuple(self._material(piece.json.get("material")) for piece in pieces),
            vertex_colors=_joined_tints(pieces),
            name=name,
        )

    def primitives(self) -> list[Primitive]:
        """The triangle primitives of the scene, depth first; their vertices in this order are the mesh's."""
        parts = [
            (primitive, matrix)
            for index, matrix in self._instances()
            for primitive in self.json["meshes"][index]["primitives"]
            if primitive.get("mode", TRIANGLES) == TRIANGLES and "POSITION" in primitive["attributes"]
        ]
        if not parts:
            raise ValueError("the scene has no triangles")
        return [self._primitive(primitive, matrix) for primitive, matrix in parts]

    def _instances(self) -> Iterator[tuple[int, Array]]:
        """Mesh indices with their world matrices, depth first in the order of the scene."""
        nodes = self.json.get("nodes", [])
        if "scenes" in self.json:
            roots = self.json["scenes"][self.json.get("scene", 0)].get("nodes", [])
        else:
            roots = range(len(nodes))
        stack = [(root, np.eye(4)) for root in reversed(list(roots))]
        visited = 0
        while stack:
            number, above = stack.pop()
            visited += 1
            if visited > len(nodes):  # the nodes of valid glTF are trees: none has two parents
                raise ValueError("its nodes form a loop")
            node = nodes[number]
            matrix = above @ _local_matrix(node)
            if "mesh" in node:
                yield node["mesh"], matrix
            stack.extend((child, matrix) for child in reversed(node.get("children", [])))

    def _primitive(self, primitive: dict[str, Any], matrix: Array) -> Primitive:
        if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
            raise ValueError("its geometry is Draco-compressed; export it uncompressed")
        attributes = primitive["attributes"]
        positions = self.accessor(attributes["POSITION"])
        if not np.isfinite(positions).all():  # before a cast, which warns of some NaNs
            raise ValueError("a vertex is not a finite number")
        positions, count = positions.astype(np.float64), len(positions)
        faces = self.accessor(primitive["indices"]) if "indices" in primitive else np.arange(count)
        faces = faces.reshape(-1)[: len(faces) // 3 * 3].reshape(-1, 3).astype(np.int64)
        if len(faces) == 0 or faces.max(initial=0) >= count:
            raise ValueError("a triangle names a vertex that does not exist")
        linear = matrix[:3, :3]
        vertices = positions @ linear.T + matrix[:3, 3]
        if np.linalg.det(linear) < 0:  # a mirrored node turns its triangles inside out
            faces = faces[:, ::-1]
        if "NORMAL" in attributes:
            normals = self._finite(attributes["NORMAL"]).astype(np.float64) @ np.linalg.pinv(linear)
        else:
            normals = _vertex_normals(vertices, faces)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.where(length > 1e-12, normals / np.maximum(length, 1e-12), (0.0, 1.0, 0.0))
        texture = self._texture_info(primitive.get("material"))
        return Primitive(
            vertices=world_from_gltf(vertices).astype(np.float32),
            normals=world_from_gltf(normals).astype(np.float32),
            uv=self._coordinates(attributes, texture, count),
            faces=faces,
            tint=self._tint(attributes),
            json=primitive,
        )

    def _coordinates(self, attributes: dict[str, int], texture: dict[str, Any], count: int) -> Array:
        transform = texture.get("extensions", {}).get("KHR_texture_transform", {})
        channel = f"TEXCOORD_{transform.get('texCoord', texture.get('texCoord', 0))}"
        if channel not in attributes:
            return np.zeros((count, 2), np.float32)
        uv = self._finite(attributes[channel], normalise=True).astype(np.float32)
        if transform:
            angle = transform.get("rotation", 0.0)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            uv = (uv * transform.get("scale", (1, 1))) @ turn.T + transform.get("offset", (0, 0))
        return uv.astype(np.float32)

    def _tint(self, attributes: dict[str, int]) -> Array | None:
        if "COLOR_0" not in attributes:
            return None
        color = self._finite(attributes["COLOR_0"], normalise=True).astype(np.float32)
        alpha = color[:, 3:] if color.shape[1] == 4 else np.ones((len(color), 1), np.float32)
        return np.concatenate([srgb_from_linear(color[:, :3]), alpha], axis=1).astype(np.float32)

    def _finite(self, index: int, *, normalise: bool = False) -> Array:
        """The values of an accessor, of which those that are no finite numbers count as 0."""
        return np.nan_to_num(self.accessor(index, normalise=normalise), nan=0.0, posinf=0.0, neginf=0.0)

    def accessor(self, index: int, *, normalise: bool = False) -> Array:
        """The values of an accessor, ``[count, width]`` (``[count]`` for scalars)."""
        accessor = self.json["accessors"][index]
        dtype = np.dtype(_COMPONENTS[accessor["componentType"]])
        width, count = _WIDTHS[accessor["type"]], int(accessor["count"])
        if "sparse" in accessor or "bufferView" not in accessor:
            raise ValueError("it uses sparse accessors, which are not supported")
        values = self._strided(accessor, dtype, width, count)
        if normalise and dtype.kind in "ui":
            values = np.maximum(values / float(np.iinfo(dtype.name).max), -1.0)
        return values.reshape(-1) if width == 1 else values

    def _strided(self, accessor: dict[str, Any], dtype: np.dtype[Any], width: int, count: int) -> Array:
        view = self.json["bufferViews"][accessor["bufferView"]]
        stride = view.get("byteStride", dtype.itemsize * width)
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        buffer = self._buffer(view["buffer"])
        needed = start + stride * (count - 1) + dtype.itemsize * width if count else start
        if start < 0 or stride < dtype.itemsize * width or needed > len(buffer):
            raise ValueError("an accessor runs past the end of its buffer")
        return np.ndarray((count, width), dtype, buffer, start, (stride, dtype.itemsize)).copy()

    def _buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            uri = self.json["buffers"][index].get("uri")
            if uri is None:
                if self._binary is None:
                    raise ValueError("its binary chunk is missing")
                self._buffers[index] = self._binary
            else:
                self._buffers[index] = self._uri(uri)
        return self._buffers[index]

    def _uri(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return self._members.read(urllib.parse.unquote(uri))

    def _texture_info(self, index: int | None) -> dict[str, Any]:
        if index is None:
            return {}
        return dict(self.json["materials"][index].get("pbrMetallicRoughness", {}).get("baseColorTexture", {}))

    def _material(self, index: int | None) -> Material:
        if index is None:
            return Material("default", (1.0, 1.0, 1.0, 1.0))
        entry = self.json["materials"][index]
        surface = entry.get("pbrMetallicRoughness", {})
        red, green, blue, alpha = surface.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
        color = srgb_from_linear(np.array([red, green, blue])).tolist()
        info = self._texture_info(index)
        opaque = entry.get("alphaMode", "OPAQUE") == "OPAQUE"
        return Material(
            entry.get("name", f"material {index}"),
            (color[0], color[1], color[2], 1.0 if opaque else alpha),
            self._texture(info["index"]) if info else None,
            surface.get("roughnessFactor", 1.0),
            surface.get("metallicFactor", 1.0),
        )

    def _texture(self, index: int) -> Texture:
        source = self.json["textures"][index]["source"]
        if source not in self._images:
            self._images[source] = decode_texture(self.image_bytes(source))
        return self._images[source]

    def image_bytes(self, index: int) -> bytes:
        """An image as it is stored: PNG, JPEG, …"""
        image = self.json["images"][index]
        if "bufferView" not in image:
            return self._uri(image["uri"])
        view = self.json["bufferViews"][image["bufferView"]]
        start = view.get("byteOffset", 0)
        return self._buffer(view["buffer"])[start : start + view["byteLength"]]


def _joined_tints(pieces: list[Primitive]) -> Array | None:
    """The vertex colours of all primitives, white where one has none; ``None`` when none has any."""
    if all(piece.tint is None for piece in pieces):
        return None
    white = [np.ones((len(piece.vertices), 4), np.float32) for piece in pieces]
    return np.concatenate(
        [blank if piece.tint is None else piece.tint for blank, piece in zip(white, pieces, strict=True)]
    )


def _local_matrix(node: dict[str, Any]) -> Array:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    matrix = np.eye(4)
    matrix[:3, :3] = matrix_from_quaternion(np.array([w, x, y, z])) * np.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _vertex_normals(vertices: Array, faces: Array) -> Array:
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    weighted = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], weighted)
    return normals
