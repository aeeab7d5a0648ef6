"""Galleries of other sizes, made-up objects, noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.evaluation import distractors
from uni4d.evaluation.arms import unit
from uni4d.evaluation.curves import among_others, gallery_sizes, noise_curve, smaller_galleries
from uni4d.evaluation.distractors import Mixture, calibration, with_distractors
from uni4d.evaluation.metrics import best_ranks, chance
from uni4d.evaluation.tasks import RetrievalTask
from uni4d_shared.progress import silent

Array = NDArray[Any]

COUNT, WIDTH = 120, 16


@pytest.fixture(scope="module")
def task() -> RetrievalTask:
    """A text per object; objects 0 and 1 are right for each other."""
    right = np.eye(COUNT, dtype=bool)
    right[0, 1] = right[1, 0] = True
    names = tuple(f"object {number}" for number in range(COUNT))
    return RetrievalTask("r-name", "by name", names, right, names)


@pytest.fixture(scope="module")
def vectors() -> tuple[Array, Array]:
    """Texts and objects in four clusters; each text is near its object."""
    random = np.random.default_rng(0)
    centres = 2.0 * random.normal(size=(4, WIDTH))
    objects = unit(centres[np.arange(COUNT) % 4] + random.normal(size=(COUNT, WIDTH)))
    return unit(objects + 0.12 * random.normal(size=(COUNT, WIDTH))), objects


def test_sizes_go_up_to_what_there_is() -> None:
    assert gallery_sizes(206) == [100, 150]
    assert gallery_sizes(1100) == [100, 150, 200, 300, 500, 700]
    assert gallery_sizes(90) == []


def test_in_smaller_galleries_more_is_found(task: RetrievalTask, vectors: tuple[Array, Array]) -> None:
    points = smaller_galleries(task, *vectors, [5, 20, 60, COUNT], 40, 0)
    recalls = [point.values["recall@1"] for point in points]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] > recalls[-1] + 0.05
    whole = best_ranks(task.scores(*vectors), task.goals)
    assert recalls[-1] == pytest.approx((whole == 0).mean())


def test_others_that_would_be_right_do_not_count(task: RetrievalTask, vectors: tuple[Array, Array]) -> None:
    texts, objects = vectors
    others = texts[:3]  # exactly what is asked for: each would come first
    nobody, everybody = np.zeros((COUNT, 3), bool), np.ones((COUNT, 3), bool)
    alone = (best_ranks(task.scores(texts, objects), task.goals) < 1).mean()
    assert among_others(task, texts, objects, others, nobody).values["recall@1"] == pytest.approx(alone)
    among = among_others(task, texts, objects, others, everybody)
    assert among.values["recall@1"] <= alone - 1 / COUNT
    assert among.x == COUNT + 3


def test_no_noise_changes_nothing_and_much_leaves_chance(
    task: RetrievalTask, vectors: tuple[Array, Array]
) -> None:
    nothing, some, much = noise_curve(task, *vectors, [0.0, 0.5, 100.0], 20, 0)
    ranks = best_ranks(task.scores(*vectors), task.goals)
    assert nothing.values["recall@1"] == pytest.approx((ranks == 0).mean())
    assert nothing.values["mrr"] > some.values["mrr"] > much.values["mrr"]
    assert much.values["recall@10"] == pytest.approx(chance(task.goals)["recall@10"], abs=0.03)


def test_made_up_objects_are_spread_as_the_real_ones(vectors: tuple[Array, Array]) -> None:
    _, objects = vectors
    made_up = Mixture.fit(objects).draw(6000, np.random.default_rng(1))
    assert np.allclose(np.linalg.norm(made_up, axis=1), 1.0, atol=1e-5)
    assert np.abs(made_up.mean(axis=0) - objects.mean(axis=0)).max() < 0.04
    real, drawn = np.cov(objects.T), np.cov(made_up.T)
    assert np.linalg.norm(real - drawn) < 0.2 * np.linalg.norm(real)
    assert (made_up @ objects.T).max(axis=1).mean() < 0.98  # no copies


def test_cosines_without_vectors_are_those_of_the_vectors(vectors: tuple[Array, Array]) -> None:
    texts, objects = vectors
    mixture = Mixture.fit(objects)
    plain = mixture.draw(500, np.random.default_rng(2)) @ texts.T
    assert np.allclose(mixture.scores(texts)(500, np.random.default_rng(2)), plain, atol=1e-5)


def test_in_chunks_as_all_at_once(
    task: RetrievalTask, vectors: tuple[Array, Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts, objects = vectors
    monkeypatch.setattr(distractors, "_CHUNK", 64)
    mixture, sizes = Mixture.fit(objects), [200, 500]
    points = with_distractors(task, texts, objects, mixture, sizes, 3, silent)
    random, made_up, left = np.random.default_rng(3), [], 500 - COUNT
    for size in (64, 16, *[64] * 4, 44):  # chunks end where a size is reached
        made_up.append(mixture.draw(size, random))
        left -= size
    assert left == 0
    for point in points:
        gallery = np.concatenate([objects, *made_up])[: int(point.x)]
        right = np.zeros((COUNT, len(gallery)), bool)
        right[:, :COUNT] = task.goals
        ranks = best_ranks(texts @ gallery.T, right)
        assert point.values["recall@10"] == pytest.approx((ranks < 10).mean(), abs=1e-9)
        assert point.values["mrr"] == pytest.approx((1 / (1 + ranks)).mean(), abs=1e-3)
    assert points[0].values["mrr"] > points[1].values["mrr"]


def test_made_up_objects_stand_for_real_ones(task: RetrievalTask, vectors: tuple[Array, Array]) -> None:
    texts, objects = vectors
    real, mixed = calibration(task, texts, objects, Mixture.fit(objects), 60, 30, 0)
    assert (real.x, mixed.x) == (COUNT, COUNT)
    assert real.values["recall@1"] == pytest.approx(mixed.values["recall@1"], abs=0.12)


def test_queries_that_count_are_the_same_with_made_up_objects(vectors: tuple[Array, Array]) -> None:
    names = tuple(f"object {number}" for number in range(COUNT))
    queries = np.array([3, 7, 11])
    part = RetrievalTask("r", "r", names, np.eye(COUNT, dtype=bool), names[:3], queries=queries)
    [point] = with_distractors(part, *vectors, Mixture.fit(vectors[1]), [COUNT + 50], 0, silent)
    assert round(point.values["recall@10"] * 3, 6) in (0, 1, 2, 3)
