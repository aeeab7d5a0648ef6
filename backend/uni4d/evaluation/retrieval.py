"""Retrieval, measured (Uni4D §4.1, Table 2): every arm, every seed, every task, curves and checks.

All seeds share the test objects, which are decided by :func:`uni4d.library.features.split_of` and seen by
nobody before the end. A seed changes initialisation, sampling, and which part of the training objects is
learnt from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import field, frozen, validators
from numpy.typing import NDArray

from uni4d.evaluation.adapters import LinearAdapter
from uni4d.evaluation.arms import Arm, Sentences
from uni4d.evaluation.embeddings import Embedded, digest_of, embedded
from uni4d.evaluation.measured import Curves, Measured, TaskFigures
from uni4d.evaluation.roster import ARMS, OPTIONAL, Recipe, make_arms
from uni4d.evaluation.sanity import Check, check_labels, check_order, check_training
from uni4d.evaluation.tasks import RetrievalTask, name_key, tasks_of
from uni4d.library.features import AssetFeatures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder
    from uni4d.training.atms import AtmsTrainConfig, NamedPictures

__all__ = ["Evaluation", "RetrievalSettings", "evaluate_retrieval"]

_SCALES = (1_000, 10_000, 100_000, 1_300_000)
_QUICK_SCALES = (1_000, 10_000)
_SHUFFLED_TRAININGS = 5


@frozen
class RetrievalSettings:
    """What to measure."""

    arms: tuple[str, ...] = tuple(arm for arm in ARMS if arm not in OPTIONAL)
    seeds: int = field(default=3, validator=validators.ge(1))
    train_share: float = field(default=0.9, validator=[validators.gt(0.0), validators.le(1.0)])
    """Share of the training objects (by group) that each seed learns from."""
    draws: int = field(default=20, validator=validators.ge(1))
    """Random galleries of each size."""
    scale: bool = False
    """Whether galleries are filled up with made-up objects to 1.3 million (first seed only)."""
    quick: bool = False
    """Short trainings, small scales: to see that everything runs. Its figures mean nothing."""


@frozen(eq=False)
class Evaluation:
    """Everything that was measured."""

    settings: RetrievalSettings
    counts: dict[str, int]
    """Objects, groups and names of the splits."""
    encoder: str
    """Name of the text encoder."""
    titles: dict[str, str]
    """Arm → what tables call it."""
    tasks: list[TaskFigures]
    galleries: Curves
    """Metrics by gallery size, real objects only."""
    scaled: Curves
    """The same with made-up objects; empty without ``scale``."""
    calibrations: Curves
    """Per task and arm two points: a gallery of real objects, and one of the same size half made up."""
    noise: Curves
    checks: list[Check]
    measured: Measured
    """The vectors behind the figures."""

    @property
    def runs(self) -> list[Embedded]:
        return list(self.measured.runs)

    def answered(self, arm: str, task: str) -> tuple[RetrievalTask, NDArray[Any]]:
        """A task with the scores ``[Q, G]`` of the arm's first run."""
        return next(pair for pair in self.measured.scored(arm) if pair[0].key == task)

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]


def evaluate_retrieval(
    features: AssetFeatures,
    encoder: TextEncoder,
    settings: RetrievalSettings,
    folder: Path,
    progress: Progress,
    *,
    atms: AtmsTrainConfig | None = None,
    pictures: NamedPictures | None = None,
) -> Evaluation:
    """Measure retrieval on the library's test objects; runs are kept in ``folder`` and not repeated.

    ``atms`` and ``pictures`` are how, and from what else, the arms of ATMS are trained.

    A failed check does not stop it: look at :attr:`Evaluation.failed`.
    """
    _require_objects(features)
    sentences = Sentences(encoder)
    arms = make_arms(settings.arms, sentences, features, Recipe(atms, pictures, settings.quick))
    learnt = {*features.split("train").names, *features.split("validation").names}
    questions = tasks_of(features.split("test"), learnt.union(*(arm.known_names for arm in arms)))
    asked = dict.fromkeys(text for task in questions for text in task.texts)
    texts = {text: row for row, text in enumerate(asked)}
    runs = _all_runs(arms, features, encoder, list(texts), settings, folder, section(progress, 0.0, 0.7))
    measured = Measured(features, questions, texts, runs)
    scales, draws = _QUICK_SCALES if settings.quick else _SCALES, settings.draws
    return Evaluation(
        settings=settings,
        counts=_counts(features, questions),
        encoder=encoder.name,
        titles={arm.name: arm.title for arm in arms},
        tasks=measured.tables(),
        galleries=measured.galleries(draws, section(progress, 0.7, 0.74)),
        noise=measured.noise(section(progress, 0.74, 0.78)),
        calibrations=measured.calibrations(draws, section(progress, 0.78, 0.8)) if settings.scale else {},
        scaled=measured.scaled(scales, section(progress, 0.8, 0.97)) if settings.scale else {},
        checks=_checks(features, measured, runs, sentences, section(progress, 0.97, 1.0)),
        measured=measured,
    )


def _require_objects(features: AssetFeatures) -> None:
    splits = features.splits.tolist()
    few = [name for name in ("train", "validation", "test") if splits.count(name) < 2]
    if few:
        raise Uni4DError(
            "library-small",
            f"Of the library's {len(features)} assets, fewer than two fall to: {', '.join(few)}.",
            "Evaluate a larger library; some hundred assets are needed for figures that mean something.",
        )


def _all_runs(
    arms: Sequence[Arm],
    features: AssetFeatures,
    encoder: TextEncoder,
    texts: Sequence[str],
    settings: RetrievalSettings,
    folder: Path,
    progress: Progress,
) -> list[Embedded]:
    digest = f"{digest_of(features)} {encoder.name}"
    pairs = [(arm, seed) for arm in arms for seed in range(settings.seeds)]
    runs = []
    for done, (arm, seed) in enumerate(pairs):
        label = f"{arm.name}, seed {seed}: "
        own = _named(label, section(progress, done / len(pairs), (done + 1) / len(pairs)))
        own(0.0, "learning")
        runs.append(embedded(arm, features, texts, seed, settings.train_share, digest, folder, own))
    return runs


def _named(label: str, progress: Progress) -> Progress:
    def report(fraction: float, message: str) -> None:
        progress(fraction, label + message)

    return report


def _checks(
    features: AssetFeatures,
    measured: Measured,
    runs: Sequence[Embedded],
    sentences: Sentences,
    progress: Progress,
) -> list[Check]:
    """All of :mod:`uni4d.evaluation.sanity`; those on ranks for the first seed of every arm."""
    checks = [run.check for run in runs]
    for arm in dict.fromkeys(run.arm for run in runs):
        progress(0.0, f"checks of {arm}")
        for task, scores in measured.scored(arm):
            checks += [check_order(arm, task, scores, 0), check_labels(arm, task, scores, 0)]
    by_name = next(task for task in measured.questions if task.key == "r-name")
    trained = check_training(LinearAdapter(sentences), features, by_name, _SHUFFLED_TRAININGS, progress)
    return [*checks, trained]


def _counts(features: AssetFeatures, questions: Sequence[RetrievalTask]) -> dict[str, int]:
    test = features.split("test")
    unseen = [task for task in questions if task.key == "r-unseen"]
    return {
        "objects": len(features),
        "train": len(features.split("train")),
        "validation": len(features.split("validation")),
        "test": len(test),
        "test groups": len(set(test.groups)),
        "test names": len({name_key(name) for name in test.names}),
        "test objects with unseen names": len(unseen[0].goals) if unseen else 0,
    }
