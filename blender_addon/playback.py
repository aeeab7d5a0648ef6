"""The clip's player: which frame the panel shows. A timer of its own advances it while it plays and the
panel is seen; it needs no backend.
"""

from __future__ import annotations

import atexit
import time
from typing import Any

import bpy

from uni4d_shared.types import Clip

__all__ = ["Player", "current", "shut_down"]

_UNSEEN = 5
"""After so many frames of which none was drawn, nobody looks. (Seconds would say nothing: drawing may be
slow.)"""
_REST_SECONDS = 0.5


class Player:
    """Plays one clip in a loop."""

    def __init__(self) -> None:
        self.clip: Clip | None = None
        self.frame = 0
        self.playing = False
        self._undrawn = 0
        self._due = 0.0

    @property
    def count(self) -> int:
        return len(self.clip.frames) if self.clip is not None else 0

    @property
    def share(self) -> float:
        """How much of the clip has passed, 0 … 1."""
        return self.frame / (self.count - 1) if self.count > 1 else 0.0

    @share.setter
    def share(self, value: float) -> None:
        self.frame = round(min(max(value, 0.0), 1.0) * max(self.count - 1, 0))

    def show(self, clip: Clip | None, *, play: bool = False) -> None:
        """Take another clip, from its beginning."""
        self.clip, self.frame = clip, 0
        self.pause()
        if play and clip is not None:
            self.play()

    def play(self) -> None:
        if bpy.app.background or self.count < 2:
            return
        self.playing = True
        self._due = 0.0
        if not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, persistent=True)
            atexit.register(shut_down)  # a timer that is left over hangs or crashes Blender at its exit

    def pause(self) -> None:
        self.playing = False
        if bpy.app.timers.is_registered(_tick):
            bpy.app.timers.unregister(_tick)
            atexit.unregister(shut_down)

    def drawn(self) -> None:
        """The panel says that it is seen."""
        self._undrawn = 0

    def advance(self) -> float | None:
        """The next frame, when it is due; the seconds until the one after it."""
        if not self.playing or self.clip is None:
            return None
        now = time.monotonic()
        if now >= self._due:
            self.frame = (self.frame + 1) % self.count
            self._undrawn += 1
            pause = 1.0 / max(self.clip.fps, 1.0) if self._undrawn <= _UNSEEN else _REST_SECONDS
            self._due = max(self._due + pause, now)  # in step, without hurrying after a stop
            _redraw_sidebars()
        return max(self._due - now, 0.005)


_player = Player()


def current() -> Player:
    """The one player of this Blender."""
    return _player


def shut_down() -> None:
    """Stop and forget the clip: before the add-on is switched off, and before Blender ends."""
    _player.show(None)


def _tick() -> float | None:
    return _player.advance()


def _redraw_sidebars() -> None:
    """The sidebars alone: the 3D view beside them need not be drawn for each frame of a clip."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
