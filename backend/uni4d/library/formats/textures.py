"""Decoding of texture images, with bounds."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from uni4d.library.geometry import Texture

__all__ = ["MAX_PIXELS", "decode_texture", "encode_png", "with_alpha_from"]

MAX_PIXELS = 8192 * 8192
"""The largest texture that is decoded."""

_KEPT = {"PNG": "image/png", "JPEG": "image/jpeg"}
"""Formats that glTF can hold as they are; others are written again as PNG."""


def decode_texture(data: bytes) -> Texture:
    """The image in ``data``; ``ValueError`` when it is no image or too large."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"the image has {image.width}×{image.height} pixels; that is refused")
            media_type = _KEPT.get(image.format or "", "")
            pixels = np.asarray(image.convert("RGBA"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"an image cannot be decoded: {error}") from error
    if media_type:
        return Texture(pixels, data, media_type)
    return Texture(pixels, encode_png(pixels), "image/png")


def encode_png(pixels: np.ndarray) -> bytes:
    """``pixels`` ``[H, W, 4]`` uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def with_alpha_from(texture: Texture, mask: Texture) -> Texture:
    """``texture`` whose alpha is the mask's alpha, or its red channel when it has none (MTL's ``map_d``)."""
    channel = mask.pixels[..., 3] if mask.has_alpha else mask.pixels[..., 0]
    height, width = texture.pixels.shape[:2]
    if channel.shape != (height, width):
        channel = np.asarray(Image.fromarray(channel).resize((width, height)))
    pixels = texture.pixels.copy()
    pixels[..., 3] = channel
    return Texture(pixels, encode_png(pixels), "image/png")
