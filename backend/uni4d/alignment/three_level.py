"""The three-level alignment of text T, 3D asset M and its photographs I (Uni4D §3.4).

    L_align = λ₁ (1 − cos(T, M)) + λ₂ (1 − cos(M, I)) + λ₃ (1 − cos(I, T)),    A = exp(−L_align)

All three live in one joint embedding space (:class:`uni4d.retrieval.embedding.TextShapeSpace`). I is the
views' embeddings pooled with the weights that the text gives them:

    w = softmax(cos(I_v, T) / θ + log p_v),    I = Σ_v w_v I_v / |Σ_v w_v I_v|

with θ = ``AlignConfig.view_temperature``. p is a prior over viewpoints: a text says little about where
one stands (its cosine hardly differs from view to view of one object), but people agree on it. They choose
the front three-quarter view from slightly above (Palmer, Rosch & Chase 1981, *Canonical perspective and
the perception of objects*). p is a von Mises-Fisher density about that direction; without cameras it is flat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d.config import AlignConfig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Alignment, Camera, Query

__all__ = ["CANONICAL_DIRECTION", "align", "canonical_prior"]

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


def align(
    query: Query,
    asset_embedding: ArrayLike,  # [D]
    image_embeddings: ArrayLike,  # [V, D]
    text_embedding: ArrayLike,  # [D]
    config: AlignConfig,
    *,
    cameras: Sequence[Camera] = (),
) -> Alignment:
    """The three cosines, the loss, the score and the weights over views.

    Embeddings need not be unit vectors. ``cameras`` (one per view, looking at the object) switch the prior
    over viewpoints on; without them the text alone decides. A vector of zero length, or vectors of different
    sizes, are a ``Uni4DError("embedding-invalid")`` that names the prompt.
    """
    text = _unit(text_embedding, "text", query)
    asset = _unit(asset_embedding, "asset", query)
    images = _unit(image_embeddings, "views", query)
    if images.ndim != 2 or not len(images) or not text.shape == asset.shape == images.shape[1:]:
        raise Uni4DError(
            "embedding-invalid",
            f"Aligning “{query.prompt}”: text {list(text.shape)}, asset {list(asset.shape)} and views "
            f"{list(images.shape)} are not vectors of one space (expected [D], [D], [V, D]).",
            "Take all three from one TextShapeSpace.",
        )
    if cameras and len(cameras) != len(images):
        raise ValueError(f"align: {len(images)} views but {len(cameras)} cameras")

    logits = images @ text / config.view_temperature
    if cameras:
        logits = logits + np.log(canonical_prior(cameras))
    weights = _softmax(logits)
    pooled = weights @ images
    # Views that point in exactly opposite directions could cancel; then no pooled image exists.
    image = _unit(pooled, "pooled views", query)

    text_shape, shape_image, image_text = float(text @ asset), float(asset @ image), float(image @ text)
    loss = (
        config.text_shape * (1.0 - text_shape)
        + config.shape_image * (1.0 - shape_image)
        + config.image_text * (1.0 - image_text)
    )
    return Alignment(
        text_shape=text_shape,
        shape_image=shape_image,
        image_text=image_text,
        loss=loss,
        score=math.exp(-loss),
        view_weights=weights,
        key_view=int(np.argmax(weights)),
    )


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
