"""Vector search: the exact index against a plain sort, the stored one against exact search; after changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from uni4d.retrieval.index import ExactIndex, IndexConfig, IvfConfig, StoredIndex, VectorBatch
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled

Array = NDArray[Any]

DIMENSIONS = 24
SMALL = IndexConfig(exact_limit=500, ivf=IvfConfig(probes=24, compared=100))


def unit(count: int, seed: int = 0, dimensions: int = DIMENSIONS) -> Array:
    """Clustered unit vectors."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dimensions))
    vectors = centres[random.integers(20, size=count)] + 0.7 * random.standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def batches(vectors: Array, size: int = 400) -> Iterator[VectorBatch]:
    for start in range(0, len(vectors), size):
        rows = np.arange(start, min(start + size, len(vectors)))
        yield VectorBatch(rows, vectors[rows], {"faces": (rows * 10).tolist()})


def plain(vectors: Array, queries: Array, k: int, rows: Array | None = None) -> tuple[Array, Array]:
    """The slow twin: every score, a whole stable sort."""
    rows = np.arange(len(vectors)) if rows is None else rows
    scores = queries @ vectors[rows].T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return rows[order], np.take_along_axis(scores, order, axis=1)


def recall(found: Array, expected: Array) -> float:
    return float(np.mean([len(set(f) & set(e)) / len(e) for f, e in zip(found, expected, strict=True)]))


# --- exact ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 300, 3_000, 70_001])
@pytest.mark.parametrize("k", [1, 10])
def test_exact_search_is_the_plain_sort(count: int, k: int) -> None:
    vectors, queries = unit(count), unit(5, seed=1)
    rows, scores = ExactIndex(vectors).search(queries, k)
    expected, best = plain(vectors, queries, k)
    np.testing.assert_allclose(scores, best, atol=1e-6)
    exact = plain(vectors.astype(np.float64), queries.astype(np.float64), min(k + 1, count))[1]
    clear = np.all(np.diff(exact, axis=1) < -1e-6, axis=1)  # rounding may swap what is nearly equal
    np.testing.assert_array_equal(rows[clear], expected[clear])
    assert rows.dtype == np.int64
    assert scores.dtype == np.float32


def test_one_query_and_many_agree() -> None:
    index, queries = ExactIndex(unit(9_000)), unit(40, seed=1)
    together = index.search(queries, 12)
    for place, query in enumerate(queries):
        rows, scores = index.search(query, 12)
        assert rows.shape == scores.shape == (1, 12)
        np.testing.assert_array_equal(rows[0], together[0][place])
        np.testing.assert_allclose(scores[0], together[1][place], atol=1e-6)


def test_equal_scores_go_by_row() -> None:
    one = unit(1)
    index = ExactIndex(np.repeat(one, 2_000, axis=0), np.arange(2_000)[::-1])
    rows, _ = index.search(one, 30)
    np.testing.assert_array_equal(rows[0], np.arange(30))


def test_the_length_of_a_query_does_not_matter() -> None:
    index, query = ExactIndex(unit(100)), unit(1, seed=1)
    np.testing.assert_allclose(index.search(query * 7.0, 3)[1], index.search(query, 3)[1], atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.6, 1.0])
def test_only_allowed_rows_are_found(share: float) -> None:
    vectors, queries = unit(4_000), unit(3, seed=1)
    numbers = np.arange(4_000) * 3 + 5
    mask = np.zeros(numbers[-1] + 1, bool)
    mask[numbers] = np.random.default_rng(2).random(4_000) < share
    index = ExactIndex(vectors, numbers)
    rows, scores = index.search(queries, 8, allowed=mask)
    listed = np.concatenate([np.flatnonzero(mask), [1, 10**9]])  # rows that do not exist do no harm
    again, _ = index.search(queries, 8, allowed=listed)
    np.testing.assert_array_equal(rows, again)
    expected, best = plain(vectors, queries, 8, np.flatnonzero(mask[numbers]))
    np.testing.assert_array_equal(rows, numbers[expected])
    np.testing.assert_allclose(scores, best, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 30), st.integers(0, 2**16))
