# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Getting meshes into the scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import mathutils
import numpy as np
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError

from . import compat

__all__ = ["import_glb", "rest_vertices", "world_triangles", "world_vertices"]


def import_glb(
    path: Path, *, name: str = "", collection: bpy.types.Collection | None = None
) -> list[bpy.types.Object]:
    """Import a GLB; its mesh objects, with identity transforms: their vertices are in world space (Z-up).

    The importer's helper objects (the empties of glTF nodes) are dissolved, and every object owns its mesh,
    so that an armature or an edit concerns this asset alone. Vertices keep the file's order.
    """
    if not path.is_file():
        raise Uni4DError("mesh-unreadable", f"{path} does not exist.", "Fetch the asset again.")
    before = set(bpy.data.objects)
    try:
        with compat.gltf_importer_fixes():
            bpy.ops.import_scene.gltf(
                filepath=str(path),
                **compat.supported_options(
                    bpy.ops.import_scene.gltf,
                    merge_vertices=False,
                    import_pack_images=True,
                    import_scene_as_collection=False,
                    import_select_created_objects=False,
                ),
            )
    except Exception as error:
        _remove(set(bpy.data.objects) - before)
        raise _unreadable(path, _first_line(error)) from error

    imported = [item for item in bpy.data.objects if item not in before]
    meshes = [item for item in imported if item.type == "MESH" and len(item.data.polygons)]
    if not meshes:
        _remove(imported)
        raise _unreadable(path, "it holds no triangles")
    bpy.context.view_layer.update()
    for item in meshes:
        _flatten(item)
    _remove([item for item in imported if item not in meshes])
    for item in meshes:
        if name:
            item.name = name
        if collection is not None:
            for home in tuple(item.users_collection):
                home.objects.unlink(item)
            collection.objects.link(item)
    return meshes


def rest_vertices(objects: Sequence[bpy.types.Object]) -> NDArray[np.float32]:
    """``[P, 3]`` the vertices of all objects in their own space: where :func:`import_glb` put them."""
    identity = mathutils.Matrix.Identity(4)
    return np.concatenate([_transformed(item.data, identity) for item in objects])


def world_vertices(item: bpy.types.Object) -> NDArray[np.float32]:
    """``[P, 3]`` the object's own vertices (no modifiers) in world space, in metres."""
    return _transformed(item.data, item.matrix_world)


def world_triangles(
    objects: Sequence[bpy.types.Object], depsgraph: bpy.types.Depsgraph
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Vertices ``[P, 3]`` and triangles ``[F, 3]`` of the objects as they are rendered, with modifiers."""
    vertices, triangles, offset = [], [], 0
    for item in objects:
        evaluated = item.evaluated_get(depsgraph)
        mesh = evaluated.to_mesh()
        try:
            vertices.append(_transformed(mesh, evaluated.matrix_world))
            mesh.calc_loop_triangles()
            corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
            mesh.loop_triangles.foreach_get("vertices", corners)
            triangles.append(corners.reshape(-1, 3) + offset)
            offset += len(mesh.vertices)
        finally:
            evaluated.to_mesh_clear()
    return np.concatenate(vertices), np.concatenate(triangles)


def _transformed(mesh: Any, matrix: mathutils.Matrix) -> NDArray[np.float32]:
    points = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", points)
    affine = np.array(matrix)
    world = points.reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    return world.astype(np.float32)


def _flatten(item: bpy.types.Object) -> None:
    """Move an object's transform into its mesh."""
    if item.data.users > 1:
        item.data = item.data.copy()
    matrix = item.matrix_world.copy()
    item.parent = None
    item.animation_data_clear()
    item.data.transform(matrix)
    if matrix.determinant() < 0:  # a mirrored node turns the triangles inside out
        item.data.flip_normals()
    item.matrix_world = mathutils.Matrix.Identity(4)


def _remove(objects: Sequence[bpy.types.Object] | set[bpy.types.Object]) -> None:
    for item in objects:
        bpy.data.objects.remove(item)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _unreadable(path: Path, reason: str) -> Uni4DError:
    return Uni4DError(
        "mesh-unreadable",
        f"{path.name} cannot be read as a mesh: {reason.removeprefix('Error: ').rstrip('.')}.",
        "Check that it is a binary glTF 2.0 file, or choose another asset.",
    )
