"""Motions of light: colours change, nothing moves.

Colours are sRGB in [0, 1]; weights are looked up at rest. A lit surface is mixed towards a warm white and a
dark one towards black, in sRGB, which is how the frames are blended too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from uni4d.video.body import Body
from uni4d.video.program import Track
from uni4d.video.timing import ease, hump

__all__ = ["LIGHTS"]

Array = NDArray[np.float64]

WARM = np.array([1.0, 0.86, 0.42])


def _lit(colors: Array, weights: Array, amount: float) -> Array:
    """Brighter by ``amount`` (0 … 1) where ``weights`` ``[N]`` says, and warmer."""
    share = (amount * weights)[:, None]
    glow = 0.35 * np.clip(1.9 * colors, 0.0, 1.0) + 0.65 * WARM
    return colors * (1.0 - share) + glow * share


def _dark(colors: Array, weights: Array, amount: float) -> Array:
    return colors * (1.0 - 0.95 * (amount * weights)[:, None])


def light_up(colors: Array, weights: Array, track: Track, phase: float) -> Array:
    """Comes on with a short flicker and stays on."""
    flicker = 0.35 * hump(phase / 0.18) if phase < 0.18 else 0.0
    return _lit(colors, weights, min(track.amplitude, 1.0) * max(ease((phase - 0.15) / 0.3), flicker))


def blink(colors: Array, weights: Array, track: Track, phase: float) -> Array:
    """On and off, with the short rise and fall of a lamp."""
    place = phase % 1.0
    on = ease(place / 0.2) * ease((0.6 - place) / 0.2)
    return _lit(colors, weights, min(track.amplitude, 1.0) * on)


def glow(colors: Array, weights: Array, track: Track, phase: float) -> Array:
    """Swells and dies like embers."""
    return _lit(colors, weights, min(track.amplitude, 1.0) * hump(phase))


def fade(colors: Array, weights: Array, track: Track, phase: float) -> Array:
    """Grows dark and stays dark."""
    return _dark(colors, weights, min(track.amplitude, 1.0) * ease(phase / 0.9))


LIGHTS = {"light_up": light_up, "blink": blink, "glow": glow, "fade": fade}


def weights_of(part: str, rest: Array, body: Body) -> Array:
    """``[N]`` where a light verb acts: the head (a lamp's shade) or everywhere."""
    return body.head.weight(rest) if part == "head" else np.ones(len(rest))
