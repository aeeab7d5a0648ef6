"""A run over the tiny ATMS, in this process or in two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import attrs
import pytest

from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Setting
from uni4d.training.schedules.run import Journal, Run
from uni4d.training.schedules.runners import Assignment, InProcess
from uni4d.training.schedules.snapshots import Snapshots
from uni4d_shared.progress import Progress, silent

FIRST = Setting(1e-3, 0.1)


class MakeRun(Protocol):
    def __call__(
        self, folder: Path, progress: Progress = silent, **changes: int | float | str | tuple[float, ...]
    ) -> Run: ...


@pytest.fixture
def schedule_config() -> ScheduleConfig:
    return ScheduleConfig(budget=24, interval=2, horizon=2, simulations=3, population=4)


@pytest.fixture
def assignment(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, schedule_config: ScheduleConfig
) -> Callable[[Path, ScheduleConfig], Assignment]:
    def make(folder: Path, config: ScheduleConfig = schedule_config) -> Assignment:
        snapshots = Snapshots(folder / "snapshots", {"of": "a test"}, config.snapshots)
        return Assignment(tiny_task, tiny_config.loop, config, 5, snapshots)

    return make


@pytest.fixture
def make_run(
    assignment: Callable[[Path, ScheduleConfig], Assignment], schedule_config: ScheduleConfig
) -> MakeRun:
    def make(folder: Path, progress: Progress = silent, **changes: object) -> Run:
        config = attrs.evolve(schedule_config, **changes)
        journal = Journal.opened(folder / "journal.jsonl", {"of": "a test"})
        runner = InProcess(assignment(folder, config))
        return Run(config, FIRST, runner, journal, progress, batch_share=0.3)

    return make
