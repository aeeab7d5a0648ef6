"""Baselines that learn nothing: transfer through neighbours, and the objects' own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from uni4d.evaluation.arms import Block, Centred, Sentences, name_mrr, together, unit
from uni4d.evaluation.tasks import described
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import Progress

__all__ = ["Captions", "NeighbourTransfer"]

Array = NDArray[Any]


@define(eq=False)
class NeighbourTransfer:
    """k-NN on raw features: what do objects look like whose words are nearest to the query's?

    A query is answered by the mean feature of the k known objects with the most similar text (their
    names and their full texts, whichever is nearer), compared by cosine with the gallery's features. Several
    blocks are fused by the sum of their cosines, which is the cosine of the blocks laid end to end.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]
    sentences: Sentences
    choices: tuple[int, ...] = (1, 2, 3, 5, 8, 13)
    """Candidates for k."""
    reads_texts: bool = False
    known_names: frozenset[str] = frozenset()
    _neighbours: int = field(init=False, default=1)
    _centred: list[Centred] = field(init=False, factory=list)
    _texts: Array = field(init=False, factory=lambda: np.zeros((0, 0, 0)))
    _objects: Array = field(init=False, factory=lambda: np.zeros((0, 0)))

    def settings(self) -> dict[str, Any]:
        return {"kind": "neighbours", "blocks": self.blocks, "choices": self.choices}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        self._remember(train)
        gallery, quality = self.embed_assets(validation), {}
        for count in self.choices:
            self._neighbours = count
            quality[count] = name_mrr(self.embed_texts(validation.names), gallery, validation)
        self._neighbours = max(quality, key=lambda count: quality[count])
        self._remember(together(train, validation))
        return {"k": self._neighbours, "validation_mrr": quality[self._neighbours]}

    def _remember(self, known: AssetFeatures) -> None:
        self._centred = [Centred.on(known, block) for block in self.blocks]
        self._texts = np.stack([self.sentences(known.names), self.sentences(described(known))])
        self._objects = self.embed_assets(known)

    def embed_assets(self, features: AssetFeatures) -> Array:
        return unit(np.concatenate([centred(features) for centred in self._centred], axis=1))

    def embed_texts(self, texts: Sequence[str]) -> Array:
        near = (self.sentences(texts) @ self._texts.transpose(0, 2, 1)).max(axis=0)
        chosen = np.argsort(-near, axis=1, kind="stable")[:, : self._neighbours]
        return unit(self._objects[chosen].mean(axis=1))


@define(eq=False)
class Captions:
    """The objects' words against the query's, by the text encoder: no geometry, no appearance.

    Not a rival of the others, which do without the gallery's words, but what words alone can do.
    """

    sentences: Sentences
    name: str = "captions"
    title: str = "captions (reads the gallery's words)"
    reads_texts: bool = True
    known_names: frozenset[str] = frozenset()

    def settings(self) -> dict[str, Any]:
        return {"kind": "captions"}

    def fit(
        self, train: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        return {}

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self.sentences(described(features))

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self.sentences(texts)
