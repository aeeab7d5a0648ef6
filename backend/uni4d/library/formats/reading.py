"""One door to every mesh format, with one error that names the file."""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from uni4d.library.formats.gltf_reader import read_glb, read_gltf
from uni4d.library.formats.members import ArchiveMembers, FolderMembers, Members
from uni4d.library.formats.obj import read_obj
from uni4d.library.geometry import MESH_SUFFIXES, Material, TexturedMesh
from uni4d_shared.errors import Uni4DError

__all__ = ["load_mesh", "read_archived_mesh"]

_CURE = "Export it again as GLB or OBJ."
_BAD_FILE = (ValueError, OSError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError)
"""What broken files make the readers raise (zipfile: RuntimeError for encrypted members)."""


def load_mesh(path: Path) -> TexturedMesh:
    """Read a mesh file into the world frame; ``Uni4DError("mesh-unreadable")`` names it when it fails.

    glTF and OBJ are taken as Y-up with the front towards +Z; STL, PLY and OFF as Z-up. Nothing is scaled.
    """
    path = Path(path)
    if not path.is_file():
        raise Uni4DError("mesh-unreadable", f"There is no mesh file at {path}.", "Check the path.")
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise Uni4DError(
            "mesh-unreadable",
            f"{path} has a format that is not supported ({suffix or 'no suffix'}).",
            f"Use one of {', '.join(MESH_SUFFIXES)}.",
        )
    try:
        if suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                member = _only_mesh(archive)
                return _decode(
                    ArchiveMembers(archive, "").read(member),
                    member,
                    ArchiveMembers(archive, posixpath.dirname(member)),
                    path.stem,
                )
        members = FolderMembers(path.parent)
        return _decode(members.read(path.name), path.name, members, path.stem)
    except _BAD_FILE as error:
        raise Uni4DError("mesh-unreadable", f"{path} cannot be read: {error}.", _CURE) from error


def read_archived_mesh(
    archive: zipfile.ZipFile,
    member: str,
    default_materials: Mapping[str, Material] | None = None,
    *,
    draft: bool = False,
) -> TexturedMesh:
    """The OBJ or GLB ``member`` of an open archive with its materials and textures.

    ``draft``: see :func:`uni4d.library.formats.obj.read_obj`.
    """
    try:
        data = ArchiveMembers(archive, "").read(member)
        members = ArchiveMembers(archive, posixpath.dirname(member))
        name = posixpath.splitext(posixpath.basename(member))[0]
        return _decode(data, member, members, name, default_materials, draft=draft)
    except _BAD_FILE as error:
        place = f"{archive.filename}:{member}"
        raise Uni4DError("mesh-unreadable", f"{place} cannot be read: {error}.", _CURE) from error


def _only_mesh(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.lower().endswith((".obj", ".glb", ".gltf"))]
    if len(names) != 1:
        raise ValueError(f"the archive holds {len(names)} meshes; exactly one is expected")
    return names[0]


def _decode(
    data: bytes,
    file_name: str,
    members: Members,
    name: str,
    default_materials: Mapping[str, Material] | None = None,
    *,
    draft: bool = False,
) -> TexturedMesh:
    suffix = posixpath.splitext(file_name)[1].lower()
    if suffix == ".obj":
        return read_obj(data, members, name, default_materials, draft=draft)
    if suffix == ".glb":
        return read_glb(data, members, name)
    if suffix == ".gltf":
        return read_gltf(data, members, name)
    return _read_bare(data, suffix[1:], name)


def _read_bare(data: bytes, kind: str, name: str) -> TexturedMesh:
    """STL, PLY and OFF through trimesh: geometry and vertex colours, Z-up."""
    import trimesh

    try:
        loaded: Any = trimesh.load(io.BytesIO(data), file_type=kind, force="mesh", process=False)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not valid {kind.upper()}: {error!r}") from error
    faces = np.asarray(getattr(loaded, "faces", ()), dtype=np.int64).reshape(-1, 3)
    if len(faces) == 0:
        raise ValueError("the file has no faces")
    used, faces = np.unique(faces, return_inverse=True)
    tint = None
    if kind == "ply" and loaded.visual.kind == "vertex":
        tint = (np.asarray(loaded.visual.vertex_colors)[used] / 255.0).astype(np.float32)
    return TexturedMesh(
        vertices=np.asarray(loaded.vertices, dtype=np.float32)[used],
        normals=np.asarray(loaded.vertex_normals, dtype=np.float32)[used],
        uv=np.zeros((len(used), 2), np.float32),
        faces=faces.reshape(-1, 3).astype(np.int32),
        face_material=np.zeros(len(faces.reshape(-1, 3)), np.int32),
        materials=(Material(color=(0.8, 0.8, 0.8, 1.0) if tint is None else (1.0, 1.0, 1.0, 1.0)),),
        vertex_colors=tint,
        name=name,
    )
