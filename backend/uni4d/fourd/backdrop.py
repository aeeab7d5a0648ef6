"""The background of a video that nobody described: what the border of its frames shows.

The median colour of the border is the background, and how much the border differs from it is the noise: of
the sensor, of compression, or of a backdrop that is not even. Pixels that differ by no more than that become
exactly the background, and so do specks; the object's pixels stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs
import numpy as np
from scipy.ndimage import binary_opening

from uni4d_shared.types import Array, Clip

__all__ = ["Backdrop", "on_even_ground"]

_BORDER = 0.04
"""Share of the smaller side."""
_LEAST, _MOST = 8, 64
"""Of 255: the smallest difference that shows the object (as in :mod:`uni4d.fourd.targets`), and the largest
that is taken for noise."""
_QUANTILE = 0.75
"""Share of the border that is certainly background: the object may leave the picture on one side."""
_SPREAD = 4.0
"""The tail of the noise, times that quantile."""


class Backdrop(NamedTuple):
    """What was found."""

    color: tuple[float, float, float]  # sRGB in [0, 1]
    noise: float  # difference up to which a pixel was taken for background, in [0, 1]

    def said(self) -> str:
        """For a person, e.g. ``"background #c8d2e6 (from the border of the frames)"``."""
        code = "".join(f"{round(255 * channel):02x}" for channel in self.color)
        return f"background #{code} (from the border of the frames, noise {self.noise:.0%})"


def on_even_ground(clip: Clip) -> tuple[Clip, Backdrop]:
    """``clip`` with the background that its border shows, all of one colour."""
    frames = clip.frames
    height, width = frames.shape[1:3]
    wide = max(round(_BORDER * min(height, width)), 1)
    inside = np.zeros((height, width), dtype=bool)
    inside[wide:-wide, wide:-wide] = True
    border = frames[:, ~inside]
    color = np.round(np.median(border.reshape(-1, 3), axis=0)).astype(np.int16)
    usual = float(np.quantile(_difference(border, color), _QUANTILE))
    threshold = min(max(_SPREAD * usual, _LEAST), _MOST)
    shown = _difference(frames, color) > threshold
    if threshold > _LEAST:
        shown = binary_opening(shown, np.ones((1, 2, 2), dtype=bool))
    even = np.where(shown[..., None], frames, color.astype(np.uint8))
    red, green, blue = (float(channel) / 255.0 for channel in color)
    found = Backdrop((red, green, blue), threshold / 255.0)
    return attrs.evolve(clip, frames=even, background=found.color), found


def _difference(pixels: Array, color: Array) -> Array:
    """The largest of the three channels', 0 to 255."""
    result: Array = np.abs(pixels.astype(np.int16) - color).max(axis=-1)
    return result
