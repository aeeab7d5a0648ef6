# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Assets in the scene: each in a collection of its own, its objects found again by a mark on them.

References to Blender data die with an undo; names change at the user's will. Custom properties survive both.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import bpy
import mathutils

from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Asset

from .meshes import import_glb

__all__ = ["add", "at_rest", "collection", "find", "objects"]

MARK, UID = "uni4d_mark", "uni4d_uid"
"""Custom properties of an asset's mesh objects and of its collection."""


def add(asset: Asset, path: Path) -> str:
    """Import ``asset`` from the GLB at ``path`` into the scene; its mark."""
    home = bpy.data.collections.new(asset.name)
    bpy.context.scene.collection.children.link(home)
    try:
        imported = import_glb(path, name=asset.name, collection=home)
    except BaseException:
        bpy.data.collections.remove(home)
        raise
    mark = uuid.uuid4().hex
    for item in (home, *imported):
        item[MARK], item[UID] = mark, asset.uid
        item["uni4d_licence"], item["uni4d_author"] = asset.licence, asset.author
    return mark


def find(uid: str) -> str:
    """The mark of an asset that stands in the present scene and has no motion yet; empty if there is none."""
    for item in bpy.context.scene.objects:
        if item.get(UID) == uid and item.type == "MESH" and item.parent is None:
            return str(item[MARK])
    return ""


def objects(mark: str) -> list[bpy.types.Object]:
    """The mesh objects with this mark, in the order of the file; an error when the user has removed them."""
    found = [item for item in bpy.data.objects if item.get(MARK) == mark and item.type == "MESH"]
    if not found:
        raise Uni4DError(
            "object-gone",
            "The imported object is no longer in the scene.",
            "Import it again.",
        )
    return found


def collection(mark: str) -> bpy.types.Collection:
    """The asset's collection, or the scene's if the user dissolved that."""
    for home in bpy.data.collections:
        if home.get(MARK) == mark:
            return home
    return bpy.context.scene.collection


@contextlib.contextmanager
def at_rest(mark: str) -> Iterator[list[bpy.types.Object]]:
    """The objects of ``mark`` with identity transforms, wherever the user has put them meanwhile."""
    found = objects(mark)
    places = [item.matrix_world.copy() for item in found]
    for item in found:
        item.matrix_world = mathutils.Matrix.Identity(4)
    bpy.context.view_layer.update()
    try:
        yield found
    finally:
        for item, place in zip(found, places, strict=True):
            item.matrix_world = place
        bpy.context.view_layer.update()
