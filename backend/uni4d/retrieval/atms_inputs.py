"""What ATMS reads, made from the frozen encoders' outputs; the same for training and for search.

``text``    the text encoder's tokens
``views``   one token per picture: square roots of its rectified image features, whose skew they remove
``points``  the point encoder's class token and its first patches
``size``    one token: logarithms of width, depth and height in metres, with their squares and products
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.encoders.protocols import Encoded
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import Sequences, Tokens

__all__ = [
    "SIZE_WIDTH",
    "feature_sequences",
    "picture_tokens",
    "size_tokens",
    "standard_log_sizes",
    "text_tokens",
]

Array = NDArray[Any]

SIZE_WIDTH = 9
_POINT_TOKENS = 9
"""Of the point encoder's: its patches come in the order of farthest points, so that the first eight cover an
object as evenly as all do, at a quarter of the cost."""
_TYPICAL, _SPREAD = np.log(0.5), 1.2
"""Centre and scale of the logarithm of an extent in metres: from a cup (8 cm) to a car (4 m) within ±2."""
_SMALLEST, _LARGEST = 0.005, 50.0


def text_tokens(encoded: Encoded) -> Sequences:
    """Encoded sentences."""
    return {"text": Tokens(torch.from_numpy(encoded.tokens), torch.from_numpy(encoded.mask))}


def picture_tokens(views: Array) -> Tokens:
    """Image features ``[B, V, E]``, non-negative, one token per picture."""
    values = torch.from_numpy(np.sqrt(np.maximum(views, 0.0)).astype(np.float32))
    return Tokens(values, _all_real(values))


def standard_log_sizes(sizes: Array) -> Array:
    """Logarithms ``[B, 3]`` of extents in metres, about 0 for half a metre and within ±2 from cup to car."""
    logarithms: Array = (np.log(np.clip(sizes, _SMALLEST, _LARGEST)) - _TYPICAL) / _SPREAD
    return logarithms


def size_tokens(sizes: Array) -> Tokens:
    """Extents ``[B, 3]`` in metres; an item without a size (zeros) has no token."""
    logarithms = standard_log_sizes(sizes)
    width, depth, height = np.moveaxis(logarithms, 1, 0)
    values = np.stack(
        [
            *(width, depth, height),
            *(width**2 - 1.0, depth**2 - 1.0, height**2 - 1.0),
            *(width * depth, width * height, depth * height),
        ],
        axis=1,
    )
    known = np.any(sizes > 0, axis=1)
    values = np.where(known.reshape(-1, 1), values, 0.0).astype(np.float32)
    return Tokens(torch.from_numpy(values)[:, None], torch.from_numpy(known).view(-1, 1))


def feature_sequences(features: AssetFeatures, inputs: Iterable[str]) -> Sequences:
    """What is known of assets besides their texts, as far as a model has ``inputs`` for it."""
    points = torch.from_numpy(np.ascontiguousarray(features.points[:, :_POINT_TOKENS], np.float32))
    known = {
        "points": Tokens(points, _all_real(points)),
        "views": picture_tokens(features.views),
        "size": size_tokens(features.sizes),
    }
    return {name: tokens for name, tokens in known.items() if name in set(inputs)}


def _all_real(values: Tensor) -> Tensor:
    return torch.ones(values.shape[:2], dtype=torch.bool)
