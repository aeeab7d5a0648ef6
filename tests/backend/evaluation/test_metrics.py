"""Ranks, recall, intervals and chance, by hand and against slow twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uni4d.evaluation.metrics import KS, METRICS, best_ranks, bootstrap, chance, estimates, values_of


def test_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.5, 0.3], [0.2, 0.8, 0.4, 0.6], [0.1, 0.2, 0.3, 0.4]])
    right = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0]], bool)
    ranks = best_ranks(scores, right)
    assert ranks.tolist() == [0, 2, 2]
    figures = estimates(ranks[None], ["a", "b", "c"])
    assert figures["recall@1"].mean == pytest.approx(1 / 3)
    assert figures["recall@3"].mean == 1.0
    assert figures["mrr"].mean == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert figures["mrr"].spread is None


def test_ties_count_against_us() -> None:
    everything_alike = np.zeros((1, 5))
    assert best_ranks(everything_alike, np.array([[0, 1, 0, 1, 0]], bool)).tolist() == [3]


def test_a_query_without_an_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="query 1 has no right item"):
        best_ranks(np.zeros((2, 2)), np.array([[True, False], [False, False]]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 12))
def test_the_order_of_the_gallery_does_not_matter(seed: int, queries: int, size: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 4, size=(queries, size)).astype(float)  # with ties
    right = random.random((queries, size)) < 0.3
    right[np.arange(queries), random.integers(0, size, queries)] = True
    order = random.permutation(size)
    ranks = best_ranks(scores, right)
    assert np.array_equal(ranks, best_ranks(scores[:, order], right[:, order]))
    recalls = values_of(ranks)[:, : len(KS)].mean(axis=0)
    assert (np.diff(recalls) >= 0).all()
    assert values_of(ranks)[:, -1].mean() >= recalls[0]


@pytest.mark.parametrize("counts", [[1], [2], [5], [1, 3]])
def test_chance_is_the_mean_over_all_orders(counts: list[int]) -> None:
    size = 7
    expected = np.mean(
        [
            np.mean(
                [values_of(np.array([min(places)]))[0] for places in combinations(range(size), count)], axis=0
            )
            for count in counts
        ],
        axis=0,
    )
    right = np.zeros((len(counts), size), bool)
    for row, count in enumerate(counts):
        right[row, :count] = True
    # The rank counts wrong items only: with the best right item in place p, all p before it are wrong.
    assert [chance(right)[metric] for metric in METRICS] == pytest.approx(expected.tolist())


def test_bootstrap_equals_its_slow_twin() -> None:
    random = np.random.default_rng(3)
    values, clusters = random.random((40, 2)), [f"c{number}" for number in random.integers(0, 15, 40)]
    keys = list(dict.fromkeys(clusters))
    means = []
    for times in np.random.default_rng(0).multinomial(len(keys), [1 / len(keys)] * len(keys), 300):
        drawn = [
            values[row]
            for key, count in zip(keys, times, strict=True)
            for _ in range(count)
            for row in range(40)
            if clusters[row] == key
        ]
        means.append(np.mean(drawn, axis=0))
    low, high = bootstrap(values, clusters, draws=300)
    assert np.allclose(low, np.quantile(means, 0.025, axis=0))
    assert np.allclose(high, np.quantile(means, 0.975, axis=0))


def test_queries_of_one_cluster_are_no_independent_evidence() -> None:
    values = np.repeat(np.array([[0.0], [1.0]] * 10), 10, axis=0)
    own = bootstrap(values, list(range(200)))
    together = bootstrap(values, [row // 10 for row in range(200)])
    assert together[1] - together[0] > 2.5 * (own[1] - own[0])


def test_seeds_are_told_apart_from_queries() -> None:
    figures = estimates(np.array([[0, 0, 0, 0], [5, 5, 5, 5]]), list("abcd"))
    recall = figures["recall@1"]
    assert recall.mean == 0.5
    assert recall.spread == pytest.approx(np.std([1.0, 0.0], ddof=1))
    assert (recall.low, recall.high) == (0.5, 0.5)  # every query is right in one of two seeds
