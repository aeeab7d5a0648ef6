"""Frozen features of a library's assets: what retrieval is trained and measured on.

Encoders run once, when the library is built; everything after (ATMS, its baselines, the evaluation) reads
these arrays. The split into training, validation and test is a function of what an object *is*: it hashes
the name of the object's group of near-duplicates, so it is the same on every machine and for every seed,
and no copy of a test object is ever trained on.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray

__all__ = ["AssetFeatures", "Split", "split_of"]

Array = NDArray[Any]
Split = Literal["train", "validation", "test"]

_TEST_SHARE = 0.22
_VALIDATION_SHARE = 0.11


@frozen(eq=False)
class AssetFeatures:
    """``N`` assets; row ``i`` of every array and entry ``i`` of every tuple belong together."""

    uids: tuple[str, ...]
    names: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """All texts of each asset: name, tags, category; the name comes first."""
    categories: tuple[str, ...]
    groups: tuple[str, ...]
    """Name of each asset's group of near-duplicates: the uid of its first member. Alone: its own uid."""
    views: Array
    """``[N, V, 1280]`` float32: image features of V views, pooled over each picture, non-negative."""
    points: Array
    """``[N, G, D]`` float32: tokens of the point encoder; the first is the class token."""
    sizes: Array
    """``[N, 3]`` float32: width, depth and height in metres."""

    def __len__(self) -> int:
        return len(self.uids)

    @property
    def splits(self) -> Array:
        """``[N]`` str: ``train``, ``validation`` or ``test``."""
        return np.array([split_of(group) for group in self.groups], dtype="<U10")

    def split(self, name: Split) -> AssetFeatures:
        """The assets of one split."""
        return self.rows(np.flatnonzero(self.splits == name))

    def rows(self, rows: ArrayLike) -> AssetFeatures:
        """The assets of the given rows, in that order."""
        index = np.asarray(rows, dtype=np.int64)

        def chosen(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[row] for row in index)

        return evolve(
            self,
            uids=chosen(self.uids),
            names=chosen(self.names),
            texts=chosen(self.texts),
            categories=chosen(self.categories),
            groups=chosen(self.groups),
            views=self.views[index],
            points=self.points[index],
            sizes=self.sizes[index],
        )


def split_of(group: str) -> Split:
    """The split of a group of near-duplicates: about 67 % train, 11 % validation, 22 % test."""
    place = int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest()[:6], "big") / 2**48
    if place < _TEST_SHARE:
        return "test"
    return "validation" if place < _TEST_SHARE + _VALIDATION_SHARE else "train"
