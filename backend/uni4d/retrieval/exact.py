"""Exact vector search in memory: every vector is compared with every query.

Scores are cosines, so both sides are unit vectors and one query is one product of a vector and a matrix,
several are one product of matrices. The matrix lies dimension by dimension, ``[D, N]``: so BLAS streams it
through memory about twice as fast as vector by vector, and memory is all that counts here. What remains is to
find the k largest of N scores without sorting them: the k-th largest of the maxima of blocks of scores is a
lower bound t of the k-th largest score, and only scores ≥ t, a few dozen, are sorted. Equal scores go by row,
the lower first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError

__all__ = ["Allowed", "ExactIndex", "checked_vectors", "unit_queries"]

Array = NDArray[Any]
Allowed = Array | Sequence[int] | None
"""Which rows may be found: a bool mask by row number, row numbers, or ``None`` for all."""

_SCORES = 16_000_000
"""Scores that are held at once: queries are taken in groups so that group × N stays below."""
_BLOCK = 64
"""Scores of which only the maximum is looked at first."""
_COPIED = 4_096
"""Vectors that are turned into the index's layout at a time."""
_TOLERANCE = 1e-3


class ExactIndex:
    """Unit vectors with their row numbers. Memory: the vectors once, and a group of scores."""

    def __init__(self, vectors: Array, rows: Array | None = None) -> None:
        """``vectors`` ``[N, D]`` unit, copied; ``rows`` ``[N]`` their numbers, 0 … N−1 when not given."""
        vectors = checked_vectors(vectors)
        rows = np.arange(len(vectors)) if rows is None else np.asarray(rows, np.int64)
        if rows.shape != (len(vectors),):
            raise Uni4DError("bad-vectors", f"{len(vectors)} vectors came with {rows.shape} rows.")
        order = np.argsort(rows, kind="stable")  # in order, so that equal scores go by row
        self._rows = rows[order]
        if np.any(np.diff(self._rows) == 0):
            raise Uni4DError("bad-vectors", "Two vectors have the same row number.")
        self._columns = np.empty((vectors.shape[1], len(vectors)), np.float32)
        for start in range(0, len(order), _COPIED):
            stop = start + _COPIED
            self._columns[:, start:stop] = vectors[order[start:stop]].T

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def dimensions(self) -> int:
        return int(self._columns.shape[0])

    def search(self, queries: Array, k: int, *, allowed: Allowed = None) -> tuple[Array, Array]:
        """The ``k`` nearest of each query: rows ``[Q, K]`` int64 and cosines ``[Q, K]`` float32, best first.

        ``queries`` ``[Q, D]`` or ``[D]`` of any length ≠ 0. K is ``k``, or the number of allowed vectors
        where those are fewer.
        """
        queries = unit_queries(queries, self.dimensions)
        banned = None if allowed is None else _banned(self._rows, allowed)
        k = min(k, len(self) if banned is None else len(self) - int(banned.sum()))
        found, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        if k == 0:
            return found, scores
        group = max(1, _SCORES // len(self))
        for start in range(0, len(queries), group):
            # To score all and mask is as fast as to copy out the allowed ones, were they but a few percent.
            block = _scores(queries[start : start + group], self._columns)
            if banned is not None:
                block[:, banned] = -np.inf
            for query, row in enumerate(block, start):
                best = _largest(row, k)
                found[query], scores[query] = self._rows[best], row[best]
        return found, scores


def checked_vectors(vectors: Array) -> Array:
    """``[N, D]`` as float32, contiguous; refused when they are not finite unit vectors."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise Uni4DError("bad-vectors", f"Vectors must be [N, D]; their shape is {vectors.shape}.")
    squares = np.einsum("nd,nd->n", vectors, vectors)
    wrong = np.flatnonzero(~(np.abs(squares - 1.0) <= 2.0 * _TOLERANCE))  # also catches NaN
    if len(wrong):
        raise Uni4DError(
            "bad-vectors",
            f"Vector {wrong[0]} has length {float(np.sqrt(squares[wrong[0]])):.4g} instead of 1.",
            "Divide the vectors by their length.",
        )
    return vectors


def unit_queries(queries: Array, dimensions: int) -> Array:
    """``[D]`` or ``[Q, D]`` as ``[Q, D]`` float32 of unit length."""
    queries = np.atleast_2d(np.asarray(queries, np.float32))
    if queries.ndim != 2 or queries.shape[1] != dimensions:
        raise Uni4DError(
            "bad-vectors", f"Queries have shape {queries.shape}; the index holds vectors of {dimensions}."
        )
    lengths = np.linalg.norm(queries, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0.0):
        raise Uni4DError("bad-vectors", "A query is zero or not finite.")
    return queries / lengths


def _banned(rows: Array, allowed: Array | Sequence[int]) -> Array:
    """``[N]`` bool: which of ``rows`` may not be found."""
    allowed = np.asarray(allowed)
    if allowed.dtype == bool:
        inside = np.flatnonzero((rows >= 0) & (rows < len(allowed)))
        inside = inside[allowed[rows[inside]]]
    else:
        inside = np.flatnonzero(np.isin(rows, allowed.astype(np.int64)))
    banned = np.ones(len(rows), bool)
    banned[inside] = False
    return banned


def _scores(queries: Array, columns: Array) -> Array:
    """``[Q, N]`` cosines."""
    if len(queries) == 1:  # BLAS's product of a vector and a matrix, not of two matrices
        return (queries[0] @ columns)[None]
    return queries @ columns


def _largest(scores: Array, k: int) -> Array:
    """The places of the ``k`` largest of ``[N]`` scores, best first, equal ones by place."""
    count = len(scores)
    if count >= 4 * _BLOCK * k:
        whole = count - count % _BLOCK
        maxima = scores[:whole].reshape(-1, _BLOCK).max(axis=1)
    else:
        maxima = scores
    bound = np.partition(maxima, len(maxima) - k)[len(maxima) - k]
    candidates = np.flatnonzero(scores >= bound)
    order = np.lexsort((candidates, -scores[candidates]))
    return candidates[order[:k]]