def test_coarse_scores_with_many_ties_are_ordered_too(count: int, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    vectors = np.eye(4, dtype=np.float32)[random.integers(4, size=count)]
    rows, scores = ExactIndex(vectors).search(np.array([4.0, 3.0, 2.0, 1.0]), k)
    order = np.lexsort((np.arange(count), np.argmax(vectors, axis=1)))[:k]
    np.testing.assert_array_equal(rows[0], order)
    assert np.all(np.diff(scores) <= 0.0)


@pytest.mark.parametrize("bad", [np.zeros((2, 4)), np.full((2, 4), np.nan), np.ones((2, 4)), np.ones(4)])
def test_vectors_that_are_not_unit_are_refused(bad: Array) -> None:
    with pytest.raises(Uni4DError) as caught:
        ExactIndex(bad)
    assert caught.value.code == "bad-vectors"


@pytest.mark.parametrize("bad", [np.zeros(24), np.full(24, np.inf), np.ones(23)])
def test_queries_that_make_no_sense_are_refused(bad: Array) -> None:
    with pytest.raises(Uni4DError) as caught:
        ExactIndex(unit(10)).search(bad, 1)
    assert caught.value.code == "bad-vectors"


# --- stored -----------------------------------------------------------------------------------------


def test_a_small_gallery_is_stored_and_searched_exactly(tmp_path: Path) -> None:
    vectors, queries = unit(450), unit(6, seed=1)
    built = StoredIndex.build(tmp_path, batches(vectors), SMALL)
    opened = StoredIndex(tmp_path, SMALL)
    assert built.is_exact and len(opened) == 450 and opened.dimensions == DIMENSIONS
    for index in (built, opened):
        np.testing.assert_array_equal(index.search(queries, 5)[0], plain(vectors, queries, 5)[0])
    rows, _ = opened.search(queries, 5, where="faces < 1000", allowed=np.arange(50, 450))
    np.testing.assert_array_equal(rows, plain(vectors, queries, 5, np.arange(50, 100))[0])


def test_changes_of_a_small_gallery_are_found(tmp_path: Path) -> None:
    vectors = unit(420)
    index = StoredIndex.build(tmp_path, batches(vectors[:400]), SMALL)
    index.search(vectors[:1], 1)
    _change(index, vectors)


def _change(index: StoredIndex, vectors: Array) -> None:
    """Append, replace and delete; each is seen by the next search. ``vectors`` ends in 20 unwritten ones."""
    size = len(vectors) - 20
    new = np.arange(size, size + 20)
    index.append(VectorBatch(new, vectors[new], {"faces": [0] * 20}))
    np.testing.assert_array_equal(index.search(vectors[new], 1)[0][:, 0], new)
    swapped = VectorBatch(np.array([3, size + 500]), -vectors[[3, 4]], {"faces": [0, 0]})
    index.upsert(swapped)
    np.testing.assert_array_equal(index.search(-vectors[[3, 4]], 1)[0][:, 0], swapped.rows)
    assert len(index) == size + 21
    index.delete([3, *new[:10], 10**9])
    assert len(index) == size + 10
    found, _ = index.search(np.concatenate([vectors[new[:10]], -vectors[[3]]]), 5)
    assert not set(found.ravel()) & {3, *new[:10].tolist()}
    with pytest.raises(Uni4DError) as caught:
        index.append(VectorBatch(np.array([5]), vectors[:1], {"faces": [0]}))
    assert caught.value.code == "bad-vectors"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Array]:
    """A gallery past the limit, with its index."""
    folder, vectors = tmp_path_factory.mktemp("large"), unit(16_000)
    said: list[tuple[float, str]] = []
    StoredIndex.build(folder, batches(vectors), SMALL, lambda *step: said.append(step), total=16_000)
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("index" in message for _, message in said)
    return folder, vectors


