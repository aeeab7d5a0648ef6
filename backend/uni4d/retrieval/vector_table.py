"""Vectors in a LanceDB table on disk, searched through a graph: for galleries too large to compare whole.

The index is ``IVF_HNSW_SQ`` with one partition: a navigable small-world graph (Malkov and Yashunin 2016) over
vectors of one byte a dimension. A search walks the graph with a list of ``beam`` candidates; the best
``refine × k`` are compared again by their full vectors, so scores are exact, only membership is approximate.

Memory stays bounded whatever the gallery's size: vectors are written batch by batch as they come, and the
graph is built in a process of its own, which can be stopped and takes its memory with it.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from attrs import asdict, field, frozen, validators
from numpy.typing import NDArray

from uni4d.retrieval.exact import Allowed, ExactIndex, checked_vectors, unit_queries
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

__all__ = ["GraphConfig", "VectorBatch", "VectorTable"]

Array = NDArray[Any]

_NAME = "vectors"
_LISTED = 10_000
"""Up to so many allowed rows are named in the query; of more, hits are searched until enough are allowed."""
_WIDEST = 4_096
"""Hits that are looked through for allowed ones before all vectors are."""
_KEPT = timedelta(minutes=10)
"""How long old versions of the table stay, for whoever is reading them."""
_POLL_SECONDS = 0.2
_DISK = "Free memory or disk space, or choose another folder."


@frozen
class GraphConfig:
    """The graph. Larger numbers find more, and take longer."""

    connections: int = field(default=20, validator=[validators.ge(4), validators.le(256)])
    """Neighbours per vector (HNSW's M)."""
    construction_beam: int = field(default=150, validator=[validators.ge(8), validators.le(4_096)])
    """Candidates while building (efConstruction); decides how long building takes."""
    beam: int = field(default=300, validator=[validators.ge(8), validators.le(4_096)])
    """Candidates while searching (ef), at least."""
    refine: int = field(default=2, validator=[validators.ge(1), validators.le(64)])
    """Times k: how many of the best are compared again by their full vectors."""


@frozen(eq=False)
class VectorBatch:
    """Vectors on their way into a table."""

    rows: Array
    """``[B]`` int64 row numbers, each once in a table."""
    vectors: Array
    """``[B, D]`` float32 unit."""
    columns: Mapping[str, Sequence[Any]] = field(factory=dict)
    """More columns to filter by, each of length B; every batch has the same."""


class VectorTable:
    """One table; ``config`` may differ from the one that it was built with."""

    def __init__(self, folder: Path, config: GraphConfig | None = None) -> None:
        """Open the table in ``folder``."""
        self._folder = folder
        self._config = config or GraphConfig()
        database = _connect(folder)
        if _NAME not in database.list_tables().tables:
            raise Uni4DError("index-missing", f"{folder} holds no vectors.", "Build the index first.")
        self._table = database.open_table(_NAME)
        self._dimensions = int(self._table.schema.field("vector").type.list_size)

    @classmethod
    def write(
        cls,
        folder: Path,
        batches: Iterable[VectorBatch],
        config: GraphConfig | None = None,
        progress: Progress = silent,
        total: int | None = None,
    ) -> VectorTable:
        """Write a new table, in place of one that is there; without a graph as yet.

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
            raise Uni4DError("index-failed", f"{folder} cannot be written: {error}.", _DISK) from error
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
        """Vectors that the graph does not hold: they are compared one by one. All, without a graph."""
        stats = self._table.index_stats("vector_idx")
        return len(self) if stats is None else int(stats.num_unindexed_rows)

    # --- writing ------------------------------------------------------------------------------------

    def append(self, batch: VectorBatch) -> None:
        """Add vectors under new row numbers; they are found at once."""
        present = self._count(_named(batch.rows))
        if present:
            raise Uni4DError(
                "bad-vectors", f"{present} of {len(batch.rows)} row numbers are taken.", "Use upsert."
            )
        self._table.add(_arrow(batch, self._dimensions))

    def upsert(self, batch: VectorBatch) -> None:
        """Replace the vectors of known row numbers, add those of new ones."""
        merge = self._table.merge_insert("row").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(_arrow(batch, self._dimensions))

    def delete(self, rows: Sequence[int] | Array) -> None:
        """Remove vectors; row numbers that do not exist are no error."""
        for start in range(0, len(rows), _LISTED):
            self._table.delete(_named(rows[start : start + _LISTED]))

    def build_graph(self, progress: Progress = silent) -> None:
        """Build the graph over all vectors, or build it anew. Cancelling leaves the table as it was."""
        expected = _expected_seconds(len(self), self._config)
        started = time.monotonic()
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(
            target=_build_graph, args=(self._folder, asdict(self._config), sender), daemon=True
        )
        child.start()
        sender.close()
        try:
            while child.is_alive():
                child.join(_POLL_SECONDS)
                passed = time.monotonic() - started
                # Nobody says how far it is: half of the bar for the time expected, half of the rest again …
                fraction = 1.0 - 0.5 ** (passed / expected)
                progress(fraction, f"graph over {len(self):,} vectors, {passed:.0f} s")
            fault = receiver.recv() if receiver.poll() else f"process ended with {child.exitcode}"
        except EOFError:
            fault = f"process ended with {child.exitcode}"
        finally:
            if child.is_alive():
                child.kill()
                child.join()
            receiver.close()
        if fault:
            raise Uni4DError("index-failed", f"The graph over {self._folder} was not built: {fault}.", _DISK)
        self._table.checkout_latest()
        progress(1.0, "graph built")

    def tidy(self) -> None:
        """Take vectors added since into the graph, merge small files, drop old versions."""
        self._table.optimize(cleanup_older_than=_KEPT)

    # --- reading ------------------------------------------------------------------------------------

    def load(self) -> ExactIndex:
        """All vectors in memory."""
        rows = np.empty(len(self), np.int64)
        vectors = np.empty((len(self), self._dimensions), np.float32)
        at = 0
        for numbers, batch in self._stream():
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
        mask, condition, count = self._restriction(allowed, where)
        k = min(k, count)
        found, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        for index, query in enumerate(queries if k else ()):
            found[index], scores[index] = self._nearest(query, k, mask, condition, count)
        return found, scores

    def _restriction(self, allowed: Allowed, where: str) -> tuple[Array | None, str, int]:
        """Mask by row number (for many allowed rows), SQL condition, and how many vectors satisfy both."""
        if allowed is None:
            return None, where, self._count(where) if where else len(self)
        listed = np.asarray(allowed)
        listed = np.flatnonzero(listed) if listed.dtype == bool else np.unique(listed.astype(np.int64))
        if len(listed) <= _LISTED:
            both = f"({where}) AND {_named(listed)}" if where else _named(listed)
            return None, both, self._count(both) if len(listed) else 0
        mask = np.zeros(int(listed[-1]) + 1, bool)
        mask[listed] = True
        existing = self.rows(where or "true")
        return mask, where, int(_in_mask(existing, mask).sum())

    def _nearest(
        self, query: Array, k: int, mask: Array | None, condition: str, count: int
    ) -> tuple[Array, Array]:
        wanted = k if mask is None else int(1.5 * k * len(self) / count) + 10
        while wanted <= max(k, _WIDEST):
            rows, scores = self._hits(query, min(wanted, len(self)), condition)
            if mask is not None:
                kept = _in_mask(rows, mask)
                rows, scores = rows[kept], scores[kept]
            if len(rows) >= k:
                return rows[:k], scores[:k]
            wanted *= 4
        return self._scanned(query, k, mask, condition)  # the filter is against the query: compare all

    def _hits(self, query: Array, k: int, condition: str) -> tuple[Array, Array]:
        """What the graph finds: at most ``k`` rows with their cosines, best first."""
        search = (
            self._table.search(query, vector_column_name="vector")
            .distance_type("cosine")
            .limit(k)
            .ef(max(self._config.beam, k * self._config.refine))
            .refine_factor(self._config.refine)
            .select(["row", "_distance"])
        )
        if condition:
            search = search.where(condition, prefilter=True)
        with _condition_checked(condition):
            hits = search.to_arrow()
        rows = hits["row"].to_numpy()
        scores = 1.0 - hits["_distance"].to_numpy()
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]

    def _scanned(self, query: Array, k: int, mask: Array | None, condition: str) -> tuple[Array, Array]:
        """The exact answer, batch by batch through all vectors."""
        best_rows, best_scores = np.empty(0, np.int64), np.empty(0, np.float32)
        for rows, vectors in self._stream(condition):
            kept = np.ones(len(rows), bool) if mask is None else _in_mask(rows, mask)
            best_rows = np.concatenate([best_rows, rows[kept]])
            best_scores = np.concatenate([best_scores, vectors[kept] @ query])
            order = np.lexsort((best_rows, -best_scores))[:k]
            best_rows, best_scores = best_rows[order], best_scores[order]
        return best_rows, best_scores

    def _stream(self, condition: str = "") -> Iterator[tuple[Array, Array]]:
        """Row numbers ``[B]`` and vectors ``[B, D]``, a batch at a time."""
        search = self._table.search().select(["row", "vector"]).limit(len(self) + 1)
        for batch in (search.where(condition) if condition else search).to_batches():
            vectors = batch.column("vector").flatten().to_numpy(zero_copy_only=False)
            yield batch.column("row").to_numpy(), vectors.reshape(-1, self._dimensions)

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


def _build_graph(folder: Path, settings: dict[str, int], answer: Connection) -> None:
    """Runs in a process of its own; answers with what went wrong, or with nothing."""
    try:
        from lancedb.index import HnswSq

        config = GraphConfig(**settings)
        _connect(folder).open_table(_NAME).create_index(
            "vector",
            config=HnswSq(
                distance_type="cosine",
                num_partitions=1,
                m=config.connections,
                ef_construction=config.construction_beam,
            ),
        )
    except Exception as error:
        answer.send(str(error) or type(error).__name__)
        raise
    answer.send("")


def _expected_seconds(count: int, config: GraphConfig) -> float:
    """Half the time that building takes on two idle cores, roughly; for the progress only."""
    return max(1.0, count * config.construction_beam * 4e-7 * np.log2(count + 2) / 10.0)


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
    columns = {"row": pa.array(rows), **{name: pa.array(column) for name, column in batch.columns.items()}}
    columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dimensions)
    return pa.record_batch(columns)


def _chain(first: VectorBatch, rest: Iterator[VectorBatch]) -> Iterator[VectorBatch]:
    yield first
    yield from rest


def _named(rows: Sequence[int] | Array) -> str:
    """The SQL condition that a row is one of ``rows``."""
    return "row IN (" + ", ".join(str(int(row)) for row in rows) + ")" if len(rows) else "false"


def _in_mask(rows: Array, mask: Array) -> Array:
    inside = rows < len(mask)
    return inside & mask[np.where(inside, rows, 0)]
