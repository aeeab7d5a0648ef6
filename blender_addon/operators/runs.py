"""Search, choose, find more, import, generate, animate again, fit, cancel."""

from __future__ import annotations

import random
from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError

from .. import motion, preferences, program, state
from ..session import current
from .reporting import attempt

__all__ = ["CLASSES", "Idle"]


class Idle:
    """Operators that begin something; greyed out while something is going on."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().run is None


class Uni4DSearch(Idle, bpy.types.Operator):
    bl_idname = "uni4d.search"
    bl_label = "Search"
    bl_description = "Find objects for the prompt in the library"

    def execute(self, context: bpy.types.Context) -> Any:
        chosen = state.get(context)
        settings = chosen.settings(motion.get(context))
        return attempt(self, lambda: current().search(chosen.prompt, settings), wait=True)


class Uni4DChoose(Idle, bpy.types.Operator):
    bl_idname = "uni4d.choose"
    bl_label = "Choose"
    bl_description = "Choose this result for Import and Generate"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - Blender wants a set

    index: bpy.props.IntProperty()  # type: ignore[valid-type]

    @classmethod
    def description(cls, context: bpy.types.Context, properties: Any) -> str:
        """The tooltip: what the result is, and whom to credit."""
        try:
            hit = current().hit(properties.index)
        except Uni4DError:
            return cls.bl_description
        return f"{hit.name}\n{hit.licence}{', by ' + hit.author if hit.author else ''}\n{hit.source}"

    def execute(self, context: bpy.types.Context) -> Any:
        current().chosen = self.index
        return {"FINISHED"}


class Uni4DMoreLike(Idle, bpy.types.Operator):
    bl_idname = "uni4d.more_like"
    bl_label = "More like this"
    bl_description = "Find other objects that look like this one"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - Blender wants a set

    index: bpy.props.IntProperty()  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> Any:
        chosen = state.get(context)
        settings = chosen.settings(motion.get(context))
        return attempt(self, lambda: current().search_like(self.index, chosen.prompt, settings), wait=True)


class Uni4DImport(Idle, bpy.types.Operator):
    bl_idname = "uni4d.import_hit"
    bl_label = "Import"
    bl_description = "Put the chosen object into the scene, with its textures, without motion"

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, current().import_hit, wait=True)


class Uni4DGenerate(Idle, bpy.types.Operator):
    bl_idname = "uni4d.generate"
    bl_label = "Generate"
    bl_description = "Animate the chosen object as the prompt says, as a mesh and as Gaussian splats"

    def execute(self, context: bpy.types.Context) -> Any:
        chosen, session = state.get(context), current()
        settings = chosen.settings(motion.get(context), session.chosen_uid(chosen.prompt))
        review = preferences.get(context).review
        return attempt(self, lambda: session.generate(chosen.prompt, settings, review=review), wait=True)


class Uni4DAnimateAgain(Idle, bpy.types.Operator):
    bl_idname = "uni4d.animate_again"
    bl_label = "Animate Again"
    bl_description = "Make the clip again, with the motion, the video model and the seed below; nothing else"

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, lambda: self._begin(context), wait=True)

    def _begin(self, context: bpy.types.Context) -> None:
        session, chosen = current(), motion.get(context)
        played = program.program_of(chosen) if session.plays_programs(chosen.model) else None
        session.animate_again(state.get(context).settings(chosen, program=played))


class Uni4DAnotherSeed(Idle, bpy.types.Operator):
    bl_idname = "uni4d.another_seed"
    bl_label = "Another Seed"
    bl_description = "Make the clip again with another random seed"
    bl_options = {"UNDO"}  # noqa: RUF012 - Blender wants a set

    def execute(self, context: bpy.types.Context) -> Any:
        motion.get(context).seed = random.randrange(1_000_000)  # noqa: S311 - no secret
        return bpy.ops.uni4d.animate_again()  # type: ignore[attr-defined]


class Uni4DVaryMotion(Idle, bpy.types.Operator):
    bl_idname = "uni4d.vary_motion"
    bl_label = "Another Variant"
    bl_description = "Change the numbers of the motions a little, at random, and make the clip again"
    bl_options = {"UNDO"}  # noqa: RUF012 - Blender wants a set

    def execute(self, context: bpy.types.Context) -> Any:
        motion.vary(motion.get(context), random.Random())  # noqa: S311 - no secret
        return bpy.ops.uni4d.animate_again()  # type: ignore[attr-defined]


class Uni4DFit(Idle, bpy.types.Operator):
    bl_idname = "uni4d.fit_clip"
    bl_label = "Fit This Clip"
    bl_description = "Go on with the clip as it is: fit the splats, and animate the mesh in the scene"

    def execute(self, context: bpy.types.Context) -> Any:
        settings = state.get(context).settings(motion.get(context))
        return attempt(self, lambda: current().fit(settings), wait=True)


class Uni4DCancel(bpy.types.Operator):
    bl_idname = "uni4d.cancel"
    bl_label = "Cancel"
    bl_description = "Stop what is going on"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().run is not None

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, current().cancel)


CLASSES = (
    *(Uni4DSearch, Uni4DChoose, Uni4DMoreLike, Uni4DImport, Uni4DGenerate),
    *(Uni4DAnimateAgain, Uni4DAnotherSeed, Uni4DVaryMotion, Uni4DFit, Uni4DCancel),
)
