"""The three-level alignment of text T, 3D asset M and its photographs I (Uni4D §3.4).

    L_align = λ₁ (1 − cos(T, M)) + λ₂ (1 − cos(M, I)) + λ₃ (1 − cos(I, T)),    A = exp(−L_align)

All three live in the joint space of retrieval; I is the answer of CrOSSMA
(:mod:`uni4d.alignment.crossma`), which also says how well each view shows what the text says. The weights
of the views are its attention a with a prior p over viewpoints, w_v ∝ a_v p_v: a text says little about
where one stands, but people agree on it. They choose the front three-quarter view from slightly above
(Palmer, Rosch & Chase 1981, *Canonical perspective and the perception of objects*). p is a von Mises-Fisher
density about that direction; without cameras it is flat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from uni4d.config import AlignConfig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Alignment, Camera, Query

__all__ = ["CANONICAL_DIRECTION", "Seen", "align", "canonical_prior", "percentile_of", "said_alignment"]

CANONICAL_DIRECTION = np.array(
    [
        math.cos(math.radians(15.0)) * math.cos(math.radians(-60.0)),
        math.cos(math.radians(15.0)) * math.sin(math.radians(-60.0)),
        math.sin(math.radians(15.0)),
    ]
)
"""From the object towards the camera of the canonical view: the object's front is −Y, 30° off it, 15° up."""

_CANONICAL_CONCENTRATION = 4.0
"""κ of the prior over viewpoints: a view 90° off the canonical one is e⁻⁴ times as likely."""


@frozen(eq=False)
class Seen:
    """What CrOSSMA makes of the views of an object, asked by a text."""

    vector: ArrayLike
    """I: ``[D]`` in the joint space."""
    attention: ArrayLike
    """``[V]``, positive: how well each view shows what the text says."""
    tokens: NDArray[Any]
    """``[K, C]`` for the video model."""


def align(
    query: Query,
    asset_embedding: ArrayLike,  # [D]
    seen: Seen,
    text_embedding: ArrayLike,  # [D]
    config: AlignConfig,
    *,
    cameras: Sequence[Camera] = (),
    mismatched: ArrayLike = (),
) -> Alignment:
    """The three cosines, the loss, the score, what it means, and the weights over views.

    Embeddings need not be unit vectors. ``cameras`` (one per view, looking at the object) switch the prior
    over viewpoints on; without them attention alone decides. ``mismatched`` is the scale of
    :class:`~uni4d.alignment.weights.CrossmaWeights` for the percentile. A vector of zero length, or vectors
    of different sizes, are a ``Uni4DError("embedding-invalid")`` that names the prompt.
    """
    text = _unit(text_embedding, "text", query)
    asset = _unit(asset_embedding, "asset", query)
    image = _unit(seen.vector, "views", query)
    attention = np.asarray(seen.attention, np.float64)
    if not text.shape == asset.shape == image.shape or attention.ndim != 1 or not len(attention):
        raise Uni4DError(
            "embedding-invalid",
            f"Aligning “{query.prompt}”: text {list(text.shape)}, asset {list(asset.shape)} and views "
            f"{list(image.shape)} are not vectors of one space (expected [D] each).",
            "Take all three from one TextShapeSpace.",
        )
    if cameras and len(cameras) != len(attention):
        raise ValueError(f"align: {len(attention)} views but {len(cameras)} cameras")
    weights = attention * canonical_prior(cameras) if cameras else attention
    weights = weights / weights.sum()

    cosines = (float(text @ asset), float(asset @ image), float(image @ text))
    levels = (config.text_shape, config.shape_image, config.image_text)
    loss = sum(level * (1.0 - cosine) for level, cosine in zip(levels, cosines, strict=True))
    return Alignment(
        text_shape=cosines[0],
        shape_image=cosines[1],
        image_text=cosines[2],
        loss=loss,
        score=math.exp(-loss),
        view_weights=weights,
        key_view=int(np.argmax(weights)),
        percentile=percentile_of(3.0 - sum(cosines), mismatched),
        tokens=seen.tokens,
    )


def percentile_of(loss: float, mismatched: ArrayLike) -> float | None:
    """How many of 100 pairs that do not belong together have a larger L_align (all λ = 1); ``None`` without
    a scale, whose entries lie at equal shares, ascending."""
    scale = np.asarray(mismatched, np.float64)
    if not len(scale):
        return None
    return 100.0 * (1.0 - float(np.interp(loss, scale, np.linspace(0.0, 1.0, len(scale)))))


def said_alignment(told: Mapping[str, Any]) -> str:
    """The score and what it means, in words, from an alignment as plain values."""
    percentile, said = told.get("percentile"), f"{told['score']:.2f}"
    if percentile is None:
        return said
    return f"{said}, better than {min(math.floor(percentile), 99)} of 100 that do not belong together"


def canonical_prior(cameras: Sequence[Camera]) -> NDArray[np.float64]:
    """How likely a person stands at each camera: ``[V]``, sums to 1, von Mises-Fisher about the canonical
    view."""
    backward = np.stack([-camera.world_to_camera[2, :3] for camera in cameras])
    return _softmax(_CANONICAL_CONCENTRATION * backward @ CANONICAL_DIRECTION)


def _unit(vectors: ArrayLike, name: str, query: Query) -> NDArray[np.float64]:
    array = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(array, axis=-1, keepdims=True)
    if not np.all(np.isfinite(length)) or np.any(length < 1e-9):
        raise Uni4DError(
            "embedding-invalid",
            f"Aligning “{query.prompt}”: the {name} embedding has no direction (zero or not finite).",
            "Rebuild the library: `uni4d library build --force`.",
        )
    return array / length


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()
