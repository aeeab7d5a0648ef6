"""Vectors in a LanceDB table on disk, searched through an index: for galleries too large to compare whole.

The table is what counts: vectors, row numbers, columns to filter by, changes. The index beside it
(:mod:`uni4d.retrieval.ivf`) is derived from it and may lag behind. Each row of the table carries when it
was written, and so does each vector of the index: where both agree the index speaks for the row; what the
index holds beyond that is passed over, and what only the table holds is compared vector by vector. So a
change is found at once, and an index of another table says nothing.

Memory stays bounded whatever the gallery's size: vectors are written batch by batch as they come, pass
through in pieces while the index is built, and are mapped into memory while it is searched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from uni4d.retrieval.exact import Allowed, ExactIndex, checked_vectors, unit_queries
from uni4d.retrieval.ivf import IvfConfig, IvfIndex, Piece, build_ivf, drop_ivf, open_ivf
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

__all__ = ["VectorBatch", "VectorTable"]

Array = NDArray[Any]

_NAME = "vectors"
_WRITTEN = "written"
_LISTED = 10_000
"""Rows that are named in one condition."""
_HELD = 100_000
"""Up to so many vectors that the index lacks are held in memory; with more, each search reads all."""
_REBUILT = 0.25
"""Share of vectors that the index lacks or holds in vain, from which it is built anew instead of added to."""
_KEPT = timedelta(minutes=10)
"""How long old versions of the table stay, for whoever is reading them."""


@frozen(eq=False)
class VectorBatch:
    """Vectors on their way into a table."""

    rows: Array
    """``[B]`` int64 row numbers, each once in a table."""
    vectors: Array
    """``[B, D]`` float32 unit."""
    columns: Mapping[str, Sequence[Any]] = field(factory=dict)
    """More columns to filter by, each of length B; every batch has the same."""


@frozen(eq=False)
class _Match:
    """What the index says of the table as it is now."""

    index: IvfIndex | None
    alive: Array
    """``[N]`` bool: which of the index's vectors are those of the table."""
    fresh: Array
    """``[F]`` int64: rows that the index lacks."""
    held: ExactIndex | None
    """Their vectors; ``None`` where there are none, or too many."""


