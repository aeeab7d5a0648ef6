"""Edit the motion program, and play the clip. All of it works without a backend."""

from __future__ import annotations

from typing import Any

import bpy

from .. import motion, playback, program
from ..session import current, redraw
from .reporting import attempt

__all__ = ["CLASSES"]

_EDITS: Any = {"UNDO", "INTERNAL"}


class Uni4DTrackAdd(bpy.types.Operator):
    bl_idname = "uni4d.track_add"
    bl_label = "Add a Motion"
    bl_description = "Add a motion, which happens together with the others"
    bl_options = _EDITS

    verb: bpy.props.EnumProperty(name="Motion", items=motion.VERB_ITEMS)  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> Any:
        return attempt(self, lambda: motion.add_track(motion.get(context), self.verb))


class _OnTrack:
    """Operators on the track that is edited."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return motion.get(context).track is not None


class Uni4DTrackRemove(_OnTrack, bpy.types.Operator):
    bl_idname = "uni4d.track_remove"
    bl_label = "Remove the Motion"
    bl_description = "Remove the motion that is chosen in the list"
    bl_options = _EDITS

    def execute(self, context: bpy.types.Context) -> Any:
        edited = motion.get(context)
        edited.tracks.remove(edited.active)
        edited.active = max(0, min(edited.active, len(edited.tracks) - 1))
        return {"FINISHED"}


class Uni4DTrackMove(_OnTrack, bpy.types.Operator):
    bl_idname = "uni4d.track_move"
    bl_label = "Move the Motion"
    bl_description = "Move the chosen motion up or down in the list"
    bl_options = _EDITS

    up: bpy.props.BoolProperty()  # type: ignore[valid-type]

    def execute(self, context: bpy.types.Context) -> Any:
        edited = motion.get(context)
        place = edited.active + (-1 if self.up else 1)
        if 0 <= place < len(edited.tracks):
            edited.tracks.move(edited.active, place)
            edited.active = place
        return {"FINISHED"}


class Uni4DMotionReset(bpy.types.Operator):
    bl_idname = "uni4d.motion_reset"
    bl_label = "As in the Clip"
    bl_description = "Take back all changes: show the motion of the clip above"
    bl_options = _EDITS

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().draft is not None

    def execute(self, context: bpy.types.Context) -> Any:
        draft = current().draft
        if draft is not None:
            program.load(motion.get(context), draft.animated.program)
        return {"FINISHED"}


class Uni4DPlayClip(bpy.types.Operator):
    bl_idname = "uni4d.play_clip"
    bl_label = "Play the Clip"
    bl_description = "Play the clip in the panel, or pause it"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - Blender wants a set

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return playback.current().count > 1

    def execute(self, context: bpy.types.Context) -> Any:
        player = playback.current()
        (player.pause if player.playing else player.play)()
        redraw()
        return {"FINISHED"}


CLASSES = (Uni4DTrackAdd, Uni4DTrackRemove, Uni4DTrackMove, Uni4DMotionReset, Uni4DPlayClip)
