"""What the user sets in the panel. It lives on the window manager: not saved with files, not undone. What
makes the clip lives on the scene (:mod:`.motion`)."""

from __future__ import annotations

from typing import Any

import bpy

from . import playback
from .generation import Settings
from .motion import BACKEND_CHOICE
from .scene import rendering

__all__ = ["CLASSES", "NAME", "Uni4DState", "get"]

NAME = "uni4d"
"""The property of the window manager."""


def _get_share(state: Any) -> float:
    return playback.current().share


def _set_share(state: Any, value: float) -> None:
    playback.current().share = value


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
    clip_share: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Time",
        get=_get_share,
        set=_set_share,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="Which moment of the clip is shown",
    )

    def settings(self, motion: Any, uid: str = "", program: dict[str, Any] | None = None) -> Settings:
        """These settings and those of ``motion`` (:class:`.motion.Uni4DMotion`) for a run; ``uid``: the
        chosen hit."""
        return Settings(
            top=self.top,
            uid=uid,
            size=self.size,
            engine=self.engine,
            seed=motion.seed,
            model="" if motion.model == BACKEND_CHOICE else motion.model,
            program=program,
            own_scene=False,
        )


def get(context: bpy.types.Context) -> Any:
    """The state (:class:`Uni4DState`)."""
    return getattr(context.window_manager, NAME)


CLASSES = (Uni4DState,)
