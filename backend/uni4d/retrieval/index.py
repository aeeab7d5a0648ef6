"""Vector search over a gallery of any size, behind one interface.

Up to ``IndexConfig.exact_limit`` vectors are kept in memory and all compared
(:mod:`~uni4d.retrieval.exact`): exact, and no index to build. More stay on disk behind an inverted file
(:mod:`~uni4d.retrieval.vector_table`, :mod:`~uni4d.retrieval.ivf`): a few milliseconds for a million, nearly
always the same hits.

    index = StoredIndex.build(folder, batches)         # or StoredIndex(folder), later
    rows, scores = index.search(vector, 10, allowed=mask)

A gallery that is in memory anyway needs no folder: ``ExactIndex(vectors)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from uni4d.retrieval.exact import Allowed, ExactIndex
from uni4d.retrieval.ivf import IvfConfig
from uni4d.retrieval.vector_table import VectorBatch, VectorTable
from uni4d_shared.progress import Progress, section, silent

__all__ = ["ExactIndex", "IndexConfig", "IvfConfig", "StoredIndex", "VectorBatch", "VectorIndex"]

Array = NDArray[Any]


class VectorIndex(Protocol):
    """Unit vectors under row numbers."""

    def __len__(self) -> int: ...

    @property
    def dimensions(self) -> int: ...

    def search(self, queries: Array, k: int, *, allowed: Allowed = None) -> tuple[Array, Array]:
        """The ``k`` nearest of each query: rows ``[Q, K]`` int64 and cosines ``[Q, K]`` float32, best first.

        ``queries`` ``[Q, D]`` or ``[D]``; ``allowed``: a bool mask by row number, or row numbers. K is
        ``k``, or the number of allowed vectors where those are fewer.
        """
        ...


@frozen
class IndexConfig:
    """How a stored gallery is searched."""

    exact_limit: int = field(default=100_000, validator=validators.ge(0))
    """Up to so many vectors are compared one by one in memory; more are searched through the file."""
    ivf: IvfConfig = field(factory=IvfConfig)


class StoredIndex:
    """Vectors in a folder, searched exactly or through an inverted file as their number demands."""

    def __init__(self, folder: Path, config: IndexConfig | None = None) -> None:
        """Open what :meth:`build` made."""
        self._config = config or IndexConfig()
        self._table = VectorTable(folder, self._config.ivf)
        self._exact: ExactIndex | None = None

    @classmethod
    def build(
        cls,
        folder: Path,
        batches: Iterable[VectorBatch],
        config: IndexConfig | None = None,
        progress: Progress = silent,
        total: int | None = None,
    ) -> StoredIndex:
        """Write the vectors batch by batch, and build the index where there are enough of them."""
        config = config or IndexConfig()
        VectorTable.write(folder, batches, config.ivf, section(progress, 0.0, 0.2), total)
        index = cls(folder, config)
        index.refresh(section(progress, 0.2, 1.0))
        return index

    def __len__(self) -> int:
        return len(self._table)

    @property
    def dimensions(self) -> int:
        return self._table.dimensions

    @property
    def is_exact(self) -> bool:
        return len(self) <= self._config.exact_limit

    @property
    def lacking(self) -> int:
        """Vectors that the file lacks, so that each search reads them; the cure is :meth:`refresh`."""
        return 0 if self.is_exact else self._table.unindexed

    def search(
        self, queries: Array, k: int, *, allowed: Allowed = None, where: str = ""
    ) -> tuple[Array, Array]:
        """As :meth:`VectorIndex.search`; ``where`` is an SQL condition over the batches' columns."""
        if not self.is_exact:
            return self._table.search(queries, k, allowed=allowed, where=where)
        if self._exact is None:
            self._exact = self._table.load()
        if where:
            rows = self._table.rows(where)
            allowed = rows if allowed is None else np.intersect1d(rows, _listed(allowed))
        return self._exact.search(queries, k, allowed=allowed)

    def append(self, batch: VectorBatch) -> None:
        """Add vectors under new row numbers; they are found at once."""
        self._exact = None
        self._table.append(batch)

    def upsert(self, batch: VectorBatch) -> None:
        """Replace the vectors of known row numbers, add those of new ones."""
        self._exact = None
        self._table.upsert(batch)

    def delete(self, rows: Sequence[int] | Array) -> None:
        """Remove vectors; row numbers that do not exist are no error."""
        self._exact = None
        self._table.delete(rows)

    def refresh(self, progress: Progress = silent) -> None:
        """After many changes: keep the index up with the vectors. Searches are right without, but slower."""
        self._table.tidy()
        if not self.is_exact:
            self._table.build_index(progress)
        progress(1.0, f"{len(self):,} vectors")


def _listed(allowed: Array | Sequence[int]) -> Array:
    """Row numbers of a mask, or as they are."""
    allowed = np.asarray(allowed)
    return np.flatnonzero(allowed) if allowed.dtype == bool else allowed.astype(np.int64)
