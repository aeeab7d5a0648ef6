"""Where the panels are: in the sidebar of the 3D viewport, on a tab of their own."""

from __future__ import annotations

from typing import Any

import bpy

__all__ = ["InSidebar", "Part", "width_of"]

_UNSEEN = 200
"""Pixels of a sidebar that is not on the screen."""


class InSidebar:
    """On the tab."""

    bl_space_type: Any = "VIEW_3D"
    bl_region_type: Any = "UI"
    bl_category = "Uni4D"


class Part(InSidebar):
    """Inside the main panel."""

    bl_parent_id = "VIEW3D_PT_uni4d"


def width_of(context: bpy.types.Context) -> int:
    """Pixels of the region that is drawn."""
    return context.region.width if context.region else _UNSEEN
