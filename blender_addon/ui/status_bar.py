"""Progress in the status bar, for when the sidebar is closed."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import current
from .progress import draw_progress

__all__ = ["register", "unregister"]


def _draw(self: Any, context: Any) -> None:
    session = current()
    if session.step is not None:
        row = self.layout.row(align=True)
        row.ui_units_x = 14
        draw_progress(row, session)
        row.operator("uni4d.cancel", text="", icon="CANCEL")


def register() -> None:
    bpy.types.STATUSBAR_HT_header.append(_draw)  # type: ignore[arg-type] # the stub forgets the header


def unregister() -> None:
    bpy.types.STATUSBAR_HT_header.remove(_draw)  # type: ignore[arg-type]
