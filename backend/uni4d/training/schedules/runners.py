"""Where intervals are trained: in this process, or in several that share a folder of snapshots.

Both answer alike, to the last bit, because every process trains with the same number of threads. A process
that dies fails the work that waits for it with an error; the journal of the run keeps what was done before.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Protocol, Self, TypeVar

from attrs import frozen
from torch import Tensor

from uni4d.training.loop import LoopConfig
from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Figures, Setting
from uni4d.training.schedules.snapshots import Snapshots
from uni4d.training.schedules.trainer import Path, ProbedTask, Trainer
from uni4d_shared.errors import Uni4DError

__all__ = ["Assignment", "InProcess", "InProcesses", "Runner", "runner_of"]

Answer = TypeVar("Answer")


@frozen
class Assignment:
    """What a process needs to train one run; pickled once for every process."""

    task: ProbedTask
    loop: LoopConfig
    config: ScheduleConfig
    seed: int
    snapshots: Snapshots

    def trainer(self) -> Trainer:
        return Trainer(self.task, self.loop, self.config, self.seed, self.snapshots)


class Runner(Protocol):
    """Trains for a run; to be closed."""

    parallel: int
    """How much can be on its way at once."""

    def start(self) -> Figures:
        """As :meth:`Trainer.start`."""
        ...

    def extend(
        self, path: Path, settings: Sequence[Setting], keep: int
    ) -> Callable[[], tuple[list[Figures], int]]:
        """As :meth:`Trainer.extend`, begun now and waited for later; with the intervals repeated for it."""
        ...

    def weights(self, path: Path) -> dict[str, Tensor]:
        """As :meth:`Trainer.weights`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class InProcess:
    """Trains here, at once."""

    parallel = 1

    def __init__(self, assignment: Assignment) -> None:
        self._trainer = assignment.trainer()

    def start(self) -> Figures:
        return self._trainer.start()

    def extend(
        self, path: Path, settings: Sequence[Setting], keep: int
    ) -> Callable[[], tuple[list[Figures], int]]:
        answer = _extend(self._trainer, path, settings, keep)
        return lambda: answer

    def weights(self, path: Path) -> dict[str, Tensor]:
        return self._trainer.weights(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to close."""


class InProcesses:
    """Trains in ``config.workers`` processes; each is given the task once."""

    def __init__(self, assignment: Assignment) -> None:
        self.parallel = assignment.config.workers
        self._pool = ProcessPoolExecutor(
            self.parallel,
            multiprocessing.get_context("spawn"),
            initializer=_begin_worker,
            initargs=(assignment,),
        )

    def start(self) -> Figures:
        return _waited(self._pool.submit(_start_in_worker))

    def extend(
        self, path: Path, settings: Sequence[Setting], keep: int
    ) -> Callable[[], tuple[list[Figures], int]]:
        future = self._pool.submit(_extend_in_worker, path, tuple(settings), keep)
        return lambda: _waited(future)

    def weights(self, path: Path) -> dict[str, Tensor]:
        return _waited(self._pool.submit(_weights_in_worker, path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def runner_of(assignment: Assignment) -> Runner:
    """As many processes as are configured."""
    return InProcess(assignment) if assignment.config.workers == 1 else InProcesses(assignment)


def _extend(
    trainer: Trainer, path: Path, settings: Sequence[Setting], keep: int
) -> tuple[list[Figures], int]:
    before = trainer.repeated
    return trainer.extend(path, settings, keep), trainer.repeated - before


class _Worker:
    """The trainer of a worker process."""

    trainer: Trainer


def _begin_worker(assignment: Assignment) -> None:
    _Worker.trainer = assignment.trainer()


def _start_in_worker() -> Figures:
    return _Worker.trainer.start()


def _extend_in_worker(path: Path, settings: Sequence[Setting], keep: int) -> tuple[list[Figures], int]:
    return _extend(_Worker.trainer, path, settings, keep)


def _weights_in_worker(path: Path) -> dict[str, Tensor]:
    return _Worker.trainer.weights(path)


def _waited(future: Future[Answer]) -> Answer:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise Uni4DError(
            "training-process-died",
            "A process that trains for the schedule search has ended unexpectedly.",
            "Look for a lack of memory, then start again: finished intervals are not repeated.",
        ) from error
