"""A downloaded video → some of its frames, which have the proportions of the picture that was sent."""

from __future__ import annotations

from collections.abc import Callable

from uni4d.video import decoding
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array

__all__ = ["decode"]

_RATIO = 0.03
"""By which the frames' proportions may differ from the picture's: services round to whole macroblocks."""


def decode(
    data: bytes, fps: float, width: int, height: int, alive: Callable[[], None]
) -> tuple[Array, float]:
    """``[T, height, width, 3]`` uint8 frames, and how many there are a second: ``fps``, or as many as the
    video has."""

    def sized(have_width: int, have_height: int) -> tuple[int, int]:
        if abs(have_width * height / (have_height * width) - 1.0) > _RATIO:
            raise Uni4DError(
                "video-invalid",
                f"The service sent {have_width} × {have_height} frames for a picture of {width}:{height}.",
                "The 4D fit needs the picture's proportions: choose another video.remote.model.",
            )
        return width, height

    try:
        return decoding.decode(data, fps, sized, lambda number: alive())
    except decoding.Undecodable as error:
        raise Uni4DError(
            "video-invalid", f"The service's video cannot be used: {error}.", "Make it again."
        ) from error
