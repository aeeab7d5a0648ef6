"""The add-on's preferences: where the backend is, and whether runs pause."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from uni4d_shared.transport import CONTROL_ENDPOINT, WORK_ENDPOINT

__all__ = ["CLASSES", "Uni4DPreferences", "get"]


class Uni4DPreferences(bpy.types.AddonPreferences):
    bl_idname = __package__ or __name__

    endpoint: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Backend", default=WORK_ENDPOINT, description="Address of the backend's work socket"
    )
    control_endpoint: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Control", default=CONTROL_ENDPOINT, description="Address of the backend's control socket"
    )
    keys: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Keys",
        subtype="DIR_PATH",
        description="Folder of this client's keys; needed only for a backend on another machine",
    )
    review: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Review the clip before fitting",
        description="Generate ends with the clip: look at it, edit its motion, then fit it",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        layout.label(text="Start the backend with: uni4d serve")
        layout.prop(self, "endpoint")
        layout.prop(self, "control_endpoint")
        layout.prop(self, "keys")
        layout.prop(self, "review")

    @property
    def keys_folder(self) -> Path | None:
        return Path(bpy.path.abspath(self.keys)) if self.keys else None


def get(context: bpy.types.Context) -> Any:
    """The preferences (:class:`Uni4DPreferences`) of this add-on."""
    preferences: Any = context.preferences
    return preferences.addons[__package__].preferences


CLASSES = (Uni4DPreferences,)
