"""A video that nobody made for the fit: what must be known of it is estimated, and all that is said.

The one door for such videos: the command line and the server both come through here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from uni4d.fourd.backdrop import on_even_ground
from uni4d.fourd.framing import camera_of
from uni4d_shared.types import Clip, ViewSet

__all__ = ["explained", "prepared", "says_explained"]


def prepared(clips: Sequence[Clip], views: ViewSet, view: int) -> tuple[tuple[Clip, ...], tuple[str, ...]]:
    """The clips as the fit takes them, and for a person what was found out about one without a camera.

    Such a clip starts as ``views[view]`` is. Several clips need their cameras; the fit says so.
    """
    if len(clips) != 1 or clips[0].camera is not None:
        return tuple(clips), ()
    even, backdrop = on_even_ground(clips[0])
    camera = camera_of(even, views, view)
    zoom = camera.intrinsics[0, 0] / views.cameras[view].intrinsics[0, 0]
    name = even.description or "the video"
    said = f"{name}: {backdrop.said()}; camera of the key view at {zoom:.2f} of its size"
    return (attrs.evolve(even, camera=camera),), (said,)


def explained(metrics: Mapping[str, float]) -> float:
    """How much of what the object at rest leaves unexplained the motion explains: a share of the squared
    error, from the fit's metrics."""
    still, moved = metrics["psnr_foreground_static"], metrics["psnr_foreground"]
    return float(max(1.0 - 10.0 ** ((still - moved) / 10.0), 0.0))


def says_explained(metrics: Mapping[str, float]) -> str:
    """:func:`explained` for a person."""
    still, moved = metrics["psnr_foreground_static"], metrics["psnr_foreground"]
    return (
        f"The motion explains {explained(metrics):.0%} of the difference between the clip and the object at "
        f"rest ({still:.1f} → {moved:.1f} dB)."
    )
