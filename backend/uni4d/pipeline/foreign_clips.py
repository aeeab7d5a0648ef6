"""A video of one's own, as a client sends it → a clip that the fit takes and a panel can play."""

from __future__ import annotations

import math

from uni4d.fourd.foreign import prepared
from uni4d.video.decoding import Undecodable, decode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import ReadClipRequest, ReadClipResult
from uni4d_shared.progress import Progress
from uni4d_shared.types import Clip

__all__ = ["MOST_FRAMES", "read_foreign"]

MOST_FRAMES = 240
"""Of the clip: more would keep a fit busy for hours."""
_FPS, _SIZE = (0.1, 120.0), (32, 2_048)


def read_foreign(request: ReadClipRequest, progress: Progress) -> ReadClipResult:
    """Decode, make smaller, and find the background and the camera."""
    _check(request)
    try:
        frames, fps = decode(
            request.video,
            request.fps,
            lambda width, height: _within(request.size, width, height),
            lambda number: progress(0.8 * number / (number + 100.0), f"frame {number + 1}"),
            start=request.start,
            seconds=request.seconds or math.inf,
        )
    except Undecodable as error:
        raise Uni4DError(
            "video-invalid",
            f"{request.name or 'The video'} cannot be used: {error}.",
            "Choose an MP4, MOV, MKV or WebM file with at least two frames in the part that is taken.",
        ) from error
    if len(frames) > MOST_FRAMES:
        raise Uni4DError(
            "video-too-large",
            f"{request.name or 'The video'} has {len(frames)} frames at {fps:g} a second; a fit takes at "
            f"most {MOST_FRAMES}.",
            "Take a shorter part of it, or fewer frames a second.",
        )
    progress(0.8, "finding the background and the camera")
    clip = Clip(frames, fps, description=request.name)
    (known,), found = prepared([clip], request.views, request.alignment.key_view)
    progress(1.0, f"{len(frames)} frames")
    return ReadClipResult(known, found)


def _check(request: ReadClipRequest) -> None:
    wrong = ""
    if not _FPS[0] <= request.fps <= _FPS[1]:
        wrong = f"fps is {request.fps:g}, not {_FPS[0]:g} to {_FPS[1]:g}"
    elif not _SIZE[0] <= request.size <= _SIZE[1]:
        wrong = f"size is {request.size}, not {_SIZE[0]} to {_SIZE[1]}"
    elif not (0.0 <= request.start < math.inf and 0.0 <= request.seconds < math.inf):
        wrong = f"the part from {request.start:g} s on for {request.seconds:g} s is none"
    if wrong:
        raise Uni4DError("bad-setting", f"The video cannot be read so: {wrong}.", "Choose another value.")


def _within(most: int, width: int, height: int) -> tuple[int, int]:
    """The size with the longer side no longer than that; even, as codecs and coarser levels like it."""
    factor = min(most / max(width, height), 1.0)
    return max(2 * round(0.5 * factor * width), 2), max(2 * round(0.5 * factor * height), 2)
