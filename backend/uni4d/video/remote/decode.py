"""A downloaded video → some of its frames. Decoding is the check: what does not decode is no video."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array

__all__ = ["decode"]

_MAX_SIDE = 4_096
_MAX_FRAMES = 2_000
_MAX_BYTES = 2_000_000_000
"""Of the frames that are kept."""
_RATIO = 0.03
"""By which the frames' proportions may differ from the picture's: services round to whole macroblocks."""


def decode(
    data: bytes, fps: float, width: int, height: int, alive: Callable[[], None]
) -> tuple[Array, float]:
    """``[T, height, width, 3]`` uint8 frames, and how many there are a second: ``fps``, or as many as the
    video has."""
    import av

    if data[4:8] != b"ftyp":  # nothing else is opened: playlists could name other files
        raise _unreadable("it is no MP4 file")
    chosen: list[Array] = []
    try:
        with av.open(io.BytesIO(data), format="mp4") as container:
            if not container.streams.video:
                raise _unreadable("it has no pictures")
            stream = container.streams.video[0]
            _check_size(stream.width, stream.height, width, height)
            rate = float(stream.average_rate or fps)
            fps = min(fps, rate)
            for number, frame in enumerate(container.decode(stream)):
                alive()
                if number >= _MAX_FRAMES:
                    raise _unreadable(f"it has more than {_MAX_FRAMES} frames")
                if number * fps >= (len(chosen) - 1e-6) * rate:
                    if (len(chosen) + 1) * width * height * 3 > _MAX_BYTES:
                        raise _unreadable("its frames would fill 2 GB; make size or fps smaller")
                    chosen.append(frame.reformat(width, height, "rgb24").to_ndarray())
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise _unreadable(str(error)) from error
    if len(chosen) < 2:
        raise _unreadable("it holds no motion")
    return np.stack(chosen), fps


def _check_size(have_width: int, have_height: int, width: int, height: int) -> None:
    if not (0 < have_width <= _MAX_SIDE and 0 < have_height <= _MAX_SIDE):
        raise _unreadable(f"its frames are {have_width} × {have_height}")
    if abs(have_width * height / (have_height * width) - 1.0) > _RATIO:
        raise Uni4DError(
            "video-invalid",
            f"The service sent {have_width} × {have_height} frames for a picture of {width}:{height}.",
            "The 4D fit needs the picture's proportions: choose another video.remote.model.",
        )


def _unreadable(reason: str) -> Uni4DError:
    return Uni4DError("video-invalid", f"The service's video cannot be used: {reason}.", "Make it again.")
