"""Schedules compared (Uni4D Table 5): every strategy from several starting rates, at equal gradient steps.

A strategy sees the training and the validation split; the weights that it hands over are measured once, on
the test split, by the names of the objects, knowing geometry and appearance only. Runs are kept in a folder
and not repeated; one that was stopped goes on from its journal.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import cattrs
import numpy as np
from attrs import field, frozen, validators
from numpy.typing import NDArray

from uni4d.evaluation.metrics import METRICS, Estimate, best_ranks, bootstrap, estimates, values_of
from uni4d.evaluation.tasks import RetrievalTask, tasks_of
from uni4d.library.features import AssetFeatures
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.schedules.config import STRATEGIES
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["REFERENCE", "ScheduleComparison", "ScheduleRun", "ScheduleSettings", "compare_schedules"]

Array = NDArray[Any]

REFERENCE = "mcts"
"""The strategy that the others are compared with, query by query."""
_ANYWHERE = frozenset({"tuned"})
"""Strategies that try rates of their own: where they start makes no difference."""
_POLL_SECONDS = 0.5


@frozen
class ScheduleSettings:
    """What to compare."""

    strategies: tuple[str, ...] = STRATEGIES
    seeds: int = field(default=3, validator=validators.ge(1))
    starts: tuple[float, ...] = (2e-3, 2e-5)
    """Learning rates to start from: a good one first."""
    jobs: int = field(default=1, validator=validators.ge(1))
    """Runs at a time, each in a process of its own."""


@frozen(eq=False)
class ScheduleRun:
    """One run, measured."""

    strategy: str
    start: float
    seed: int
    ranks: list[int]
    """Of the test queries."""
    score: float
    """Best validation (mean reciprocal rank): what the weights were chosen by."""
    schedule: dict[str, Any]
    """As :func:`uni4d.training.schedules.records.schedule_record` gives it."""
    seconds: float


@frozen(eq=False)
class ScheduleComparison:
    """All runs."""

    settings: ScheduleSettings
    config: AtmsTrainConfig
    runs: list[ScheduleRun]
    clusters: tuple[str, ...]
    """A key per test query, for the bootstrap."""

    def of(self, strategy: str, start: float) -> list[ScheduleRun]:
        """The runs of a cell of the table, by seed."""
        start = self.settings.starts[0] if strategy in _ANYWHERE else start
        return [run for run in self.runs if run.strategy == strategy and run.start == start]

    def figures(self, strategy: str, start: float) -> dict[str, Estimate]:
        """Every metric on the test split."""
        return estimates(self._ranks(strategy, start), self.clusters)

    def behind(self, strategy: str, start: float) -> dict[str, Estimate]:
        """By how much the tree search is ahead on the same queries."""
        values = [values_of(self._ranks(name, start)).mean(axis=0) for name in (REFERENCE, strategy)]
        difference = values[0] - values[1]
        low, high = bootstrap(difference, self.clusters)
        return {
            metric: Estimate(
                float(difference[:, column].mean()), float(low[column]), float(high[column]), None
            )
            for column, metric in enumerate(METRICS)
        }

    def _ranks(self, strategy: str, start: float) -> Array:
        return np.array([run.ranks for run in self.of(strategy, start)])


def compare_schedules(
    features: AssetFeatures,
    encoder: TextEncoder,
    config: AtmsTrainConfig,
    settings: ScheduleSettings,
    folder: Path,
    progress: Progress,
) -> ScheduleComparison:
    """Run what is missing in ``folder``, and measure."""
    unknown = [name for name in settings.strategies if name not in STRATEGIES]
    if unknown:
        raise Uni4DError(
            "schedule-unknown", f"There is no schedule “{unknown[0]}”.", f"Known: {', '.join(STRATEGIES)}."
        )
    splits = features.splits.tolist()
    if min(splits.count(name) for name in ("train", "validation", "test")) < 2:
        raise Uni4DError(
            "library-small",
            "The library has too few objects to train, validate and test with.",
            "Build a larger one; some hundred assets are needed for figures that mean something.",
        )
    work = list(_work(settings, config, folder))
    bench = _Bench(features, encoder, config)
    if settings.jobs == 1:
        for number, piece in enumerate(work):
            bench.run(piece, _named(piece, progress, number, len(work)))
    else:
        _run_in_processes(bench, work, settings.jobs, progress)
    runs = [_read(piece.file) for piece in work]
    return ScheduleComparison(settings, config, runs, bench.question.clusters)


@frozen
class _Piece:
    """One run to make."""

    strategy: str
    start: float
    seed: int
    folder: Path
    about: str
    """Everything that decides what comes out."""

    @property
    def file(self) -> Path:
        return self.folder / "result.json"


def _work(settings: ScheduleSettings, config: AtmsTrainConfig, folder: Path) -> Iterator[_Piece]:
    about = json.dumps(attrs.asdict(config), sort_keys=True)
    for seed in range(settings.seeds):
        for start in settings.starts:
            for strategy in settings.strategies:
                if strategy in _ANYWHERE and start != settings.starts[0]:
                    continue
                place = folder / f"{strategy}-{start:g}-{seed}"
                yield _Piece(strategy, start, seed, place, about)


class _Bench:
    """Makes runs one by one."""

    def __init__(self, features: AssetFeatures, encoder: TextEncoder, config: AtmsTrainConfig) -> None:
        self._features, self._encoder, self._config = features, encoder, config
        self.question = _question(features)
        self._tasks: dict[bool, AtmsTask] = {}

    def run(self, piece: _Piece, progress: Progress) -> None:
        """Make a run, unless it has been made."""
        from uni4d.retrieval.encoder import AtmsEncoder, RetrievalWeights
        from uni4d.training.atms_schedules import config_for, train_with_strategy

        if piece.file.exists() and json.loads(piece.file.read_text())["about"] == piece.about:
            return
        began = time.perf_counter()
        loop = attrs.evolve(self._config.loop, learning_rate=piece.start)
        config = config_for(piece.strategy, attrs.evolve(self._config, loop=loop))
        learns = config.model.learns_temperature
        if learns not in self._tasks:
            train, validation = self._features.split("train"), self._features.split("validation")
            self._tasks[learns] = AtmsTask(train, validation, self._encoder, config)
        model, schedule = train_with_strategy(
            piece.strategy, self._tasks[learns], config, piece.seed, progress, piece.folder
        )
        atms = AtmsEncoder(RetrievalWeights((model,), None), self._encoder)
        texts = atms.embed_texts(self.question.texts)
        objects = atms.embed_features(self._features.split("test"))
        ranks = best_ranks(self.question.scores(texts, objects), self.question.goals)
        best = max(row["validation_mrr"] for row in schedule["rows"])
        seconds = time.perf_counter() - began
        run = ScheduleRun(piece.strategy, piece.start, piece.seed, ranks.tolist(), best, schedule, seconds)
        piece.file.write_text(json.dumps({"about": piece.about, **attrs.asdict(run)}), encoding="utf-8")


def _question(features: AssetFeatures) -> RetrievalTask:
    """Retrieval by name on the test split."""
    return next(task for task in tasks_of(features.split("test"), ()) if task.key == "r-name")


def _read(file: Path) -> ScheduleRun:
    told = json.loads(file.read_text(encoding="utf-8"))
    return cattrs.structure({key: value for key, value in told.items() if key != "about"}, ScheduleRun)


def _named(piece: _Piece, progress: Progress, number: int, count: int) -> Progress:
    def report(fraction: float, message: str) -> None:
        said = f"{piece.strategy} from {piece.start:g}, seed {piece.seed}: {message}"
        progress((number + fraction) / count, said)

    return report


def _run_in_processes(bench: _Bench, work: Sequence[_Piece], jobs: int, progress: Progress) -> None:
    """``jobs`` at a time; what is cancelled goes on from its journal the next time."""
    pool = ProcessPoolExecutor(
        jobs,
        multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(bench,),
    )
    try:
        waiting: set[Future[None]] = {pool.submit(_run_in_worker, piece) for piece in work}
        while waiting:
            done, waiting = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                future.result()
            progress(1.0 - len(waiting) / len(work), f"{len(work) - len(waiting)} of {len(work)} runs")
    except BrokenProcessPool as error:
        raise Uni4DError(
            "training-process-died",
            "A process that trains for the comparison has ended unexpectedly.",
            "Look for a lack of memory, then start again: finished intervals are not repeated.",
        ) from error
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Worker:
    """The bench of a worker process."""

    bench: _Bench


def _begin_worker(bench: _Bench) -> None:
    _Worker.bench = bench


def _run_in_worker(piece: _Piece) -> None:
    _Worker.bench.run(piece, silent)
