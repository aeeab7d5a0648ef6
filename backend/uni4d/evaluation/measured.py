"""Tables and curves from the vectors of all runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.evaluation import curves
from uni4d.evaluation.curves import CurvePoint
from uni4d.evaluation.distractors import Mixture, calibration, with_distractors
from uni4d.evaluation.embeddings import Embedded
from uni4d.evaluation.metrics import METRICS, Estimate, best_ranks, bootstrap, chance, estimates, values_of
from uni4d.evaluation.tasks import RetrievalTask, described, name_key
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import Progress, section

__all__ = ["Curves", "Measured", "TaskFigures", "reference_of"]

Array = NDArray[Any]

Curves = dict[str, dict[str, list[CurvePoint]]]
"""Task → arm → points, each the mean over seeds."""

_REFERENCES = ("atms", "atms-kernel")
"""The arm that the others are compared with, query by query: the last of these that is measured."""

_CURVE_TASKS = ("r-name", "r-instance")
_NOISE_LENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
_NOISE_DRAWS = 5
_REAL_SHARE = 0.5
"""Of the gallery in :func:`uni4d.evaluation.distractors.calibration`."""


@frozen
class TaskFigures:
    """One table."""

    key: str
    title: str
    queries: int
    gallery: int
    chance: dict[str, float]
    arms: dict[str, dict[str, Estimate]]
    """Arm → metric → figure."""
    ahead: dict[str, dict[str, Estimate]]
    """Arm → metric → by how much :attr:`reference` is ahead of it on the same queries."""
    reference: str
    """Empty when no arm of ATMS is measured."""


class Measured:
    """All runs over the test objects."""

    def __init__(
        self,
        features: AssetFeatures,
        questions: Sequence[RetrievalTask],
        texts: Mapping[str, int],
        runs: Sequence[Embedded],
    ) -> None:
        self._features = features
        self.questions = questions
        self._texts = texts
        self.runs = runs
        self._arms = list(dict.fromkeys(run.arm for run in runs))
        splits = features.splits
        self._test, self._others = np.flatnonzero(splits == "test"), np.flatnonzero(splits != "test")

    def vectors(self, task: RetrievalTask, run: Embedded) -> tuple[Array, Array]:
        """The task's texts ``[T, E]`` and the test objects ``[N, E]`` as ``run`` embeds them."""
        return run.texts[[self._texts[text] for text in task.texts]], run.objects[self._test]

    def tables(self) -> list[TaskFigures]:
        """One per task."""
        return [self._table(task) for task in self.questions]

    def _table(self, task: RetrievalTask) -> TaskFigures:
        goals = task.goals
        ranks = {
            arm: np.stack([best_ranks(task.scores(*self.vectors(task, run)), goals) for run in self._of(arm)])
            for arm in self._arms
        }
        reference = reference_of(self._arms)
        rivals = [arm for arm in self._arms if reference and arm != reference]
        return TaskFigures(
            task.key,
            task.title,
            len(goals),
            goals.shape[1],
            chance(goals),
            {arm: estimates(ranks[arm], task.clusters) for arm in self._arms},
            {arm: _ahead(ranks[reference], ranks[arm], task.clusters) for arm in rivals},
            reference,
        )

    def galleries(self, draws: int, progress: Progress) -> Curves:
        """Metrics by the number of real objects in the gallery."""
        sizes = curves.gallery_sizes(len(self._test))

        def one(task: RetrievalTask, run: Embedded, report: Progress) -> list[CurvePoint]:
            texts, objects = self.vectors(task, run)
            whole = curves.point(len(objects), best_ranks(task.scores(texts, objects), task.goals))
            among = curves.among_others(
                task, texts, objects, run.objects[self._others], self._wrong_among_others(task)
            )
            return [
                *curves.smaller_galleries(task, texts, objects, sizes, draws, run.seed),
                whole,
                among,
            ]

        return self._curves(one, self.runs, progress)

    def noise(self, progress: Progress) -> Curves:
        """Metrics by the length of noise on the gallery's vectors."""

        def one(task: RetrievalTask, run: Embedded, report: Progress) -> list[CurvePoint]:
            texts, objects = self.vectors(task, run)
            return curves.noise_curve(task, texts, objects, _NOISE_LENGTHS, _NOISE_DRAWS, run.seed)

        return self._curves(one, self.runs, progress)

    def scaled(self, sizes: Sequence[int], progress: Progress) -> Curves:
        """Metrics in galleries filled up with made-up objects; of the first seed."""

        def one(task: RetrievalTask, run: Embedded, report: Progress) -> list[CurvePoint]:
            texts, objects = self.vectors(task, run)
            mixture = Mixture.fit(objects, run.seed)
            whole = curves.point(len(objects), best_ranks(task.scores(texts, objects), task.goals))
            return [whole, *with_distractors(task, texts, objects, mixture, sizes, run.seed, report)]

        return self._curves(one, self._first_runs(), progress)

    def calibrations(self, draws: int, progress: Progress) -> Curves:
        """Per task and arm two points: all real, and filled up with made-up objects; of the first seed."""

        def one(task: RetrievalTask, run: Embedded, report: Progress) -> list[CurvePoint]:
            texts, objects = self.vectors(task, run)
            real = max(1, round(_REAL_SHARE * len(objects)))
            mixture = Mixture.fit(objects, run.seed)
            return list(calibration(task, texts, objects, mixture, real, draws, run.seed))

        return self._curves(one, self._first_runs(), progress)

    def scored(self, arm: str) -> Iterator[tuple[RetrievalTask, Array]]:
        """Every task with the scores ``[Q, G]`` of the arm's first run."""
        run = self._of(arm)[0]
        for task in self.questions:
            yield task, task.scores(*self.vectors(task, run))

    def _curves(
        self,
        one: Callable[[RetrievalTask, Embedded, Progress], list[CurvePoint]],
        runs: Sequence[Embedded],
        progress: Progress,
    ) -> Curves:
        """``one`` of every curve task and run; the mean over each arm's seeds."""
        tasks = [task for task in self.questions if task.key in _CURVE_TASKS]
        total, done, found = len(tasks) * len(runs), 0, Curves()
        for task in tasks:
            seeds: dict[str, list[list[CurvePoint]]] = {}
            for run in runs:
                report = section(progress, done / total, (done + 1) / total)
                report(0.0, f"{task.key}, {run.arm}, seed {run.seed}")
                seeds.setdefault(run.arm, []).append(one(task, run, report))
                done += 1
            found[task.key] = {arm: _mean_curve(curve) for arm, curve in seeds.items()}
        return found

    def _wrong_among_others(self, task: RetrievalTask) -> Array:
        """``[Q, M]`` bool: which objects outside the test are wrong answers to which text of ``task``."""
        others = self._features.rows(self._others)
        words = others.names if task.key == "r-name" else described(others)
        mine = np.array([name_key(text) for text in task.texts], dtype=object)
        return np.asarray(mine[:, None] != np.array([name_key(text) for text in words], dtype=object)[None])

    def _of(self, arm: str) -> list[Embedded]:
        return [run for run in self.runs if run.arm == arm]

    def _first_runs(self) -> list[Embedded]:
        return [self._of(arm)[0] for arm in self._arms]


def reference_of(arms: Sequence[str]) -> str:
    """The arm that the others are compared with; empty when it is not among them."""
    return next((arm for arm in reversed(_REFERENCES) if arm in arms), "")


def _ahead(reference: Array, other: Array, clusters: Sequence[str]) -> dict[str, Estimate]:
    """How much better ``reference`` is than ``other``, both ranks ``[S, Q]`` of the same queries."""
    difference = values_of(reference).mean(axis=0) - values_of(other).mean(axis=0)
    low, high = bootstrap(difference, clusters)
    return {
        metric: Estimate(float(difference[:, column].mean()), float(low[column]), float(high[column]), None)
        for column, metric in enumerate(METRICS)
    }


def _mean_curve(seeds: Sequence[Sequence[CurvePoint]]) -> list[CurvePoint]:
    return [
        CurvePoint(
            column[0].x,
            {metric: float(np.mean([at.values[metric] for at in column])) for metric in METRICS},
        )
        for column in zip(*seeds, strict=True)
    ]
