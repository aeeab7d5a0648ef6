"""How figures change with the size of the gallery and with noise on the embeddings.

Galleries of real objects: random parts of the test objects with the queries about them; all test objects;
and these among all other objects of the library (those that would be right answers left out, for an arm
has seen them). Larger galleries need :mod:`uni4d.evaluation.distractors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.evaluation.arms import unit
from uni4d.evaluation.metrics import METRICS, best_ranks, values_of
from uni4d.evaluation.tasks import RetrievalTask

__all__ = ["CurvePoint", "among_others", "gallery_sizes", "noise_curve", "point", "smaller_galleries"]

Array = NDArray[Any]


@frozen
class CurvePoint:
    """All metrics at one place of a curve."""

    x: float
    """The gallery's size, or the noise's length."""
    values: dict[str, float]


def point(x: float, ranks: Array) -> CurvePoint:
    """Means over everything in ``ranks``."""
    means = values_of(ranks.reshape(-1)).mean(axis=0)
    return CurvePoint(x, dict(zip(METRICS, means.tolist(), strict=True)))


def gallery_sizes(test: int) -> list[int]:
    """100, 150, 200, 300, 500, 700, 1000, … well below the number of test objects."""
    steps = (factor * 10**power for power in range(1, 7) for factor in (10, 15, 20, 30, 50, 70))
    return [size for size in steps if size <= 0.9 * test]


def smaller_galleries(
    task: RetrievalTask, texts: Array, objects: Array, sizes: Sequence[int], draws: int, seed: int
) -> list[CurvePoint]:
    """Metrics in random parts of the gallery; ``task`` asks one text per object, in the objects' order."""
    scores, goals = task.scores(texts, objects), task.goals
    random = np.random.default_rng(seed)
    points = []
    for size in sizes:
        parts = (random.choice(len(objects), size, replace=False) for _ in range(draws))
        ranks = [best_ranks(scores[np.ix_(rows, rows)], goals[np.ix_(rows, rows)]) for rows in parts]
        points.append(point(size, np.stack(ranks)))
    return points


def among_others(
    task: RetrievalTask, texts: Array, objects: Array, others: Array, allowed: Array
) -> CurvePoint:
    """Metrics where objects that are not of the test stand in the gallery as well.

    ``others`` ``[M, E]``; ``allowed`` ``[Q, M]`` bool: which of them are wrong answers to which query.
    """
    scores, goals = task.scores(texts, objects), task.goals
    best = np.where(goals, scores, -np.inf).max(axis=1, keepdims=True)
    before = ((texts @ others.T).astype(np.float64) >= best) & allowed
    return point(len(objects) + len(others), best_ranks(scores, goals) + before.sum(axis=1))


def noise_curve(
    task: RetrievalTask, texts: Array, objects: Array, lengths: Sequence[float], draws: int, seed: int
) -> list[CurvePoint]:
    """Metrics with N(0, σ²) added to every component of the gallery's unit vectors, which are then made unit
    vectors again. ``lengths`` are σ·√E, the noise's expected length, so that arms with longer vectors do not
    get more of it."""
    random = np.random.default_rng(seed)
    points = []
    for length in lengths:
        sigma = length / np.sqrt(objects.shape[1])
        ranks = []
        for _ in range(draws if length else 1):
            noise = sigma * random.standard_normal(objects.shape, dtype=np.float32)
            ranks.append(best_ranks(task.scores(texts, unit(objects + noise)), task.goals))
        points.append(point(length, np.stack(ranks)))
    return points
