"""The motion program in the panel: a list of motions, the numbers of the chosen one, the video model."""

from __future__ import annotations

from typing import Any

import bpy

from .. import motion, program
from ..session import Session, current
from .sidebar import Part, width_of
from .text import draw_problem

__all__ = ["CLASSES"]


class UNI4D_UL_tracks(bpy.types.UIList):  # noqa: N801 - Blender's rule for lists
    def draw_item(
        self,
        context: bpy.types.Context | None,
        layout: Any,
        data: Any,
        item: Any,
        icon: int | None,
        active_data: Any,
        active_property: str | None,
        index: int | None = 0,
        flt_flag: int | None = 0,
    ) -> None:
        row = layout.row(align=True)
        part = "" if item.part == "whole" else f" ({item.part})"
        row.label(text=motion.label(item.verb) + part)
        times = row.row()
        times.alignment = "RIGHT"
        times.enabled = False
        times.label(text=_when(item, data.duration))


class VIEW3D_PT_uni4d_motion(Part, bpy.types.Panel):  # noqa: N801 - Blender's rule for panels
    bl_label = "Motion"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        edited = motion.get(context)
        return current().draft is not None or len(edited.tracks) > 0 or bool(edited.unreadable)

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        session, edited = current(), motion.get(context)
        width = width_of(context)
        usable = draw_model(layout, edited, session, width)
        if session.plays_programs(edited.model):
            if edited.unreadable:
                draw_problem(layout, edited.unreadable, "Update the add-on to edit it.", width)
            else:
                _draw_program(layout, edited)
            if session.draft is not None and program.is_edited(edited, session.draft.animated.program):
                row = layout.row()
                row.label(text="Not in the clip yet", icon="INFO")
                row.operator("uni4d.motion_reset", text="", icon="LOOP_BACK")
        else:
            _draw_seed(layout, edited, session, usable)
        row = layout.row()
        row.enabled = usable
        row.scale_y = 1.2
        row.operator("uni4d.animate_again", icon="FILE_REFRESH")
        if session.plays_programs(edited.model):
            row.operator("uni4d.vary_motion", text="", icon="MOD_NOISE")


def draw_model(layout: Any, edited: Any, session: Session, width: int) -> bool:
    """The choice of the video model; whether it can be used, as far as is known."""
    column = layout.column(align=True)
    column.label(text="Video Model")
    column.prop(edited, "model", text="")
    known = session.model(edited.model)
    if known is None or not known.problem:
        return True
    draw_problem(layout, known.problem, known.cure, width)
    return False


def _draw_seed(layout: Any, edited: Any, session: Session, usable: bool) -> None:
    known = session.model(edited.model)
    if known is not None and not known.takes_seed:
        layout.label(text="Each clip is another variant", icon="INFO")
        return
    row = layout.row(align=True)
    row.prop(edited, "seed")
    dice = row.row(align=True)
    dice.enabled = usable
    dice.operator("uni4d.another_seed", text="", icon="FILE_3D")


def _draw_program(layout: Any, edited: Any) -> None:
    row = layout.row()
    row.template_list("UNI4D_UL_tracks", "", edited, "tracks", edited, "active", rows=3, sort_lock=True)
    side = row.column(align=True)
    side.operator_menu_enum("uni4d.track_add", "verb", text="", icon="ADD")
    side.operator("uni4d.track_remove", text="", icon="REMOVE")
    side.separator()
    side.operator("uni4d.track_move", text="", icon="TRIA_UP").up = True
    side.operator("uni4d.track_move", text="", icon="TRIA_DOWN").up = False
    if edited.track is not None:
        _draw_track(layout, edited.track)
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    column.prop(edited, "duration", text="Clip Lasts")


def _draw_track(layout: Any, track: Any) -> None:
    box = layout.box().column()
    box.use_property_split = True
    box.use_property_decorate = False
    meaning = track.meaning
    box.prop(track, "verb")
    box.prop(track, "part")
    box.prop(track, "angle" if meaning.unit == "radians" else "amplitude", text=_AMOUNTS[meaning.unit])
    if meaning.axis_use != "nothing":
        box.prop(track, "direction", text=_AXES[meaning.axis_use])
        if track.direction == "FREE":
            box.prop(track, "axis", text="")
    if meaning.cyclic:
        column = box.column(align=True)
        column.prop(track, "cycles")
        column.prop(track, "period")
    box.prop(track, "phase")
    column = box.column(align=True)
    column.alert = track.stop <= track.start
    column.prop(track, "start", slider=True)
    column.prop(track, "stop", slider=True)


_AMOUNTS = {"radians": "Angle", "radii": "Distance", "ratio": "Amount"}
_AXES = {
    "turned about": "About",
    "turned about, level": "About",
    "moved along": "Along",
    "sense": "Round",
}


def _when(track: Any, duration: float) -> str:
    """``"2 ×"`` for the whole clip, ``"0.5-1.0 s"`` for a part of it."""
    if track.start > 0.0 or track.stop < 1.0:
        return f"{track.start * duration:.1f}-{track.stop * duration:.1f} s"
    return f"{track.cycles:g} ×" if track.meaning.cyclic else "once"


CLASSES = (UNI4D_UL_tracks, VIEW3D_PT_uni4d_motion)
