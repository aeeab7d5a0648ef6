"""Vectors like those of a large gallery of captions, for the benchmarks of search.

Real ones first: MiniLM's embeddings of WordNet's names with their glosses (*anchors*), and of the bare names
of other things (*queries*, which are no members of the gallery). A gallery of any size is then drawn around
the anchors; each vector is

    x = u / |u|,   u = a_i + w a_j + 0.6 n,   i, j random anchors, w ~ U(0, ½), n ~ N(0, C)

where C is the anchors' covariance: a mixture whose noise has the decaying spectrum of real text vectors.
Uniform noise would be another, easier or harder, problem depending on the index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.config import default_cache

__all__ = ["PhraseVectors", "phrase_vectors"]

Array = NDArray[Any]

_NOISE = 0.6
_BATCH = 16_384


@frozen(eq=False)
class PhraseVectors:
    """Where galleries are drawn from."""

    anchors: Array
    """``[A, D]`` float32 unit."""
    queries: Array
    """``[Q, D]`` float32 unit."""

    @property
    def dimensions(self) -> int:
        return int(self.anchors.shape[1])

    def batches(self, count: int, seed: int = 0) -> Iterator[Array]:
        """``count`` unit vectors in pieces of ``[≤ 16384, D]`` float32, the same for the same seed."""
        random = np.random.default_rng(seed)
        values, vectors = np.linalg.eigh(np.cov(self.anchors.T))
        spread = (vectors * np.sqrt(np.maximum(values, 0.0))).astype(np.float32)
        for start in range(0, count, _BATCH):
            size = min(_BATCH, count - start)
            first, second = random.integers(len(self.anchors), size=(2, size))
            weight = random.uniform(0.0, 0.5, size=(size, 1)).astype(np.float32)
            noise = random.standard_normal((size, self.dimensions), dtype=np.float32) @ spread.T
            drawn = self.anchors[first] + weight * self.anchors[second] + _NOISE * noise
            yield drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def gallery(self, count: int, seed: int = 0) -> Array:
        """The batches as one array ``[count, D]``."""
        gallery = np.empty((count, self.dimensions), np.float32)
        start = 0
        for batch in self.batches(count, seed):
            gallery[start : start + len(batch)] = batch
            start += len(batch)
        return gallery


def phrase_vectors(anchors: int = 4_096, queries: int = 300) -> PhraseVectors:
    """The embeddings; made once (a minute), then kept in the cache."""
    path = default_cache() / "benchmarks" / f"phrases-{anchors}-{queries}.npz"
    if not path.is_file():
        from uni4d.retrieval.wordnet import wordnet

        senses = wordnet()
        chosen = np.random.default_rng(0).permutation(len(senses))[: anchors + queries]
        glossed = [senses.sense(int(number)) for number in chosen]
        texts = [f"{sense.name}, {sense.gloss}" for sense in glossed[:anchors]]
        names = [sense.name for sense in glossed[anchors:]]
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, anchors=_embedded(texts), queries=_embedded(names))
    with np.load(path, allow_pickle=False) as archive:
        return PhraseVectors(archive["anchors"], archive["queries"])


def _embedded(texts: Sequence[str]) -> Array:
    from uni4d.encoders.local.minilm import MiniLM

    encoder = MiniLM()
    return np.concatenate([encoder.encode(texts[at : at + 64]).pooled for at in range(0, len(texts), 64)])
