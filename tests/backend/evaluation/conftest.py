"""A small made-up world in which it is known who must win.

Every object is a *kind* of thing in a *manner* (“ruby cat”). Words have vectors, a name is their mean, and
the pictures are a noisy linear image of the name. So a linear map finds objects of names that it never saw,
while neighbours know only the names that they met. The point tokens are noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.encoders.protocols import Encoded
from uni4d.library.features import AssetFeatures

Array = NDArray[Any]

KINDS = ["cat", "dog", "boat", "lamp", "chair", "tower", "drum", "ball", "kite", "sofa", "tree", "cup"]
KINDS += ["shoe", "flute", "clock", "snail"]
MANNERS = ["ruby", "tiny", "hollow", "striped", "round", "ancient", "folded", "woolly", "golden", "broken"]
MANNERS += ["wet", "northern", "paper", "silent", "square", "frozen", "woven", "bent"]
WIDTH, VIEW_WIDTH, POINT_WIDTH = 32, 60, 12
NOISE = 1.5
TWICE = 60
"""So many names belong to two objects."""


class WordVectors:
    """A text encoder: every word has a vector made from its letters, a text is the mean of its words."""

    name = "words"
    dimensions = WIDTH

    def encode(self, texts: Sequence[str]) -> Encoded:
        words = [text.lower().replace(",", " ").split() for text in texts]
        longest = max((len(some) for some in words), default=0)
        tokens = np.zeros((len(texts), longest, WIDTH), np.float32)
        mask = np.zeros((len(texts), longest), bool)
        for row, some in enumerate(words):
            tokens[row, : len(some)] = np.array([word_vector(word) for word in some])
            mask[row, : len(some)] = True
        means = tokens.sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1)
        lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return Encoded((means / lengths).astype(np.float32), tokens, mask)


def word_vector(word: str) -> Array:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).normal(size=WIDTH)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@pytest.fixture(scope="session")
def encoder() -> WordVectors:
    return WordVectors()


@pytest.fixture(scope="session")
def world(encoder: WordVectors) -> AssetFeatures:
    """Objects of all splits; the first two are copies of each other, every other is a group of its own."""
    random = np.random.default_rng(5)
    names = [f"{manner} {kind}" for manner in MANNERS for kind in KINDS]
    names += names[:TWICE]
    count = len(names)
    uids = [f"{name.replace(' ', '-')}-{number}" for number, name in enumerate(names)]
    look = encoder.encode(names).pooled @ random.normal(size=(WIDTH, VIEW_WIDTH))
    roots = 4.0 + look[:, None] + NOISE * random.normal(size=(count, 2, VIEW_WIDTH))
    return AssetFeatures(
        uids=tuple(uids),
        names=tuple(names),
        texts=tuple((name, f"serial {number}", name.split()[1]) for number, name in enumerate(names)),
        categories=tuple(name.split()[1] for name in names),
        groups=(uids[0], uids[0], *uids[2:]),
        views=(np.maximum(roots, 0.0) ** 2).astype(np.float32),
        points=random.normal(size=(count, 5, POINT_WIDTH)).astype(np.float32),
        sizes=random.uniform(0.2, 2.0, size=(count, 3)).astype(np.float32),
    )
