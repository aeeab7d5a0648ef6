"""Training from any point: bit for bit what a training straight through gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch

from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.distributed import Ranks
from uni4d.training.loop import seeded_state, take_step
from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Setting
from uni4d.training.schedules.runners import Assignment, InProcesses
from uni4d.training.schedules.trainer import Piecewise

A, B, C = Setting(3e-3, 0.1), Setting(1e-3, 0.2), Setting(5e-4, 0.05)
MakeAssignment = Callable[..., Assignment]


def weights_straight(
    task: AtmsTask, config: AtmsTrainConfig, path: tuple[Setting, ...]
) -> dict[str, torch.Tensor]:
    """The plain loop under the same settings."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        state = seeded_state(task.new_model, config.loop, 5)
        schedule = Piecewise(path, 2, config.loop.warmup)
        for _ in range(2 * len(path)):
            schedule.before_step(state)
            take_step(state, task, config.loop, 5, Ranks())
    torch.set_num_threads(threads)
    return state.snapshot().weights


def test_jumping_between_branches_changes_no_bit(
    assignment: MakeAssignment, tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    trainer = assignment(tmp_path).trainer()
    trainer.extend((), (A, B), keep=1)
    first = trainer.extend((A,), (C,), keep=1)
    trainer.extend((), (B,))
    again = trainer.extend((A,), (C, A))
    assert again[0] == first[0]
    expected = weights_straight(tiny_task, tiny_config, (A, C, A))
    found = trainer.weights((A, C, A))
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_a_state_that_was_dropped_is_trained_again_to_the_same_bits(
    assignment: MakeAssignment, schedule_config: ScheduleConfig, tmp_path: Path
) -> None:
    rich = assignment(tmp_path / "rich").trainer()
    rich.extend((), (A, B, C), keep=3)
    poor = assignment(tmp_path / "poor", attrs.evolve(schedule_config, snapshots=1)).trainer()
    poor.extend((), (A, B, C), keep=3)
    for trainer in (rich, poor):
        trainer.extend((), (C,))  # elsewhere
    expected, found = rich.weights((A, B)), poor.weights((A, B))
    assert rich.repeated == 0
    assert poor.repeated > 0
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert len(list((tmp_path / "poor" / "snapshots").glob("*.safetensors"))) == 1


def test_a_training_that_diverges_says_so_and_harms_no_other(
    assignment: MakeAssignment, tmp_path: Path
) -> None:
    trainer = assignment(tmp_path).trainer()
    good = trainer.extend((), (A,), keep=1)
    bad = trainer.extend((A,), (Setting(1e30, 0.1), Setting(1e30, 0.1), A))
    assert bad[-1].diverged
    assert len(bad) < 3
    assert trainer.extend((), (A,)) == good


def test_random_state_and_threads_of_the_caller_are_left_alone(
    assignment: MakeAssignment, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assignment(tmp_path).trainer().extend((), (A,))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.slow
def test_processes_answer_as_this_one_does(
    assignment: MakeAssignment, schedule_config: ScheduleConfig, tmp_path: Path
) -> None:
    here = assignment(tmp_path / "here").trainer()
    config = attrs.evolve(schedule_config, workers=2)
    with InProcesses(assignment(tmp_path / "there", config)) as processes:
        begun = [processes.extend((), (setting,), 1) for setting in (A, B, C)]
        there = [finish()[0][0] for finish in begun]
        deeper = processes.extend((B,), (A,), 0)()[0]
        weights = processes.weights((B, A))
    assert there == [here.extend((), (setting,))[0] for setting in (A, B, C)]
    assert deeper == here.extend((B,), (A,))
    expected = here.weights((B, A))
    assert all(torch.equal(expected[name], weights[name]) for name in expected)
