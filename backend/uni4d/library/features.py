"""Frozen features of a library's assets: what retrieval is trained and measured on.

Encoders run once, when the library is built; everything after (ATMS, its baselines, the evaluation) reads
these arrays. The split into training, validation and test is a function of what an object *is*: it hashes
the name of the object's group of near-duplicates, so it is the same on every machine and for every seed,
and no copy of a test object is ever trained on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike, NDArray

from uni4d.library.clouds import unpacked
from uni4d_shared.progress import Progress

if TYPE_CHECKING:
    from uni4d.encoders.protocols import PointEncoder
    from uni4d.library.sources import Entry
    from uni4d.library.survey import Reading

__all__ = ["AssetFeatures", "Split", "features_of", "split_of", "stacked_views"]

Array = NDArray[Any]
Split = Literal["train", "validation", "test"]

_TEST_SHARE = 0.22
_VALIDATION_SHARE = 0.11
_FEATURE_WIDTH = 1280
"""Of the local image encoder."""
_BATCH = 64


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

    def save(self, path: Path) -> None:
        """Write one ``.npz`` file; the arrays in half precision."""
        about = [self.uids, self.names, self.texts, self.categories, self.groups]
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                about=np.array(json.dumps(about, ensure_ascii=False)),
                views=self.views.astype(np.float16),
                points=self.points.astype(np.float16),
                sizes=self.sizes.astype(np.float32),
            )
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> AssetFeatures:
        """The features that :meth:`save` wrote; ``OSError``, ``ValueError`` or ``KeyError`` for others."""
        with np.load(path, allow_pickle=False) as archive:
            uids, names, texts, categories, groups = json.loads(str(archive["about"]))
            return cls(
                tuple(uids),
                tuple(names),
                tuple(tuple(some) for some in texts),
                tuple(categories),
                tuple(groups),
                archive["views"].astype(np.float32),
                archive["points"].astype(np.float32),
                archive["sizes"],
            )


def features_of(
    entries: Sequence[Entry],
    readings: Mapping[str, Reading],
    groups: Sequence[str],
    encoder: PointEncoder,
    progress: Progress,
) -> AssetFeatures:
    """The features of ``entries`` from their readings, whose clouds go through the point encoder here."""
    mine = [readings[entry.uid] for entry in entries]
    tokens = []
    for start in range(0, len(mine), _BATCH):
        clouds = [unpacked(reading.cloud) for reading in mine[start : start + _BATCH]]
        points, colors = (np.stack([getattr(c, name) for c in clouds]) for name in ("points", "colors"))
        tokens.append(encoder.encode(points, colors).tokens)
        progress(start / len(mine), f"shapes {start}/{len(mine)}")
    return AssetFeatures(
        tuple(entry.uid for entry in entries),
        tuple(entry.name for entry in entries),
        tuple(entry.texts for entry in entries),
        tuple(entry.category for entry in entries),
        tuple(groups),
        stacked_views(mine),
        np.concatenate(tokens),
        np.array([reading.extents for reading in mine], np.float32),
    )


def stacked_views(readings: Sequence[Reading]) -> Array:
    """``[N, V, E]`` float32 image features of readings that were made with one number of views."""
    flat = np.stack([reading.features for reading in readings]).astype(np.float32)
    return flat.reshape(len(flat), -1, _FEATURE_WIDTH)


def split_of(group: str) -> Split:
    """The split of a group of near-duplicates: about 67 % train, 11 % validation, 22 % test."""
    place = int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest()[:6], "big") / 2**48
    if place < _TEST_SHARE:
        return "test"
    return "validation" if place < _TEST_SHARE + _VALIDATION_SHARE else "train"
