"""Use a video of the user's own in the clip's place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .. import motion, preferences, state
from ..own_video import Video
from ..session import current
from .reporting import attempt
from .runs import Idle

__all__ = ["CLASSES"]


class Uni4DUseVideo(Idle, bpy.types.Operator):
    bl_idname = "uni4d.use_video"
    bl_label = "Use a Video"
    bl_description = (
        "Let the object move as a video file shows: one of it or of something alike, before an even "
        "background, that begins as the object stands"
    )

    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(  # type: ignore[valid-type]
        default="*.mp4;*.mov;*.m4v;*.mkv;*.webm", options={"HIDDEN"}
    )
    fps: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Frames a Second",
        default=12.0,
        min=0.1,
        max=120.0,
        description="At most so many are taken; more follow fast motions better, and take longer",
    )
    start: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Begin At",
        min=0.0,
        subtype="TIME",
        unit="TIME_ABSOLUTE",
        description="Seconds of the video that are left out",
    )
    seconds: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Take",
        min=0.0,
        subtype="TIME",
        unit="TIME_ABSOLUTE",
        description="Seconds that are taken from there on; 0: all",
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> Any:
        manager: Any = context.window_manager
        manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> Any:
        chosen, session = state.get(context), current()
        settings = chosen.settings(motion.get(context), session.chosen_uid(chosen.prompt))
        video = Video(Path(bpy.path.abspath(self.filepath)), self.fps, self.start, self.seconds)
        review = preferences.get(context).review
        return attempt(
            self, lambda: session.use_video(video, chosen.prompt, settings, review=review), wait=True
        )


CLASSES = (Uni4DUseVideo,)
