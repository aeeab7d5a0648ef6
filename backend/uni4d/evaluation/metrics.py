"""Ranks, recall, mean reciprocal rank, and how far they can be trusted.

A query's **rank** is the number of wrong gallery items that score at least as high as its best right one:
0 is a hit at the top. Ties count against us, so an arm that gives everything one score finds nothing.

    recall@k = share of queries with rank < k,    MRR = mean of 1 / (1 + rank)

**Intervals** are 95 % percentile bootstrap over queries. Queries about one name (or one group of
near-duplicates) are right or wrong together, so whole clusters of queries are drawn, not single ones
(Davison & Hinkley 1997, §3.8). With several seeds the interval is that of each query's mean over seeds, and
the spread over seeds (a standard deviation) is told beside it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["KS", "METRICS", "Estimate", "best_ranks", "bootstrap", "chance", "estimates", "values_of"]

Array = NDArray[Any]

KS = (1, 3, 5, 10)
METRICS = (*(f"recall@{k}" for k in KS), "mrr")
"""The columns of every table of figures."""

_DRAWS = 2000
_LEVEL = 0.95


@frozen
class Estimate:
    """One figure with its uncertainty."""

    mean: float
    low: float
    high: float
    """The 95 % interval over queries."""
    spread: float | None
    """Standard deviation over seeds; ``None`` for a single seed."""


def best_ranks(scores: Array, right: Array) -> Array:
    """``[Q]`` int64: the rank of each query's best right item.

    Args:
        scores: ``[Q, N]``; higher is better.
        right: ``[Q, N]`` bool; at least one per query.
    """
    if not right.any(axis=1).all():
        row = int(np.flatnonzero(~right.any(axis=1))[0])
        raise ValueError(f"query {row} has no right item in the gallery")
    best = np.where(right, scores, -np.inf).max(axis=1, keepdims=True)
    return np.asarray(((scores >= best) & ~right).sum(axis=1), dtype=np.int64)


def values_of(ranks: Array) -> Array:
    """``[..., Q]`` ranks → ``[..., Q, M]``: every query's share in each of :data:`METRICS`."""
    hits = [ranks < k for k in KS]
    return np.stack([*hits, 1.0 / (1.0 + ranks)], axis=-1).astype(np.float64)


def estimates(ranks: Array, clusters: Sequence[Hashable]) -> dict[str, Estimate]:
    """Every metric of ``ranks`` ``[S, Q]`` (seeds, queries); ``clusters`` as in :func:`bootstrap`."""
    values = values_of(ranks)
    low, high = bootstrap(values.mean(axis=0), clusters)
    per_seed = values.mean(axis=1)
    spread = per_seed.std(axis=0, ddof=1) if len(ranks) > 1 else None
    return {
        metric: Estimate(
            float(per_seed[:, column].mean()),
            float(low[column]),
            float(high[column]),
            None if spread is None else float(spread[column]),
        )
        for column, metric in enumerate(METRICS)
    }


def bootstrap(
    values: Array, clusters: Sequence[Hashable], *, draws: int = _DRAWS, seed: int = 0
) -> tuple[Array, Array]:
    """The 95 % interval ``([M], [M])`` of the mean of ``values`` ``[Q, M]``.

    ``clusters`` has a key per query; queries with equal keys are drawn together.
    """
    numbers = {key: number for number, key in enumerate(dict.fromkeys(clusters))}
    members = np.array([numbers[key] for key in clusters])
    sums = np.zeros((len(numbers), values.shape[1]))
    np.add.at(sums, members, values)
    sizes = np.bincount(members, minlength=len(numbers))
    # How often each cluster is drawn, for all draws at once: [draws, C].
    times = np.random.default_rng(seed).multinomial(len(numbers), [1 / len(numbers)] * len(numbers), draws)
    means = (times @ sums) / (times @ sizes)[:, None]
    tail = (1.0 - _LEVEL) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return low, high


def chance(right: Array) -> dict[str, float]:
    """What guessing gives, exactly: the mean over queries for a random order of the gallery.

    With p right items among N, P(rank ≥ r) = C(N − p, r) / C(N, r).
    """
    size = right.shape[1]
    places = np.arange(size)
    total = np.zeros(len(METRICS))
    counts, times = np.unique(right.sum(axis=1), return_counts=True)
    for count, weight in zip(counts, times, strict=True):
        steps = np.maximum(size - count - places, 0) / (size - places)
        at_least = np.concatenate([[1.0], np.cumprod(steps)])  # P(rank ≥ 0), P(rank ≥ 1), …
        recalls = [1.0 - at_least[min(k, size)] for k in KS]
        reciprocal = (-np.diff(at_least) / (1.0 + places)).sum()
        total += weight * np.array([*recalls, reciprocal])
    return dict(zip(METRICS, (total / len(right)).tolist(), strict=True))
