"""Writing a textured mesh as one GLB (glTF 2.0).

One node, one mesh, one primitive per material in the mesh's own vertex order, textures inside, real size,
glTF axes. Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d.library.formats.glb import ARRAY_BUFFER, ELEMENT_BUFFER, TRIANGLES, GlbBuffer, pack_glb
from uni4d.library.geometry import Material, Texture, TexturedMesh
from uni4d_shared.conventions import gltf_from_world, linear_from_srgb

__all__ = ["glb_bytes"]

Array = NDArray[Any]


def glb_bytes(
    mesh: TexturedMesh, *, copyright_notice: str = "", extras: dict[str, Any] | None = None
) -> bytes:
    """``mesh`` as a GLB file. Reading it again gives the same vertices in the same order."""
    buffer = GlbBuffer()
    images = _ImageTable(buffer)
    primitives: list[dict[str, Any]] = []
    materials: list[dict[str, Any]] = []
    place = 0
    for index in np.unique(mesh.face_material):
        faces = mesh.faces[mesh.face_material == index]
        first, last = int(faces.min()), int(faces.max())
        if first != place:
            raise ValueError("the mesh's vertices are not grouped by material")
        place = last + 1
        material, rows = mesh.materials[index], slice(first, last + 1)
        attributes = {
            "POSITION": buffer.add_accessor(
                gltf_from_world(mesh.vertices[rows]), "VEC3", ARRAY_BUFFER, bounds=True
            ),
            "NORMAL": buffer.add_accessor(gltf_from_world(mesh.normals[rows]), "VEC3", ARRAY_BUFFER),
        }
        if material.texture is not None:
            attributes["TEXCOORD_0"] = buffer.add_accessor(mesh.uv[rows], "VEC2", ARRAY_BUFFER)
        if mesh.vertex_colors is not None:
            tint = mesh.vertex_colors[rows].copy()
            tint[:, :3] = linear_from_srgb(tint[:, :3])
            attributes["COLOR_0"] = buffer.add_accessor(tint, "VEC4", ARRAY_BUFFER)
        corners = (faces - first).reshape(-1).astype(np.uint32 if last - first >= 65535 else np.uint16)
        primitives.append(
            {
                "attributes": attributes,
                "indices": buffer.add_accessor(corners, "SCALAR", ELEMENT_BUFFER),
                "material": len(materials),
                "mode": TRIANGLES,
            }
        )
        materials.append(_material_json(material, images))
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "uni4d"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": mesh.name, "mesh": 0}],
        "meshes": [{"name": mesh.name, "primitives": primitives}],
        "materials": materials,
    }
    if copyright_notice:
        document["asset"]["copyright"] = copyright_notice
    if extras:
        document["asset"]["extras"] = extras
    if images.images:
        document |= {"images": images.images, "textures": images.textures, "samplers": [{}]}
    return pack_glb(document, buffer)


class _ImageTable:
    """The images of a GLB, each written once however many materials use it."""

    def __init__(self, buffer: GlbBuffer) -> None:
        self._buffer = buffer
        self._known: dict[int, int] = {}
        self.images: list[dict[str, Any]] = []
        self.textures: list[dict[str, Any]] = []

    def index(self, texture: Texture) -> int:
        if id(texture) not in self._known:
            self._known[id(texture)] = len(self.textures)
            view = self._buffer.add_view(texture.encoded)
            self.textures.append({"sampler": 0, "source": len(self.images)})
            self.images.append({"bufferView": view, "mimeType": texture.media_type})
        return self._known[id(texture)]


def _material_json(material: Material, images: _ImageTable) -> dict[str, Any]:
    linear = linear_from_srgb(np.array(material.color[:3])).tolist()
    surface: dict[str, Any] = {
        "baseColorFactor": [*linear, material.color[3]],
        "metallicFactor": material.metallic,
        "roughnessFactor": material.roughness,
    }
    if material.texture is not None:
        surface["baseColorTexture"] = {"index": images.index(material.texture)}
    result: dict[str, Any] = {
        "name": material.name,
        "pbrMetallicRoughness": surface,
        "doubleSided": True,  # furniture models are full of single sheets and turned faces
    }
    if material.transparent:
        result["alphaMode"] = "BLEND"
    elif material.texture is not None and material.texture.has_alpha:
        result["alphaMode"] = "MASK"  # leaves and grilles; blending would need sorting
    return result
