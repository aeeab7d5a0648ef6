"""A picture that somebody searches with: read, bounded, cut out from a plain background."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError

__all__ = ["MAX_BYTES", "MAX_PIXELS", "read_picture"]

Array = NDArray[Any]

MAX_BYTES = 32 << 20
MAX_PIXELS = 64_000_000
_SIDE = 512
"""Pixels of the longer side that are kept; the image encoder sees fewer."""
_PLAIN = 12
"""How much nearly all of a picture's border may vary, of 255, to be a plain background."""


def read_picture(data: bytes) -> Array:
    """PNG or JPEG bytes to ``[H, W, 4]`` uint8 sRGB with straight alpha, the longer side at most 512.

    The alpha of a picture without one is 0 on a plain background and 255 elsewhere.
    """
    from PIL import Image, UnidentifiedImageError

    if len(data) > MAX_BYTES:
        raise _unreadable(f"it has {len(data)} bytes, and at most {MAX_BYTES} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # bounded here, more strictly
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise _unreadable(f"{picture.width} × {picture.height} pixels are too many")
                picture.draft("RGB", (2 * _SIDE, 2 * _SIDE))
                picture.thumbnail((_SIDE, _SIDE))
                pixels = np.array(picture.convert("RGBA"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(str(error)) from error
    if pixels[..., 3].min() == 255:
        pixels[..., 3] = np.where(_background(pixels[..., :3]), 0, 255)
    return pixels


def _background(pixels: Array) -> Array:
    """Where the picture has the colour of its border, if that is of one colour: ``[H, W]`` bool."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    if np.percentile(np.abs(border - colour).max(axis=1), 95) > _PLAIN:
        return np.zeros(pixels.shape[:2], dtype=bool)
    plain = np.abs(pixels.astype(np.int16) - colour).max(axis=2) <= _PLAIN
    return plain if not plain.all() else np.zeros_like(plain)


def _unreadable(reason: str) -> Uni4DError:
    return Uni4DError(
        "image-unreadable", f"The picture cannot be read: {reason}.", "Give a PNG or JPEG file."
    )