@pytest.mark.slow
def test_the_index_finds_what_exact_search_finds(large: tuple[Path, Array]) -> None:
    folder, vectors = large
    index, queries = StoredIndex(folder, SMALL), unit(60, seed=1)
    assert not index.is_exact
    rows, scores = index.search(queries, 10)
    expected, best = plain(vectors, queries, 10)
    assert recall(rows, expected) >= 0.98
    np.testing.assert_allclose(scores, np.einsum("qkd,qd->qk", vectors[rows], queries), atol=1e-5)
    assert np.all(np.diff(scores, axis=1) <= 0.0)
    assert np.all(scores <= best + 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("restriction", ["few", "many", "against", "where", "both", "none"])
def test_the_index_keeps_to_what_is_allowed(large: tuple[Path, Array], restriction: str) -> None:
    folder, vectors = large
    index, queries = StoredIndex(folder, SMALL), unit(8, seed=1)
    every = np.arange(len(vectors))
    if restriction == "against":
        queries = queries[:1]
    # More rows than are named in a query, and none among the nearest that are looked through for them.
    far = np.sort(np.argsort(queries[0] @ vectors.T)[:10_500])
    allowed, where, rows = {
        "few": (every[::50], "", every[::50]),
        "many": (every % 10 != 0, "", every[every % 10 != 0]),
        "against": (far, "", far),
        "where": (None, "faces < 3000", every[:300]),
        "both": (every[::2], "faces < 3000", every[:300:2]),
        "none": (np.zeros(0, int), "", every[:0]),
    }[restriction]
    found, scores = index.search(queries, 10, allowed=allowed, where=where)
    assert set(found.ravel()) <= set(rows)
    expected, _ = plain(vectors, queries, 10, rows)
    assert found.shape == scores.shape == expected.shape
    assert not found.size or recall(found, expected) >= 0.95


@pytest.mark.slow
def test_changes_of_a_large_gallery_are_found(tmp_path: Path) -> None:
    vectors = unit(2_020)
    index = StoredIndex.build(tmp_path, batches(vectors[:2_000]), SMALL)
    _change(index, vectors)
    index.refresh()
    opened = StoredIndex(tmp_path, SMALL)
    assert opened.search(-vectors[[4]], 1)[0][0, 0] == 2_500


@pytest.mark.slow
def test_cancelling_the_index_leaves_a_gallery_that_can_be_searched(tmp_path: Path) -> None:
    vectors = unit(3_000)

    def stop(fraction: float, message: str) -> None:
        if "index" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        StoredIndex.build(tmp_path, batches(vectors), SMALL, stop)
    index = StoredIndex(tmp_path, SMALL)
    np.testing.assert_array_equal(index.search(vectors[:5], 1)[0][:, 0], np.arange(5))


def test_a_fault_among_the_batches_is_told_as_it_is(tmp_path: Path) -> None:
    def faulty() -> Iterator[VectorBatch]:
        yield from batches(unit(100))
        yield VectorBatch(np.array([100]), 2.0 * unit(1), {"faces": [0]})

    with pytest.raises(Uni4DError) as caught:
        StoredIndex.build(tmp_path, faulty(), SMALL)
    assert caught.value.code == "bad-vectors"
    assert "length 2" in caught.value.message


def test_a_failed_build_keeps_the_gallery_that_was_there(tmp_path: Path) -> None:
    vectors = unit(50)
    StoredIndex.build(tmp_path, batches(vectors), SMALL)

    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        StoredIndex.build(tmp_path, batches(-vectors), SMALL, stop)
    np.testing.assert_array_equal(StoredIndex(tmp_path, SMALL).search(vectors[:3], 1)[0][:, 0], np.arange(3))


def test_what_is_missing_or_wrong_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError) as caught:
        StoredIndex(tmp_path / "nothing", SMALL)
    assert caught.value.code == "index-missing"
    with pytest.raises(Uni4DError) as caught:
        StoredIndex.build(tmp_path, [], SMALL)
    assert caught.value.code == "bad-vectors"
    index = StoredIndex.build(tmp_path, batches(unit(50)), SMALL)
    with pytest.raises(Uni4DError) as caught:
        index.search(unit(1), 1, where="no such thing <")
    assert caught.value.code == "bad-filter"
    with pytest.raises(Uni4DError) as caught:
        index.append(VectorBatch(np.array([60]), unit(1, dimensions=8), {"faces": [0]}))
    assert caught.value.code == "bad-vectors"
