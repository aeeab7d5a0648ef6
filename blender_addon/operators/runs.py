"""Search, choose, import, generate, cancel."""

from __future__ import annotations

from typing import Any

import bpy

from .. import state
from ..session import current
from .reporting import attempt

__all__ = ["CLASSES"]


class _Idle:
    """Operators that begin something; greyed out while something is going on."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().run is None


class Uni4DSearch(_Idle, bpy.types.Operator):
    bl_idname = "uni4d.search"
    bl_label = "Search"
    bl_description = "Find objects for the prompt in the library"

    def execute(self, context: bpy.types.Context) -> Any:
        chosen = state.get(context)
        return attempt(self, lambda: current().search(chosen.prompt, chosen.settings()), wait=True)


class Uni4DChoose(_Idle, bpy.types.Operator):
    bl_idname = "uni4d.choose"
    bl_label = "Choose"
    bl_description = "Choose this result for Import and Generate"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - Blender wants a set

    index: bpy.props.IntProperty()  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> Any:
        current().chosen = self.index
        return {"FINISHED"}


class Uni4DImport(_Idle, bpy.types.Operator):
    bl_idname = "uni4d.import_hit"
    bl_label = "Import"
    bl_description = "Put the chosen object into the scene, with its textures, without motion"

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, current().import_hit, wait=True)


class Uni4DGenerate(_Idle, bpy.types.Operator):
    bl_idname = "uni4d.generate"
    bl_label = "Generate"
    bl_description = "Animate the chosen object as the prompt says, as a mesh and as Gaussian splats"

    def execute(self, context: bpy.types.Context) -> Any:
        chosen, session = state.get(context), current()
        known = session.searched == chosen.prompt and session.found is not None and session.found.hits
        settings = chosen.settings(session.hit().uid if known else "")
        return attempt(self, lambda: session.generate(chosen.prompt, settings), wait=True)


class Uni4DCancel(bpy.types.Operator):
    bl_idname = "uni4d.cancel"
    bl_label = "Cancel"
    bl_description = "Stop what is going on"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().run is not None

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, current().cancel)


CLASSES = (Uni4DSearch, Uni4DChoose, Uni4DImport, Uni4DGenerate, Uni4DCancel)
