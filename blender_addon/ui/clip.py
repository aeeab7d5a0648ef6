"""The clip in the panel: its frames as icons, its player, and what is to be said about it."""

from __future__ import annotations

from typing import Any

import bpy
import bpy.utils.previews
import numpy as np

from uni4d_shared.types import Clip

from .. import playback, state
from ..session import Session, current
from .sidebar import Part, width_of
from .text import draw_text

__all__ = ["CLASSES", "describe", "forget"]

_MOST_ICONS = 120
_MOST_PIXELS = 256
"""Frames are shown no larger than this; the clip itself is untouched."""


class _Pictures:
    """A clip's frames as icons. They are made one by one, as they are shown."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._icons: Any = bpy.utils.previews.new()
        self._every = -(-len(clip.frames) // _MOST_ICONS)

    def icon(self, frame: int) -> int:
        name = str(frame // self._every)
        if name not in self._icons:
            picture = self.clip.frames[frame // self._every * self._every]
            step = -(-max(picture.shape[:2]) // _MOST_PIXELS)
            _fill(self._icons.new(name), picture[::step, ::step])
        return int(self._icons[name].icon_id)

    def close(self) -> None:
        bpy.utils.previews.remove(self._icons)


def _fill(preview: Any, picture: Any) -> None:
    """Pixels ``[H, W, 3]`` into an icon, whose rows go upwards."""
    height, width, _ = picture.shape
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = picture[::-1] / np.float32(255.0)
    preview.image_size = (width, height)
    preview.image_pixels_float.foreach_set(pixels.ravel())


_shown: list[_Pictures] = []  # none or one


class VIEW3D_PT_uni4d_clip(Part, bpy.types.Panel):  # noqa: N801 - Blender's rule for panels
    bl_label = "Clip"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return current().draft is not None

    def draw(self, context: bpy.types.Context) -> None:
        layout: Any = self.layout
        session, player = current(), playback.current()
        clip = player.clip
        if session.draft is None or clip is None:
            return
        player.drawn()
        width = width_of(context)
        scale = context.preferences.system.ui_scale  # type: ignore[union-attr]
        column = layout.column(align=True)
        column.template_icon(_pictures(clip).icon(player.frame), scale=_icon_scale(width, scale))
        row = column.row(align=True)
        row.operator("uni4d.play_clip", text="", icon="PAUSE" if player.playing else "PLAY")
        row.prop(state.get(context), "clip_share", text="Moment", slider=True)
        said = layout.column(align=True)
        draw_text(said, describe(session), width)
        for note in session.draft.animated.program.get("notes") or ():
            draw_text(said, str(note), width, icon="INFO")
        layout.operator("uni4d.fit_clip", icon="CHECKMARK")
        found = layout.column(align=True)
        for finding in session.findings:
            draw_text(found, finding, width, icon="INFO")


def describe(session: Session) -> str:
    """``"dancing slowly", 2.0 s, 24 frames, kinematic: dance``."""
    if session.draft is None:
        return ""
    clip, words = session.draft.animated.clip, session.draft.query.motion_text
    seconds = len(clip.frames) / clip.fps
    said = [f"“{words}”"] if words and "video" not in session.draft.animated.program else []
    return ", ".join([*said, f"{seconds:.1f} s", f"{len(clip.frames)} frames", clip.description])


def forget() -> None:
    """Free the icons; Blender complains about those that are left over."""
    while _shown:
        _shown.pop().close()


def _pictures(clip: Clip) -> _Pictures:
    if not _shown or _shown[0].clip is not clip:
        forget()
        _shown.append(_Pictures(clip))
    return _shown[0]


def _icon_scale(width: int, scale: float) -> float:
    """As large as the region allows; one unit is 20 pixels."""
    return min(max(width / (20.0 * scale) - 3.0, 4.0), 16.0)


CLASSES = (VIEW3D_PT_uni4d_clip,)
