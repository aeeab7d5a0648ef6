"""Which frame of the scene shows which frame of a clip."""

from __future__ import annotations

import bpy
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["NATIVE", "Timeline", "of_scene", "set_rate"]


@frozen
class Timeline:
    """Clip frame ``i`` (0-based) is shown at scene frame ``start + i · step``."""

    start: int = 1
    step: float = 1.0

    def frames(self, count: int) -> NDArray[np.float64]:
        """``[count]`` the scene frames of a clip's frames."""
        return np.asarray(self.start + self.step * np.arange(count), np.float64)

    def last(self, count: int) -> int:
        """The scene frame that ends a clip of ``count`` frames."""
        return round(self.start + self.step * (count - 1))


def of_scene(scene: bpy.types.Scene, fps: float) -> Timeline:
    """Play a clip of ``fps`` in real time at the scene's own rate, from its first frame."""
    rate = scene.render.fps / scene.render.fps_base
    return Timeline(scene.frame_start, rate / fps)


def set_rate(scene: bpy.types.Scene, fps: float) -> None:
    """Let the scene run at a clip's rate, which need not be a whole number."""
    scene.render.fps = max(round(fps), 1)
    scene.render.fps_base = scene.render.fps / fps


NATIVE = Timeline()
"""One clip frame per scene frame, from frame 1."""
