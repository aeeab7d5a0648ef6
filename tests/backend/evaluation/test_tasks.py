"""Which answers are right."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import evolve

from uni4d.evaluation.tasks import RetrievalTask, tasks_of
from uni4d.library.features import AssetFeatures


@pytest.fixture
def few(world: AssetFeatures) -> AssetFeatures:
    """Five objects: two lamps by name, a copy of the first lamp under another name, a chair, a thing."""
    return evolve(
        world.rows(range(5)),
        uids=("a", "b", "c", "d", "e"),
        names=("Lamp", "lamp ", "torch", "Chair", "Thing"),
        texts=(("Lamp", "light"), ("lamp ", "red"), ("torch",), ("Chair",), ("chair",)),
        categories=("Lights", "lights", "Lights", "Seats", ""),
        groups=("a", "b", "a", "d", "e"),
    )


def _by_key(features: AssetFeatures, seen: set[str] = frozenset()) -> dict[str, RetrievalTask]:  # type: ignore[assignment]
    return {task.key: task for task in tasks_of(features, seen)}


def _right(task: RetrievalTask, query: int) -> list[int]:
    return np.flatnonzero(task.goals[query]).tolist()


def test_by_name_copies_and_other_spellings_are_right(few: AssetFeatures) -> None:
    task = _by_key(few)["r-name"]
    assert [_right(task, query) for query in range(5)] == [[0, 1, 2], [0, 1, 2], [0, 2], [3], [4]]


def test_unseen_names_are_asked_in_the_same_gallery(few: AssetFeatures) -> None:
    tasks = _by_key(few, {"LAMP", "thing"})
    task = tasks["r-unseen"]
    assert task.goals.shape == (2, 5)
    assert [_right(task, query) for query in range(2)] == [[0, 2], [3]]
    assert len(task.clusters) == 2
    scores = task.scores(np.eye(5), np.eye(5))
    assert scores.argmax(axis=1).tolist() == [2, 3]


def test_without_unseen_names_there_is_no_such_task(few: AssetFeatures) -> None:
    assert "r-unseen" not in _by_key(few, {"lamp", "torch", "chair", "thing"})


def test_by_instance_copies_and_equal_texts_are_right(few: AssetFeatures) -> None:
    task = _by_key(few)["r-instance"]
    assert task.texts == ("Lamp, light", "lamp , red", "torch", "Chair", "chair")
    assert [_right(task, query) for query in range(5)] == [[0, 2], [1], [0, 2], [3, 4], [3, 4]]


def test_categories_in_both_directions(few: AssetFeatures) -> None:
    tasks = _by_key(few)
    words, objects = tasks["c-category"], tasks["c-category-of-object"]
    assert words.texts == ("a 3D model of a lights", "a 3D model of a seats")
    assert [_right(words, query) for query in range(2)] == [[0, 1, 2], [3]]
    assert objects.goals.tolist() == [[True, False]] * 3 + [[False, True]]  # the thing has no category
    assert objects.scores(np.eye(2, 5), np.eye(5)).shape == (4, 2)