class VectorTable:
    """One table; ``config`` may differ from the one that it was built with."""

    def __init__(self, folder: Path, config: IvfConfig | None = None) -> None:
        """Open the table in ``folder``."""
        self._folder = folder
        self._config = config or IvfConfig()
        database = _connect(folder)
        if _NAME not in database.list_tables().tables:
            raise Uni4DError("index-missing", f"{folder} holds no vectors.", "Build the index first.")
        self._table = database.open_table(_NAME)
        if _WRITTEN not in self._table.schema.names:
            raise Uni4DError("index-damaged", f"{folder} holds vectors of another format.", "Build it anew.")
        self._dimensions = int(self._table.schema.field("vector").type.list_size)
        self._matched: _Match | None = None

    @classmethod
    def write(
        cls,
        folder: Path,
        batches: Iterable[VectorBatch],
        config: IvfConfig | None = None,
        progress: Progress = silent,
        total: int | None = None,
    ) -> VectorTable:
        """Write a new table, in place of one that is there; without an index as yet.

        ``total``, where it is known, only serves the progress.
        """
        import pyarrow as pa

        incoming = iter(batches)
        first = next(incoming, None)
        if first is None or not len(first.rows):
            raise Uni4DError("bad-vectors", "There are no vectors to write.")
        schema = _arrow(first, np.shape(first.vectors)[1]).schema

        faults: list[BaseException] = []  # what goes wrong here reaches Lance as mere text

        def converted() -> Iterator[Any]:
            written = 0
            try:
                for batch in _chain(first, incoming):
                    yield _arrow(batch, schema.field("vector").type.list_size)
                    written += len(batch.rows)
                    progress(min(written / total, 1.0) if total else 0.0, f"{written:,} vectors written")
            except BaseException as error:
                faults.append(error)
                raise

        reader = pa.RecordBatchReader.from_batches(schema, converted())
        try:
            _connect(folder).create_table(_NAME, reader, mode="overwrite")
        except Exception as error:
            if faults:
                raise faults[0] from None
            raise Uni4DError(
                "index-failed",
                f"{folder} cannot be written: {error}.",
                "Free disk space, or choose another folder.",
            ) from error
        drop_ivf(folder)
        table = cls(folder, config)
        table._index_rows()
        return table

    def __len__(self) -> int:
        return int(self._table.count_rows())

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def unindexed(self) -> int:
        """Vectors that the index does not hold: they are compared one by one. All, without an index."""
        return len(self._match.fresh)

    # --- writing ------------------------------------------------------------------------------------

    def append(self, batch: VectorBatch) -> None:
        """Add vectors under new row numbers; they are found at once."""
        present = self._count(_named(batch.rows))
        if present:
            raise Uni4DError(
                "bad-vectors", f"{present} of {len(batch.rows)} row numbers are taken.", "Use upsert."
            )
        self._table.add(_arrow(batch, self._dimensions))
        self._matched = None

    def upsert(self, batch: VectorBatch) -> None:
        """Replace the vectors of known row numbers, add those of new ones."""
        merge = self._table.merge_insert("row").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(_arrow(batch, self._dimensions))
        self._matched = None

    def delete(self, rows: Sequence[int] | Array) -> None:
        """Remove vectors; row numbers that do not exist are no error."""
        try:
            for start in range(0, len(rows), _LISTED):
                self._table.delete(_named(rows[start : start + _LISTED]))
        finally:
            self._matched = None

    def build_index(self, progress: Progress = silent) -> None:
        """Bring the index up to the table: add what it lacks, or build it anew where much has changed.

        Cancelling leaves table and index as they were.
        """
        match = self._match
        astray = len(match.fresh) + int(np.count_nonzero(~match.alive))
        if match.index is None or astray > _REBUILT * len(self):
            pieces, total, base = self._pieces(), len(self), None
        elif len(match.fresh):
            pieces, total, base = self._named_pieces(match.fresh), len(match.fresh), match.index
        else:
            return
        build_ivf(self._folder, pieces, total, self._dimensions, self._config, progress, base)
        self._matched = None

    def tidy(self) -> None:
        """Merge small files of the table, drop its old versions."""
        self._table.optimize(cleanup_older_than=_KEPT)

    # --- reading ------------------------------------------------------------------------------------

    def load(self) -> ExactIndex:
        """All vectors in memory."""
        rows = np.empty(len(self), np.int64)
        vectors = np.empty((len(self), self._dimensions), np.float32)
        at = 0
        for numbers, _, batch in self._pieces():
            rows[at : at + len(numbers)] = numbers
            vectors[at : at + len(numbers)] = batch
            at += len(numbers)
        return ExactIndex(vectors, rows)

    def rows(self, where: str) -> Array:
        """The row numbers that an SQL condition over the columns is true for, ascending."""
        with _condition_checked(where):
            found = self._table.search().where(where).select(["row"]).limit(len(self) + 1).to_arrow()
        return np.sort(found["row"].to_numpy())

    def search(
        self, queries: Array, k: int, *, allowed: Allowed = None, where: str = ""
    ) -> tuple[Array, Array]:
        """The ``k`` nearest of each query, as :meth:`ExactIndex.search` gives them, nearly always the same.

        ``where`` is an SQL condition over the columns, e.g. ``"faces < 5000"``, applied before the search.
        """
        queries = unit_queries(queries, self._dimensions)
        allowed, match = self._allowed(allowed, where), self._match
        if match.index is None or (len(match.fresh) and match.held is None):
            return self._scanned(queries, k, allowed)
        may = match.alive if allowed is None else match.alive & _is_allowed(match.index.rows, allowed)
        found = match.index.search(queries, k, may)
        if match.held is None:
            return found
        return _merged(found, match.held.search(queries, k, allowed=allowed), k)

    def _allowed(self, allowed: Allowed, where: str) -> Array | None:
        """Both restrictions as one: ``None``, a mask by row number, or row numbers."""
        allowed = None if allowed is None else np.asarray(allowed)
        if not where:
            return allowed
        rows = self.rows(where)
        return rows if allowed is None else rows[_is_allowed(rows, allowed)]

    @property
    def _match(self) -> _Match:
        if self._matched is None:
            self._matched = self._compare()
        return self._matched

    def _compare(self) -> _Match:
        stamps = self._table.search().select(["row", _WRITTEN]).limit(len(self) + 1).to_arrow()
        rows, written = stamps["row"].to_numpy(), stamps[_WRITTEN].to_numpy()
        index = open_ivf(self._folder, self._config, self._dimensions)
        known = np.zeros(len(rows), bool)
        if index is None or not len(rows):
            alive = np.zeros(0 if index is None else len(index), bool)
        else:
            order = np.argsort(rows, kind="stable")
            place = order[np.minimum(np.searchsorted(rows, index.rows, sorter=order), len(rows) - 1)]
            alive = (rows[place] == index.rows) & (written[place] == index.written)
            known[place[alive]] = True
        fresh = rows[~known]
        few = index is not None and 0 < len(fresh) <= _HELD
        return _Match(index, alive, fresh, self._held(fresh) if few else None)

    def _held(self, rows: Array) -> ExactIndex:
        pieces = list(self._named_pieces(rows))
        return ExactIndex(
            np.concatenate([vectors for _, _, vectors in pieces]),
            np.concatenate([numbers for numbers, _, _ in pieces]),
        )

    def _scanned(self, queries: Array, k: int, allowed: Array | None) -> tuple[Array, Array]:
        """The exact answer, piece by piece through all vectors."""
        best = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        for rows, _, vectors in self._pieces():
            kept = slice(None) if allowed is None else _is_allowed(rows, allowed)
            scores = queries @ vectors[kept].T
            best = _merged(best, (np.broadcast_to(rows[kept], scores.shape), scores), k)
        return best

    def _pieces(self, condition: str = "") -> Iterator[Piece]:
        """All rows, or those of a condition, a piece at a time."""
        search = self._table.search().select(["row", _WRITTEN, "vector"]).limit(len(self) + 1)
        for batch in (search.where(condition) if condition else search).to_batches():
            vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            rows, written = batch.column("row").to_numpy(), batch.column(_WRITTEN).to_numpy()
            yield rows, written, vectors.reshape(-1, self._dimensions)

    def _named_pieces(self, rows: Array) -> Iterator[Piece]:
        for start in range(0, len(rows), _LISTED):
            yield from self._pieces(_named(rows[start : start + _LISTED]))

    def _count(self, where: str) -> int:
        with _condition_checked(where):
            return int(self._table.count_rows(where))

    def _index_rows(self) -> None:
        from lancedb.index import BTree

        self._table.create_index("row", config=BTree())


