"""The camera of a video that does not say it, from its first frame, which starts as the key view.

The camera stands where the key view's stood. How far it zooms and where it points is told by silhouettes: the
same area, the same centroid. What is left, a pose that is not that of rest, is the motion's to explain.
"""

from __future__ import annotations

import math

import numpy as np

from uni4d.fourd.targets import foreground
from uni4d_shared.types import Array, Camera, Clip, ViewSet

__all__ = ["camera_of"]

_COVERED = 16
"""Opacity of 255 from which a pixel of the photograph would differ from a background, as in the video."""
_SAME_ZOOM, _SAME_PLACE = 0.03, 0.02
"""Zoom, and place as a share of the width, that are taken for those of the key view itself."""


def camera_of(clip: Clip, views: ViewSet, view: int) -> Camera:
    """The camera that filmed ``clip`` (of a known background), which starts as ``views[view]`` is."""
    key = views.cameras[view]
    height, width = clip.frames.shape[1:3]
    zoom = min(width / key.width, height / key.height)
    place = 0.5 * np.array([width, height]) - zoom * 0.5 * np.array([key.width, key.height])
    seen = foreground(clip.frames[:1], clip.background)[0].numpy()
    known = views.images[view, ..., 3] > _COVERED
    if not (_cut(seen) or _cut(known)) and seen.any() and known.any():
        found = math.sqrt(float(seen.sum()) / float(known.sum()))
        shift = _centroid(seen) - found * _centroid(known)
        moved = (_centroid(seen) - zoom * _centroid(known) - place) / width
        if abs(found / zoom - 1.0) > _SAME_ZOOM or float(np.abs(moved).max()) > _SAME_PLACE:
            zoom, place = found, shift
    intrinsics = key.intrinsics.copy()
    intrinsics[:2] *= zoom
    intrinsics[:2, 2] += place
    return Camera(key.world_to_camera, intrinsics, width, height)


def _cut(mask: Array) -> bool:
    """Whether the object leaves the picture."""
    return bool(mask[[0, -1]].any() or mask[:, [0, -1]].any())


def _centroid(mask: Array) -> Array:
    """``[2]`` (x, y) in pixels."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5])
