"""Checks that a measurement measures what it says; one that fails makes the whole evaluation fail.

``vectors``   where an object stands in the gallery, and which others stand there, does not change its vector;
              its words do not either, unless the arm says that it reads them
``order``     permuting the gallery changes no rank
``labels``    with the answers shuffled among the gallery, every metric is what guessing gives
``training``  an arm that learnt from shuffled words finds unseen objects no better than guessing does
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from uni4d.evaluation.arms import Arm
from uni4d.evaluation.metrics import METRICS, best_ranks, chance, values_of
from uni4d.evaluation.tasks import RetrievalTask
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import Progress

__all__ = ["Check", "check_embedding", "check_labels", "check_order", "check_training"]

Array = NDArray[Any]

_SAME = 2e-4
"""How far two computations of one unit vector's component may differ by rounding."""
_SHUFFLES = 200
_SIGMAS = 5.0
"""How far the mean over shuffles may be from chance, in standard errors: a false alarm in 1.7 million."""


@frozen
class Check:
    """One check and how it went."""

    kind: Literal["vectors", "order", "labels", "training"]
    subject: str
    """Arm, seed, task."""
    passed: bool
    detail: str


def check_embedding(arm: Arm, gallery: AssetFeatures, vectors: Array, seed: int) -> Check:
    """Half of the gallery in another order, embedded on its own and without its words, gives ``vectors``."""
    rows = np.random.default_rng(seed).permutation(len(gallery))[: max(1, len(gallery) // 2)]
    part = gallery.rows(rows)
    if not arm.reads_texts:
        words = ("thing",) * len(part)
        part = evolve(part, names=words, texts=tuple((word,) for word in words), categories=words)
    furthest = float(np.abs(arm.embed_assets(part) - vectors[rows]).max())
    return Check(
        "vectors", f"{arm.name}, seed {seed}", furthest < _SAME, f"largest difference {furthest:.1e}"
    )


def check_order(arm: str, task: RetrievalTask, scores: Array, seed: int) -> Check:
    """Ranks in a shuffled gallery are the ranks."""
    goals = task.goals
    order = np.random.default_rng(seed).permutation(goals.shape[1])
    same = np.array_equal(best_ranks(scores, goals), best_ranks(scores[:, order], goals[:, order]))
    return Check("order", f"{arm}, {task.key}", same, "ranks are equal" if same else "ranks changed")


def check_labels(arm: str, task: RetrievalTask, scores: Array, seed: int) -> Check:
    """Answers shuffled among the gallery give chance.

    Ties are broken at random here, for they count against us otherwise and chance would not be reached.
    """
    random = np.random.default_rng(seed)
    goals, expected = task.goals, chance(task.goals)
    tied = random.permutation(goals.shape[1])
    places = np.argsort(np.argsort(-scores[:, tied], axis=1, kind="stable"), axis=1)
    found = np.empty((_SHUFFLES, len(METRICS)))
    for shuffle in range(_SHUFFLES):
        shuffled = goals[:, random.permutation(goals.shape[1])]
        ahead = np.where(shuffled, places, goals.shape[1]).min(axis=1)
        found[shuffle] = values_of(ahead).mean(axis=0)
    wanted = np.array([expected[metric] for metric in METRICS])
    error = found.std(axis=0, ddof=1) / np.sqrt(_SHUFFLES)
    off = np.abs(found.mean(axis=0) - wanted)
    worst = int(np.argmax(off - _SIGMAS * error))
    return Check(
        "labels",
        f"{arm}, {task.key}",
        bool((off <= _SIGMAS * error + 1e-9).all()),
        f"{METRICS[worst]} {found.mean(axis=0)[worst]:.4f}, chance {wanted[worst]:.4f}",
    )


def check_training(
    arm: Arm, features: AssetFeatures, task: RetrievalTask, shuffles: int, progress: Progress
) -> Check:
    """``arm`` trained on objects whose words were dealt out anew is no better on ``task`` than guessing.

    What could make it better is knowledge of the test's answers that came in by another way. Few trainings
    vary: the mean of recall@10 must be below twice chance.
    """
    train, validation, test = (features.split(name) for name in ("train", "validation", "test"))
    expected, found = chance(task.goals)["recall@10"], []
    for seed in range(shuffles):
        arm.fit(_dealt_anew(train, seed), _dealt_anew(validation, seed), seed, progress)
        ranks = best_ranks(task.scores(arm.embed_texts(task.texts), arm.embed_assets(test)), task.goals)
        found.append(float((ranks < 10).mean()))
    mean = float(np.mean(found))
    return Check(
        "training",
        f"{arm.name}, {task.key}",
        mean < 2.0 * expected,
        f"recall@10 {mean:.4f} over {shuffles} trainings, chance {expected:.4f}",
    )


def _dealt_anew(features: AssetFeatures, seed: int) -> AssetFeatures:
    """The same objects with each other's words."""
    order = np.random.default_rng(seed).permutation(len(features))

    def dealt(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[row] for row in order)

    return evolve(
        features,
        names=dealt(features.names),
        texts=dealt(features.texts),
        categories=dealt(features.categories),
    )
