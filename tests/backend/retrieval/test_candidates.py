"""Which assets of a large library a query is compared with: against a plain loop over all rankings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.library.catalog import AssetTable, Catalog
from uni4d.retrieval import candidates
from uni4d.retrieval.candidates import Candidates, build_candidates, open_candidates
from uni4d.retrieval.index import IndexConfig, IvfConfig
from uni4d_shared.progress import Cancelled

Array = NDArray[Any]

COUNT, TOP = 900, 5
CONFIG = IndexConfig(exact_limit=100, ivf=IvfConfig(probes=20, compared=30))
RANDOM = np.random.default_rng(0)


def unit(count: int, dimensions: int) -> Array:
    vectors = RANDOM.standard_normal((count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


TABLE = AssetTable(
    (), np.ones(COUNT), unit(COUNT, 16), unit(COUNT, 16), unit(COUNT, 8), (), np.ones((COUNT, 3))
)


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Candidates:
    monkeypatch.setattr(candidates, "_FIRST", 25)
    return open_candidates(tmp_path, TABLE, CONFIG)


def first(scores: Array, allowed: Array, count: int) -> set[int]:
    """The slow twin of one ranking."""
    order = sorted(np.flatnonzero(allowed), key=lambda row: -scores[row])
    return {int(row) for row in order[:count]}


@pytest.mark.parametrize("share", [1.0, 0.2, 0.01, 0.0])
def test_candidates_are_the_first_of_every_ranking(opened: Candidates, share: float) -> None:
    allowed = RANDOM.random(COUNT) < share
    words, text, shape = RANDOM.random(COUNT), unit(1, 16)[0], unit(1, 8)[0]
    rows = opened.rows(TOP, allowed, words, text, [shape])
    rankings = (words, TABLE.text_vector @ text, TABLE.shape_vector @ shape)
    expected = first(words, np.ones(COUNT, bool), 25).union(*(first(by, allowed, 25) for by in rankings))
    assert np.all(np.diff(rows) > 0)
    assert len(set(rows.tolist()) ^ expected) <= 0.05 * len(expected)


def test_many_hits_need_many_candidates(opened: Candidates) -> None:
    allowed = np.ones(COUNT, bool)
    assert len(opened.rows(50, allowed, RANDOM.random(COUNT), None, [])) == 200
    assert len(opened.rows(COUNT, allowed, RANDOM.random(COUNT), None, [])) == COUNT


def test_indexes_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if fraction > 0.6:
            raise Cancelled

    with pytest.raises(Cancelled):
        build_candidates(tmp_path, TABLE, CONFIG, stop)
    assert not list(tmp_path.iterdir())
    said: list[float] = []
    build_candidates(tmp_path, TABLE, CONFIG, lambda fraction, _: said.append(fraction))
    assert said == sorted(said)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_a_damaged_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    open_candidates(tmp_path, TABLE, CONFIG)
    for path in tmp_path.rglob("ivf.json"):
        path.unlink()
    open_candidates(tmp_path, TABLE, CONFIG)
    assert len(list(tmp_path.rglob("ivf.json"))) == 2


def test_indexes_go_when_the_table_is_written(tmp_path: Path) -> None:
    """Whoever writes it: what they were made from is no more."""
    build_candidates(tmp_path, TABLE, CONFIG)
    none = {name: np.ones((0, 3)) for name in ("name_vector", "text_vector", "shape_vector", "extents")}
    Catalog(tmp_path).write_assets(AssetTable(entries=(), faces=np.ones(0), groups=(), **none))
    assert not (tmp_path / "vectors").exists()
