"""Which assets of a large library a query is compared with at all.

Past ``IndexConfig.exact_limit`` assets the product search does not multiply every asset's vectors with the
query's. It takes the few hundred assets nearest to it by each kind of vector, from an index on disk
(:mod:`uni4d.retrieval.index`), and those that the words alone put first; only these are scored, exactly as
all are in a small library. What none of the rankings has among its first few hundred is not found.

The indexes lie beside the catalog's tables. They are made when they are first asked for, which takes a minute
for some 100,000 assets, and go when the table of assets is written anew.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.catalog import INDEXES, AssetTable
from uni4d.retrieval.index import IndexConfig, StoredIndex, VectorBatch
from uni4d_shared.progress import Progress, section, silent

__all__ = ["Candidates", "build_candidates", "open_candidates"]

Array = NDArray[Any]

_INDEXED = ("text_vector", "shape_vector")
"""Columns of the table; an asset's name is the larger part of its text."""
_BATCH = 16_384
_FIRST = 300
"""Assets of each ranking, at least; 4 times as many as are asked for where that is more."""


@frozen(eq=False)
class Candidates:
    """The indexes of one library; rows are those of its table."""

    texts: StoredIndex
    shapes: StoredIndex

    def rows(
        self, top: int, allowed: Array, words: Array | None, text: Array | None, shapes: list[Array]
    ) -> Array:
        """The rows ``[C]`` to score, ascending.

        Args:
            top: How many hits are asked for.
            allowed: ``[N]`` bool.
            words: ``[N]`` scores by words; the first of all are among the rows even if they are not allowed.
            text: ``[D]`` unit, to be near in meaning.
            shapes: ``[J]`` unit vectors of the joint space, to be near each.
        """
        first = max(_FIRST, 4 * top)
        found = [np.empty(0, np.int64)]
        if words is not None:
            found += [_best(words, first), _best(np.where(allowed, words, -np.inf), first)]
        restriction = None if allowed.all() else allowed
        if text is not None:
            found.append(self.texts.search(text, first, allowed=restriction)[0][0])
        found += [self.shapes.search(shape, first, allowed=restriction)[0][0] for shape in shapes]
        return np.unique(np.concatenate(found))


def open_candidates(catalog: Path, table: AssetTable, config: IndexConfig) -> Candidates:
    """The indexes of the table in the folder ``catalog``, built if they are not there."""
    if not (catalog / INDEXES).is_dir():
        build_candidates(catalog, table, config)
    texts, shapes = (StoredIndex(catalog / INDEXES / name, config) for name in _INDEXED)
    for index in (texts, shapes):
        if index.lacking:  # its file was damaged and deleted
            index.refresh()
    return Candidates(texts, shapes)


def build_candidates(
    catalog: Path, table: AssetTable, config: IndexConfig, progress: Progress = silent
) -> None:
    """Write the indexes of a library's table; they appear whole or not at all."""
    partial = catalog / f"{INDEXES}-{uuid.uuid4().hex[:12]}"
    try:
        for number, name in enumerate(_INDEXED):
            part = section(progress, number / len(_INDEXED), (number + 1) / len(_INDEXED))
            vectors = getattr(table, name)
            StoredIndex.build(partial / name, _batches(vectors), config, part, len(vectors))
        shutil.rmtree(catalog / INDEXES, ignore_errors=True)
        partial.rename(catalog / INDEXES)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _batches(vectors: Array) -> Iterator[VectorBatch]:
    for start in range(0, len(vectors), _BATCH):
        stop = min(start + _BATCH, len(vectors))
        yield VectorBatch(np.arange(start, stop), vectors[start:stop])


def _best(scores: Array, count: int) -> Array:
    """Where the ``count`` largest finite scores are, in no order."""
    count = min(count, int(np.count_nonzero(np.isfinite(scores))))
    return np.argpartition(-scores, count - 1)[:count] if count else np.empty(0, np.int64)
