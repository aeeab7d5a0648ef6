"""The clip as the fit sees it: frames at several resolutions, with what is certainly foreground.

A pixel that differs from the background shows the object. The reverse does not hold (a white shade before a
white wall), so nothing is concluded from pixels in the background's colour except that colour itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from uni4d_shared.cameras import scaled
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera, Clip

__all__ = ["Targets", "clip_camera", "foreground", "pyramid"]

_THRESHOLD = 8.0 / 255.0
"""A channel that differs from the background by more shows the object; compression noise stays below."""
_SMALLEST = 24
"""Width in pixels below which no coarser level is made."""


@dataclass(frozen=True)
class Targets:
    """One level of the pyramid."""

    camera: Camera
    images: Tensor
    """``[T, h, w, 3]`` in [0, 1]."""
    masks: Tensor
    """``[T, h, w]`` in [0, 1]: the share of each pixel that is certainly foreground."""
    background: tuple[float, float, float]


def clip_camera(clip: Clip, fallback: Camera) -> Camera:
    """The clip's camera, or ``fallback`` (the key view's), at the size of the clip's frames."""
    height, width = clip.frames.shape[1:3]
    camera = scaled(clip.camera or fallback, width)
    if abs(camera.height - height) > 1:
        raise Uni4DError(
            "clip-camera",
            f"The clip's frames are {width}×{height} pixels, but its camera is "
            f"{camera.width}×{camera.height} at that width.",
            "Give the clip the camera that filmed it, or crop it to the key view's shape.",
        )
    return Camera(camera.world_to_camera, camera.intrinsics, width, height)


def foreground(frames: np.ndarray, background: tuple[float, float, float]) -> Tensor:
    """``[T, H, W]`` bool: where uint8 ``frames`` ``[T, H, W, 3]`` differ from the background."""
    difference = np.abs(frames.astype(np.float32) / 255.0 - np.asarray(background, dtype=np.float32))
    return torch.from_numpy(difference.max(axis=-1) > _THRESHOLD)


def pyramid(clip: Clip, camera: Camera) -> list[Targets]:
    """Levels from coarse (an eighth of the clip's size, where it is large enough) to full."""
    if len(clip.frames) == 0:
        raise Uni4DError("clip-empty", "The clip has no frames.", "Generate or choose another clip.")
    images = torch.from_numpy(clip.frames.astype(np.float32) / 255.0)
    masks = foreground(clip.frames, clip.background)
    if not bool(masks.any()):
        raise Uni4DError(
            "clip-empty",
            "No frame of the clip differs from its background: the object is nowhere to be seen.",
            "Choose another view or another clip.",
        )
    stacked = torch.cat([images, masks[..., None].float()], dim=-1).permute(0, 3, 1, 2)
    levels = []
    for factor in (8, 4, 2, 1):
        width = round(camera.width / factor)
        if factor > 1 and width < _SMALLEST:
            continue
        small = camera if factor == 1 else scaled(camera, width)
        planes = functional.interpolate(stacked, size=(small.height, small.width), mode="area")
        planes = planes.permute(0, 2, 3, 1).contiguous()
        levels.append(
            Targets(small, planes[..., :3].contiguous(), planes[..., 3].contiguous(), clip.background)
        )
    return levels
