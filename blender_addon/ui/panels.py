"""The sidebar panel."""

from __future__ import annotations

from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError

from .. import motion, preferences, state
from ..session import Session, current
from . import clip, gallery
from .motion import CLASSES as MOTION_CLASSES
from .motion import draw_model
from .progress import draw_progress
from .sidebar import InSidebar, Part, width_of
from .text import draw_problem, draw_text

__all__ = ["CLASSES"]


class VIEW3D_PT_uni4d(InSidebar, bpy.types.Panel):  # noqa: N801 - Blender's rule for panels
    bl_label = "Uni4D"

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        session, chosen = current(), state.get(context)
        width = width_of(context)
        _draw_connection(layout, context, session, width)

        column = layout.column(align=True)
        column.prop(chosen, "prompt", text="")
        column.operator("uni4d.search", icon="VIEWZOOM")
        gallery.draw(layout, session, width)
        if session.found is not None and session.found.hits:
            hit = session.hit()
            credit = layout.column(align=True)
            credit.enabled = False
            draw_text(credit, f"{hit.licence}{', by ' + hit.author if hit.author else ''}", width)

        row = layout.row(align=True)
        row.operator("uni4d.import_hit", icon="IMPORT")
        row.operator("uni4d.generate", icon="PLAY")
        layout.operator("uni4d.use_video", text="Use a Video…", icon="FILE_MOVIE")
        layout.prop(preferences.get(context), "review", text="Review the clip first")
        if session.step is not None:
            column = layout.column(align=True)
            row = column.row(align=True)
            draw_progress(row, session)
            row.operator("uni4d.cancel", text="", icon="CANCEL")
            draw_text(column, session.waiting or session.step.message, width)
        if session.error is not None:
            _draw_error(layout, session.error, width)
        elif session.note:
            layout.label(text=session.note, icon="CHECKMARK")


class VIEW3D_PT_uni4d_settings(Part, bpy.types.Panel):  # noqa: N801 - Blender's rule for panels
    bl_label = "Settings"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - Blender wants a set

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        chosen = state.get(context)
        for name in ("top", "engine", "size"):
            layout.prop(chosen, name)
        layout.prop(motion.get(context), "seed")
        layout.prop(preferences.get(context), "endpoint")
        layout.prop(preferences.get(context), "control_endpoint")
        layout.use_property_split = False
        width = width_of(context)
        draw_model(layout, motion.get(context), current(), width)


def _draw_connection(layout: Any, context: bpy.types.Context, session: Session, width: int) -> None:
    row = layout.row(align=True)
    jobs = session.jobs
    if jobs is None:
        row.label(text="Not connected", icon="UNLINKED")
        row.operator("uni4d.connect", text="Connect")
        return
    backend = jobs.backend
    if backend is not None and backend.worker == "broken":
        row.label(text="The backend is broken", icon="ERROR")
        draw_text(layout.column(align=True), backend.note, width)
    elif backend is not None and backend.worker == "starting":
        row.label(text="The backend is starting", icon="TIME")
    elif backend is not None:
        row.label(text=f"{backend.library_size} objects", icon="LINKED")
    elif jobs.problem is not None:
        row.label(text="No backend", icon="ERROR")
        _draw_error(layout, jobs.problem, width)
    else:
        row.label(text="Connecting", icon="TIME")
    row.operator("uni4d.disconnect", text="", icon="X")


def _draw_error(layout: Any, error: Uni4DError, width: int) -> None:
    draw_problem(layout, error.message, error.cure, width)


CLASSES = (VIEW3D_PT_uni4d, *clip.CLASSES, *MOTION_CLASSES, VIEW3D_PT_uni4d_settings)
