"""The inverted file beside a table: what it finds, how it keeps up with changes, what it makes of damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.retrieval.ivf import IvfConfig, IvfIndex, Piece, build_ivf, open_ivf
from uni4d.retrieval.vector_table import VectorBatch, VectorTable
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled

Array = NDArray[Any]

CONFIG = IvfConfig(probes=24, compared=50)


def unit(count: int, seed: int = 0, dimensions: int = 24) -> Array:
    """Clustered unit vectors."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dimensions))
    vectors = centres[random.integers(20, size=count)] + 0.7 * random.standard_normal((count, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pieces(vectors: Array, size: int = 700) -> Iterator[Piece]:
    """Rows are places times ten."""
    for start in range(0, len(vectors), size):
        places = np.arange(start, min(start + size, len(vectors)))
        yield places * 10, np.zeros(len(places), np.int64), vectors[places]


def built(folder: Path, vectors: Array, config: IvfConfig = CONFIG) -> IvfIndex:
    build_ivf(folder, pieces(vectors), len(vectors), vectors.shape[1], config)
    return opened(folder, vectors.shape[1], config)


def opened(folder: Path, dimensions: int = 24, config: IvfConfig = CONFIG) -> IvfIndex:
    index = open_ivf(folder, config, dimensions)
    assert index is not None
    return index


def nearest(vectors: Array, queries: Array, k: int, may: Array) -> Array:
    """The slow twin: the places of the ``k`` best of those that may be found."""
    scores = np.where(may, queries @ vectors.T, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def recall(found: Array, expected: Array) -> float:
    return float(np.mean([len(set(f) & set(e)) / len(e) for f, e in zip(found, expected, strict=True)]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[IvfIndex, Array]:
    vectors = unit(6_000)
    return built(tmp_path_factory.mktemp("ivf"), vectors), vectors


def test_nearly_all_of_the_nearest_are_found_with_exact_scores(plain: tuple[IvfIndex, Array]) -> None:
    index, vectors = plain
    queries = unit(40, seed=1)
    rows, scores = index.search(queries, 10, np.ones(6_000, bool))
    assert recall(rows // 10, nearest(vectors, queries, 10, np.ones(6_000, bool))) >= 0.98
    np.testing.assert_allclose(scores, np.einsum("qkd,qd->qk", vectors[rows // 10], queries), atol=1e-6)
    assert np.all(np.diff(scores, axis=1) <= 0.0)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5])
def test_only_what_may_be_found_is_found_and_as_much_as_there_is(
    plain: tuple[IvfIndex, Array], share: float
) -> None:
    index, vectors = plain
    queries, may = unit(10, seed=2), np.random.default_rng(3).random(6_000) < share
    rows, scores = index.search(queries, 10, may)
    assert rows.shape == scores.shape == (10, min(10, int(may.sum())))
    assert may[rows // 10].all()
    assert not rows.size or recall(rows // 10, nearest(vectors, queries, rows.shape[1], may)) >= 0.98


def test_a_restriction_against_the_query_is_met_in_far_cells(plain: tuple[IvfIndex, Array]) -> None:
    index, vectors = plain
    query = unit(1, seed=4)
    may = np.zeros(6_000, bool)
    may[np.argsort(query[0] @ vectors.T)[:3_000]] = True  # the farther half
    rows, _ = index.search(query, 10, may)
    assert recall(rows // 10, nearest(vectors, query, 10, may)) >= 0.9


@pytest.mark.parametrize(("count", "dimensions"), [(1, 24), (5, 7), (300, 5)])
def test_few_vectors_and_odd_dimensions_do(tmp_path: Path, count: int, dimensions: int) -> None:
    vectors = unit(count, dimensions=dimensions)
    rows, _ = built(tmp_path, vectors).search(vectors, 1, np.ones(count, bool))
    np.testing.assert_array_equal(rows[:, 0] // 10, np.arange(count))


def test_vectors_are_added_without_building_anew(tmp_path: Path) -> None:
    vectors = unit(3_000)
    base = built(tmp_path, vectors[:2_800])
    added = [(rows + 28_000, written, new) for rows, written, new in pieces(vectors[2_800:], 90)]
    build_ivf(tmp_path, iter(added), 200, 24, CONFIG, base=base)
    index = opened(tmp_path)
    np.testing.assert_array_equal(index.rows, np.arange(3_000) * 10)
    np.testing.assert_array_equal(index.vectors, vectors)
    queries, all_of_them = unit(30, seed=1), np.ones(3_000, bool)
    found, _ = index.search(queries, 10, all_of_them)
    assert recall(found // 10, nearest(vectors, queries, 10, all_of_them)) >= 0.98
    assert len(list(tmp_path.glob("ivf-*"))) == 1


def test_cancelling_leaves_the_index_that_was_there(tmp_path: Path) -> None:
    vectors = unit(2_000)
    built(tmp_path, vectors)
    said: list[str] = []

    def stop(fraction: float, message: str) -> None:
        said.append(message)
        if fraction > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_ivf(tmp_path, pieces(-vectors), 2_000, 24, CONFIG, stop)
    assert any("centres" in message for message in said)
    rows, _ = opened(tmp_path).search(vectors[:3], 1, np.ones(2_000, bool))
    np.testing.assert_array_equal(rows[:, 0], [0, 10, 20])
    assert len(list(tmp_path.glob("ivf-*"))) == 1


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("name", ["codes.faiss", "vectors.f32", "rows.npy"])
@pytest.mark.parametrize("harm", [_flip, _truncate, Path.unlink])
def test_a_damaged_file_is_named_with_the_cure(
    tmp_path: Path, name: str, harm: Callable[[Path], object]
) -> None:
    built(tmp_path, unit(100))
    harm(next(tmp_path.glob("ivf-*")) / name)
    with pytest.raises(Uni4DError) as caught:
        open_ivf(tmp_path, CONFIG, 24)
    assert caught.value.code == "index-damaged"
    assert name in caught.value.message
    assert str(tmp_path / "ivf.json") in caught.value.cure


@pytest.mark.parametrize("change", [{"format": 99}, {"dimensions": 25}, {"digests": None}, None])
def test_a_foreign_manifest_is_refused(tmp_path: Path, change: dict[str, object] | None) -> None:
    built(tmp_path, unit(100))
    path = tmp_path / "ivf.json"
    path.write_text("no JSON" if change is None else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(Uni4DError) as caught:
        open_ivf(tmp_path, CONFIG, 24)
    assert caught.value.code == "index-damaged"


# --- beside a table ---------------------------------------------------------------------------------


def table_of(folder: Path, vectors: Array) -> VectorTable:
    batch = VectorBatch(np.arange(len(vectors)), vectors, {"even": [row % 2 for row in range(len(vectors))]})
    return VectorTable.write(folder, [batch], CONFIG)


@pytest.mark.slow
def test_a_table_is_searched_rightly_before_during_and_after_its_index(tmp_path: Path) -> None:
    vectors, queries = unit(4_000), unit(20, seed=1)
    table = table_of(tmp_path, vectors[:3_000])
    all_of_them = np.ones(4_000, bool)
    assert table.unindexed == 3_000
    old = np.arange(4_000) < 3_000
    assert recall(table.search(queries, 10)[0], nearest(vectors, queries, 10, old)) == 1.0
    table.build_index()
    assert table.unindexed == 0
    assert recall(table.search(queries, 10)[0], nearest(vectors, queries, 10, old)) >= 0.98

    table.append(VectorBatch(np.arange(3_000, 4_000), vectors[3_000:], {"even": [0] * 1_000}))
    vectors[:50] = -vectors[:50]
    table.upsert(VectorBatch(np.arange(50), vectors[:50], {"even": [0] * 50}))
    assert table.unindexed == 1_050
    for changed in (table, VectorTable(tmp_path, CONFIG)):
        assert recall(changed.search(queries, 10)[0], nearest(vectors, queries, 10, all_of_them)) >= 0.98
        np.testing.assert_array_equal(changed.search(vectors[:50], 1)[0][:, 0], np.arange(50))
    before = next(tmp_path.glob("ivf-*")) / "codes.faiss"
    table.build_index()  # adds what is new
    assert table.unindexed == 0 and not before.exists()
    np.testing.assert_array_equal(table.search(vectors[:50], 1)[0][:, 0], np.arange(50))

    gone = np.unique(table.search(queries, 10)[0])
    table.delete(gone)
    left = ~np.isin(np.arange(4_000), gone)
    assert recall(table.search(queries, 10)[0], nearest(vectors, queries, 10, left)) >= 0.98


def test_columns_of_the_table_itself_are_refused(tmp_path: Path) -> None:
    batch = VectorBatch(np.arange(3), unit(3), {"written": [1, 2, 3]})
    with pytest.raises(Uni4DError) as caught:
        VectorTable.write(tmp_path, [batch], CONFIG)
    assert caught.value.code == "bad-vectors"
    assert "'written'" in caught.value.message


@pytest.mark.slow
def test_an_index_of_another_table_says_nothing(tmp_path: Path) -> None:
    """Two tables of the same rows: each row was written at another time."""
    one, other = unit(1_500), unit(1_500, seed=5)
    table_of(tmp_path / "one", one).build_index()
    table = table_of(tmp_path / "other", other)
    for item in (tmp_path / "one").glob("ivf*"):
        (shutil.copytree if item.is_dir() else shutil.copy)(item, tmp_path / "other" / item.name)
    assert table.unindexed == 1_500
    queries = unit(5, seed=1)
    np.testing.assert_array_equal(
        table.search(queries, 5)[0], nearest(other, queries, 5, np.ones(1_500, bool))
    )


@pytest.mark.slow
def test_the_cure_of_a_damaged_index_works(tmp_path: Path) -> None:
    vectors = unit(1_500)
    table_of(tmp_path, vectors).build_index()
    _flip(next(tmp_path.glob("ivf-*")) / "codes.faiss")
    with pytest.raises(Uni4DError) as caught:
        VectorTable(tmp_path, CONFIG).search(vectors[:1], 1)
    assert caught.value.code == "index-damaged"
    (tmp_path / "ivf.json").unlink()
    table = VectorTable(tmp_path, CONFIG)
    table.build_index()
    assert table.unindexed == 0
    np.testing.assert_array_equal(table.search(vectors[:4], 1)[0][:, 0], np.arange(4))
