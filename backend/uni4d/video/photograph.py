"""From the photograph of the key view to the first frame of a video, and to the camera of its frames.

Video models want pictures of certain sizes without transparency. The photograph is laid on white, scaled to
fit and centred; the white around it is only more of the same background, so the camera stays exact:

    fx' = s·fx,  cx' = s·cx + dx        (and the same for y)

with the scale s and the margins (dx, dy) in pixels.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from uni4d_shared.types import Alignment, Array, Camera, ViewSet

__all__ = ["BACKGROUND", "first_frame", "resized"]

BACKGROUND = (1.0, 1.0, 1.0)


def first_frame(views: ViewSet, alignment: Alignment, width: int, height: int) -> tuple[Array, Camera]:
    """The key view as ``[height, width, 3]`` uint8 sRGB, and the camera that sees it so."""
    pixels, camera = views.images[alignment.key_view], views.cameras[alignment.key_view]
    picture = Image.fromarray(pixels).convert("RGBa")  # premultiplied: no dark rims where it is scaled
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    shown = np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float64)
    canvas = np.full((height, width, 3), 255.0)
    inside = canvas[top : top + size[1], left : left + size[0]]
    inside[:] = shown[..., :3] + (255.0 - shown[..., 3:])
    intrinsics = camera.intrinsics.copy()
    intrinsics[0] *= size[0] / picture.width
    intrinsics[1] *= size[1] / picture.height
    intrinsics[:2, 2] += (left, top)
    frame = np.rint(np.clip(canvas, 0.0, 255.0)).astype(np.uint8)
    return frame, Camera(camera.world_to_camera, intrinsics, width, height)


def resized(camera: Camera, width: int, height: int) -> Camera:
    """The same view on a sensor of ``width`` × ``height`` pixels."""
    intrinsics = camera.intrinsics.copy()
    intrinsics[0] *= width / camera.width
    intrinsics[1] *= height / camera.height
    return Camera(camera.world_to_camera, intrinsics, width, height)
