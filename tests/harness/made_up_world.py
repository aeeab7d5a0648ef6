"""A small made-up world to train on: names, and features that are a noisy view of what the names mean."""

from __future__ import annotations

import numpy as np

from uni4d.encoders.protocols import Encoded
from uni4d.library.features import AssetFeatures

__all__ = ["WIDTH", "WordVectors", "made_up"]

WIDTH = 24


class WordVectors:
    """A text encoder whose tokens are fixed random vectors of the words."""

    name, dimensions = "words", WIDTH

    def encode(self, texts: list[str]) -> Encoded:
        words = [text.replace(",", "").split() or ["-"] for text in texts]
        length = max(map(len, words), default=1)
        tokens = np.zeros((len(texts), length, WIDTH), np.float32)
        mask = np.zeros((len(texts), length), bool)
        for row, some in enumerate(words):
            for place, word in enumerate(some):
                seed = int.from_bytes(word.encode()[:8].ljust(8, b"."), "big")
                tokens[row, place] = np.random.default_rng(seed).normal(size=WIDTH)
                mask[row, place] = True
        pooled = tokens.sum(axis=1) / mask.sum(axis=1, keepdims=True)
        unit = (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)
        return Encoded(unit, tokens, mask)


def made_up(count: int, seed: int) -> AssetFeatures:
    generator = np.random.default_rng(seed)
    colors, things = ("red", "green", "blue", "white"), ("chair", "lamp", "horse", "piano", "boat", "tree")
    names = tuple(f"{generator.choice(colors)} {generator.choice(things)}" for _ in range(count))
    meaning = WordVectors().encode(list(names)).pooled
    mixing = np.random.default_rng(99)
    look = meaning @ mixing.normal(size=(WIDTH, 40)) + 0.1 * generator.normal(size=(count, 40))
    shape = meaning @ mixing.normal(size=(WIDTH, 3 * 16)) + 0.1 * generator.normal(size=(count, 48))
    uids = tuple(f"object-{seed}-{row}" for row in range(count))
    return AssetFeatures(
        uids,
        names,
        tuple((name, "thing") for name in names),
        ("thing",) * count,
        uids,
        np.repeat(np.maximum(look, 0.0)[:, None], 2, axis=1).astype(np.float32),
        shape.reshape(count, 3, 16).astype(np.float32),
        generator.uniform(0.1, 2.0, (count, 3)).astype(np.float32),
    )
