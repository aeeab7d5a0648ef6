"""What the user sets in the panel. It lives on the window manager: not saved with files, not undone."""

from __future__ import annotations

from typing import Any

import bpy

from .generation import Settings
from .scene import rendering

__all__ = ["CLASSES", "NAME", "Uni4DState", "get"]

NAME = "uni4d"
"""The property of the window manager."""


class Uni4DState(bpy.types.PropertyGroup):
    prompt: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Prompt",
        default="a teddy bear is dancing",
        description="What you want to see, and what it does",
        options={"TEXTEDIT_UPDATE"},
    )
    engine: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Photographs by",
        items=[(name, name.capitalize(), "") for name in rendering.ENGINES],
        description="Render engine of the photographs; Auto: EEVEE on a real GPU, else Cycles",
    )
    size: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Size", default=256, min=64, max=2048, subtype="PIXEL", description="Size of the photographs"
    )
    top: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Results", default=6, min=1, max=50, description="How many search results to show"
    )
    seed: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Seed", default=0, min=0, description="Another number gives another variant of the motion"
    )

    def settings(self, uid: str = "") -> Settings:
        """These settings for a run; ``uid``: the chosen hit."""
        return Settings(
            top=self.top, uid=uid, size=self.size, engine=self.engine, seed=self.seed, own_scene=False
        )


def get(context: bpy.types.Context) -> Any:
    """The state (:class:`Uni4DState`)."""
    return getattr(context.window_manager, NAME)


CLASSES = (Uni4DState,)