def _connect(folder: Path) -> Any:
    # Its log warns on stderr about every table that is made for the first time; read at import.
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    return lancedb.connect(str(folder))


@contextmanager
def _condition_checked(condition: str) -> Iterator[None]:
    """Lance's complaint about a condition, as an error that names it."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        if not condition:
            raise
        raise Uni4DError(
            "bad-filter", f"{condition[:200]!r} is no condition: {error}", 'Write SQL, e.g. "faces < 5000".'
        ) from error


def _merged(one: tuple[Array, Array], other: tuple[Array, Array], k: int) -> tuple[Array, Array]:
    """The best ``k`` of two lots of hits, rows ``[Q, ·]`` and scores ``[Q, ·]``; equal scores go by row."""
    rows = np.concatenate([one[0], other[0]], axis=1)
    scores = np.concatenate([one[1], other[1]], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _arrow(batch: VectorBatch, dimensions: int) -> Any:
    import pyarrow as pa

    vectors = checked_vectors(batch.vectors)
    rows = np.asarray(batch.rows, np.int64)
    if vectors.shape[1] != dimensions:
        raise Uni4DError(
            "bad-vectors", f"Vectors have {vectors.shape[1]} dimensions; the table's have {dimensions}."
        )
    if len(rows) != len(vectors) or len(np.unique(rows)) != len(rows):
        raise Uni4DError("bad-vectors", f"{len(vectors)} vectors need as many different row numbers.")
    reserved = batch.columns.keys() & {"row", _WRITTEN, "vector"}
    if reserved:
        raise Uni4DError(
            "bad-vectors", f"A column is called {min(reserved)!r}, as one of the table's own.", "Rename it."
        )
    columns = {"row": pa.array(rows), _WRITTEN: pa.array(np.full(len(rows), time.time_ns()))}
    columns.update((name, pa.array(column)) for name, column in batch.columns.items())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimensions)
    return pa.record_batch(columns)


def _chain(first: VectorBatch, rest: Iterator[VectorBatch]) -> Iterator[VectorBatch]:
    yield first
    yield from rest


def _named(rows: Sequence[int] | Array) -> str:
    """The SQL condition that a row is one of ``rows``."""
    return "row IN (" + ", ".join(str(int(row)) for row in rows) + ")" if len(rows) else "false"


def _is_allowed(rows: Array, allowed: Array) -> Array:
    """Which of ``rows`` a mask by row number, or a list of row numbers, holds."""
    if allowed.dtype != bool:
        return np.isin(rows, allowed.astype(np.int64))
    inside = (rows >= 0) & (rows < len(allowed))
    return inside & allowed[np.where(inside, rows, 0)] if len(allowed) else inside
