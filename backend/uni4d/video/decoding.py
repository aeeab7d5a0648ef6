"""The bytes of a video that came over a network → some of its frames.

Decoding is the check: what does not decode is no video. Only files that hold their own pictures are opened;
playlists could name other files.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from uni4d_shared.types import Array

__all__ = ["MAX_FRAMES", "Undecodable", "decode"]

MAX_FRAMES = 2_000
"""Of the video, and with it of what is kept."""
_MAX_SIDE = 4_096
_MAX_BYTES = 2_000_000_000
"""Of the frames that are kept."""
_MATROSKA = b"\x1a\x45\xdf\xa3"


class Undecodable(Exception):
    """The video cannot be used; the message says why, as the end of a sentence."""


def decode(
    data: bytes,
    fps: float,
    sized: Callable[[int, int], tuple[int, int]],
    alive: Callable[[int], None],
    *,
    start: float = 0.0,
    seconds: float = float("inf"),
) -> tuple[Array, float]:
    """``[T, H, W, 3]`` uint8 frames, and how many there are a second: ``fps``, or as many as the video has.

    ``sized``: from the video's width and height to those that are wanted. ``alive``: told the number of each
    frame; may raise to stop. Only ``seconds`` of the video from ``start`` on are kept.
    """
    import av

    chosen: list[Array] = []
    try:
        with av.open(io.BytesIO(data), format=_container(data)) as container:
            if not container.streams.video:
                raise Undecodable("it has no pictures")
            stream = container.streams.video[0]
            if not (0 < stream.width <= _MAX_SIDE and 0 < stream.height <= _MAX_SIDE):
                raise Undecodable(f"its frames are {stream.width} × {stream.height}")
            width, height = sized(stream.width, stream.height)
            rate = float(stream.average_rate or fps)
            fps = min(fps, rate)
            first = round(start * rate)
            for number, frame in enumerate(container.decode(stream)):
                alive(number)
                if number >= MAX_FRAMES:
                    raise Undecodable(f"it has more than {MAX_FRAMES} frames")
                if number - first >= seconds * rate:
                    break
                if number >= first and (number - first) * fps >= (len(chosen) - 1e-6) * rate:
                    if (len(chosen) + 1) * width * height * 3 > _MAX_BYTES:
                        raise Undecodable("its frames would fill 2 GB; make size or fps smaller")
                    chosen.append(frame.reformat(width, height, "rgb24").to_ndarray())
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise Undecodable(str(error)) from error
    if len(chosen) < 2:
        raise Undecodable("it holds no motion")
    return np.stack(chosen), fps


def _container(data: bytes) -> str:
    """FFmpeg's name for the format, which it then does not guess."""
    if data[4:8] == b"ftyp":
        return "mp4"
    if data[:4] == _MATROSKA:
        return "matroska"
    raise Undecodable("it is no MP4, MOV, MKV or WebM file")
