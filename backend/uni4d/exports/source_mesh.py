"""The mesh file that a result was fitted to, to be written again with a motion but with all of its materials.

The geometry is written anew, in place, as the fit saw it: node transforms applied, one glTF primitive for
each of the source's. Materials, textures and images are copied as they are, with their extensions, and so are
texture coordinates and vertex colours; tangents are left to the reader to compute, as glTF provides for.

GLB is written by our own ``library/formats/glb.py``: what is needed of a glTF library here is a JSON document
and a padded buffer, which is what that module is, and the reader beside it already knows the order of
vertices that the fit's indices are in."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.formats.glb import ARRAY_BUFFER, ELEMENT_BUFFER, TRIANGLES, GlbBuffer, unpack_glb
from uni4d.library.formats.gltf_reader import GltfDocument, Primitive
from uni4d.library.formats.members import FolderMembers
from uni4d_shared.conventions import gltf_from_world
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Gaussians4D

__all__ = ["SourceMesh", "read_source_mesh"]

Array = NDArray[Any]

_MATCH_TOLERANCE = 0.01
"""Part of the object's size by which a vertex may lie from its counterpart, as in the add-on."""
_COPIED_ATTRIBUTES = ("TEXCOORD_", "COLOR_")
_VECTORS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}


@frozen(eq=False)
class SourceMesh:
    """A source GLB, and which vertex of a result each of its vertices is."""

    path: Path
    document: GltfDocument
    primitives: list[Primitive]
    fitted: Array
    """``[P]`` for each vertex, in the order of the primitives, its number in the result's mesh."""

    @property
    def slices(self) -> list[slice]:
        """Which of the ``P`` vertices belong to each primitive."""
        ends = np.cumsum([len(primitive.vertices) for primitive in self.primitives]).tolist()
        return [slice(first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)]

    def copy_into(self, buffer: GlbBuffer) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The document so far (asset, materials, images) and the primitives at rest, as JSON."""
        source = self.document.json
        asset = {"version": "2.0", "generator": "uni4d"}
        asset |= {
            key: source["asset"][key] for key in ("copyright", "extras") if key in source.get("asset", {})
        }
        document: dict[str, Any] = {"asset": asset}
        for name in ("materials", "textures", "samplers"):
            if source.get(name):
                document[name] = source[name]
        if source.get("images"):
            document["images"] = [
                self._image(index, image, buffer) for index, image in enumerate(source["images"])
            ]
        used = sorted(_extension_names([document.get(name) for name in ("materials", "textures", "images")]))
        if used:
            document["extensionsUsed"] = used
        if required := sorted(set(used) & set(source.get("extensionsRequired", ()))):
            document["extensionsRequired"] = required
        return document, [self._primitive(primitive, buffer) for primitive in self.primitives]

    def _image(self, index: int, image: dict[str, Any], buffer: GlbBuffer) -> dict[str, Any]:
        data = self.document.image_bytes(index)
        kind = image.get("mimeType") or mimetypes.guess_type(image.get("uri", ""))[0] or _image_type(data)
        kept = {key: value for key, value in image.items() if key not in ("uri", "bufferView", "mimeType")}
        return {**kept, "bufferView": buffer.add_view(data), "mimeType": kind}

    def _primitive(self, primitive: Primitive, buffer: GlbBuffer) -> dict[str, Any]:
        attributes = {
            "POSITION": buffer.add_accessor(
                gltf_from_world(primitive.vertices), "VEC3", ARRAY_BUFFER, bounds=True
            ),
            "NORMAL": buffer.add_accessor(gltf_from_world(primitive.normals), "VEC3", ARRAY_BUFFER),
        }
        for name, index in primitive.json["attributes"].items():
            if name.startswith(_COPIED_ATTRIBUTES):
                values = self.document.accessor(index)
                rows = values.reshape(len(values), -1)
                normalized = bool(self.document.json["accessors"][index].get("normalized"))
                attributes[name] = buffer.add_accessor(
                    rows, _VECTORS[rows.shape[1]], ARRAY_BUFFER, normalized=normalized
                )
        small = len(primitive.vertices) < 65535
        corners = primitive.faces.reshape(-1).astype(np.uint16 if small else np.uint32)
        written = {
            "attributes": attributes,
            "indices": buffer.add_accessor(corners, "SCALAR", ELEMENT_BUFFER),
            "mode": TRIANGLES,
        }
        if "material" in primitive.json:
            written["material"] = primitive.json["material"]
        return written


def read_source_mesh(path: Path, result: Gaussians4D) -> SourceMesh:
    """The GLB at ``path``; ``Uni4DError`` when it cannot be read or is not the mesh that ``result`` moves."""
    try:
        document = GltfDocument(*_text_and_members(path))
        primitives = document.primitives()
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        raise Uni4DError(
            "mesh-unreadable", f"{path} cannot be read: {error}.", "Give the GLB that was fitted."
        ) from error
    vertices = np.concatenate([primitive.vertices for primitive in primitives])
    return SourceMesh(path, document, primitives, _counterparts(vertices, result.mesh.vertices, path))


def _text_and_members(path: Path) -> tuple[bytes, FolderMembers, bytes | None]:
    text, binary = unpack_glb(path.read_bytes())
    return text, FolderMembers(path.parent), binary


def _counterparts(vertices: Array, fitted: Array, path: Path) -> Array:
    """``[P]`` the fitted vertex nearest to each vertex; the same numbers where it is the same file."""
    size = float(np.linalg.norm(np.ptp(fitted, axis=0)))
    if len(vertices) == len(fitted) and np.abs(vertices - fitted).max() <= 1e-5 * size:
        return np.arange(len(fitted))
    from scipy.spatial import cKDTree

    distances, nearest = cKDTree(fitted).query(vertices)
    if distances.max() > _MATCH_TOLERANCE * size:
        raise Uni4DError(
            "mesh-mismatch",
            f"{path} is not the mesh that was fitted: a vertex lies {distances.max():.3g} m off.",
            "Give the same --glb or --uid as to uni4d fit.",
        )
    return np.asarray(nearest)


def _extension_names(parts: Any) -> set[str]:
    """The names under every ``extensions`` key in ``parts``."""
    if isinstance(parts, list):
        return set().union(*(_extension_names(part) for part in parts))
    if not isinstance(parts, dict):
        return set()
    inner = set().union(*(_extension_names(part) for part in parts.values()))
    return inner | set(parts.get("extensions", ()))


def _image_type(data: bytes) -> str:
    return "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
