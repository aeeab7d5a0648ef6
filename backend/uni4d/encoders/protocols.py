"""What every encoder gives: a sequence of tokens, and one pooled vector.

Attention needs tokens (a softmax over one pooled key is 1); search needs the pooled vector. All encoders
are frozen: they take numpy arrays and give numpy arrays, float32, without gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from attrs import frozen
from numpy.typing import NDArray

__all__ = ["Encoded", "ImageEncoder", "PointEncoder", "TextEncoder"]

Array = NDArray[Any]


@frozen(eq=False)
class Encoded:
    """A batch of encoded inputs."""

    pooled: Array
    """``[B, D]`` float32: unit vectors of texts and of contrastive image and point encoders; rectified
    activations of the local image encoder."""
    tokens: Array
    """``[B, L, D]`` float32; zeros where ``mask`` is false."""
    mask: Array
    """``[B, L]`` bool: which tokens are real."""


class TextEncoder(Protocol):
    """Sentences to vectors."""

    name: str
    dimensions: int

    def encode(self, texts: Sequence[str]) -> Encoded: ...


class ImageEncoder(Protocol):
    """Pictures to vectors."""

    name: str
    dimensions: int

    def encode(self, images: Array) -> Encoded:
        """``images`` ``[B, H, W, 4]`` uint8 sRGB with straight alpha, or ``[B, H, W, 3]``."""
        ...


class PointEncoder(Protocol):
    """Coloured point clouds to vectors."""

    name: str
    dimensions: int

    def encode(self, points: Array, colors: Array) -> Encoded:
        """``points`` ``[B, N, 3]`` Y-up in the unit ball; ``colors`` ``[B, N, 3]`` sRGB in [0, 1]."""
        ...
