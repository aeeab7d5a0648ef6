"""What is compared: an :class:`Arm` learns from training objects and embeds texts and objects alike.

Whatever an arm is (neighbours, a matrix, ATMS), what comes out are unit vectors whose cosine orders the
gallery, so that every arm answers the same tasks by the same code. An arm chooses its settings on the
validation objects and never sees a test object before it embeds the gallery. Arms in closed form, which need
the validation objects for nothing else, then learn from these as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from attrs import fields, frozen
from numpy.typing import NDArray

from uni4d.evaluation.metrics import best_ranks
from uni4d.evaluation.tasks import name_key
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import Progress

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["BLOCKS", "Arm", "Block", "Centred", "Sentences", "name_mrr", "raw_block", "together", "unit"]

Array = NDArray[Any]


class Arm(Protocol):
    """One row of the tables."""

    name: str
    title: str
    reads_texts: bool
    """Whether the gallery's vectors are made from the objects' words: then it is a reference, no rival."""

    @property
    def known_names(self) -> frozenset[str]:
        """Names that it learnt from besides those of the library's training objects."""
        ...

    def settings(self) -> dict[str, Any]:
        """Everything besides the objects and the seed that decides what it learns, as plain values."""
        ...

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        """Learn; return what was chosen on the validation objects, for the report."""
        ...

    def embed_assets(self, features: AssetFeatures) -> Array:
        """``[N, E]`` float32 unit vectors; each depends on its own object only."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Array:
        """``[Q, E]`` float32 unit vectors; each depends on its own text only."""
        ...


class Sentences:
    """A text encoder's pooled vectors; every text is encoded once."""

    def __init__(self, encoder: TextEncoder) -> None:
        self.encoder = encoder
        self._vectors: dict[str, Array] = {}

    def __call__(self, texts: Sequence[str]) -> Array:
        """``[N, D]`` float32 unit."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if missing:
            self._vectors.update(zip(missing, self.encoder.encode(missing).pooled, strict=True))
        return (
            np.stack([self._vectors[text] for text in texts])
            if texts
            else np.zeros((0, self.encoder.dimensions), np.float32)
        )


Block = str
BLOCKS: tuple[Block, ...] = ("points", "views", "size")
"""What is known of an object besides its words."""


def raw_block(features: AssetFeatures, block: Block) -> Array:
    """``[N, D]`` float32: one vector per object.

    ``points``: the class token. ``views``: square roots of the rectified image features (their skew goes),
    averaged over the views. ``size``: logarithms of the extents with their squares and products.
    """
    if block == "points":
        return features.points[:, 0].astype(np.float32)
    if block == "views":
        return np.sqrt(np.maximum(features.views, 0.0)).mean(axis=1, dtype=np.float32)
    if block == "size":
        from uni4d.retrieval.atms_inputs import size_tokens

        return size_tokens(features.sizes).values[:, 0].numpy()
    raise ValueError(f"there is no block {block!r}; known: {', '.join(BLOCKS)}")


@frozen(eq=False)
class Centred:
    """One block, centred on the training objects' mean, at unit length."""

    block: Block
    mean: Array

    @classmethod
    def on(cls, train: AssetFeatures, block: Block) -> Centred:
        return cls(block, raw_block(train, block).mean(axis=0))

    def __call__(self, features: AssetFeatures) -> Array:
        """``[N, D]`` float32 unit."""
        return unit(raw_block(features, self.block) - self.mean)


def together(first: AssetFeatures, second: AssetFeatures) -> AssetFeatures:
    """The objects of both, ``first``'s first."""
    joined: dict[str, Any] = {}
    for name in (field.name for field in fields(AssetFeatures)):
        one, other = getattr(first, name), getattr(second, name)
        joined[name] = np.concatenate([one, other]) if isinstance(one, np.ndarray) else (*one, *other)
    return AssetFeatures(**joined)


def unit(vectors: Array) -> Array:
    """Vectors at unit length; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def name_mrr(texts: Array, objects: Array, features: AssetFeatures) -> float:
    """Mean reciprocal rank of retrieval by name; what settings are chosen by on the validation objects.

    ``texts`` and ``objects``, both ``[N, E]``, belong to the names and the objects of ``features``.
    """
    names = np.array([name_key(name) for name in features.names], dtype=object)
    groups = np.array(features.groups, dtype=object)
    right = (names[:, None] == names[None]) | (groups[:, None] == groups[None])
    return float((1.0 / (1.0 + best_ranks(texts @ objects.T, right))).mean())
