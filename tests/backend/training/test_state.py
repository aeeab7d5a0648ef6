"""Going on from a state is going on as if nothing had happened, bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.loop import Cosine, new_state, run_steps
from uni4d.training.state import TrainState
from uni4d_shared.errors import Uni4DError


def started(task: AtmsTask, config: AtmsTrainConfig) -> TrainState:
    torch.manual_seed(0)
    return new_state(task.new_model(), config.loop)


def run(state: TrainState, task: AtmsTask, config: AtmsTrainConfig, steps: int) -> dict[str, Tensor]:
    run_steps(state, task, config.loop, Cosine(3e-3, 30), 5, steps)
    return state.snapshot().weights


def equal(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_snapshot_restores_bit_by_bit(tiny_task: AtmsTask, tiny_config: AtmsTrainConfig) -> None:
    state = started(tiny_task, tiny_config)
    run(state, tiny_task, tiny_config, 4)
    snapshot = state.snapshot()
    first = run(state, tiny_task, tiny_config, 6)
    torch.rand(17)  # whatever happens in between
    state.restore(snapshot)
    assert state.step == 4
    again = run(state, tiny_task, tiny_config, 6)
    assert equal(first, again)
    # The snapshot was not changed by what was trained from it, the optimiser's moments included.
    state.restore(snapshot)
    assert equal(run(state, tiny_task, tiny_config, 6), first)


def test_a_saved_state_goes_on_bit_by_bit_in_another_process(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    state = started(tiny_task, tiny_config)
    run(state, tiny_task, tiny_config, 4)
    state.save(tmp_path / "state.safetensors", {"seed": "0"})
    expected = run(state, tiny_task, tiny_config, 6)
    torch.manual_seed(12345)
    other = new_state(tiny_task.new_model(), tiny_config.loop)
    other.load(tmp_path / "state.safetensors", {"seed": "0"})
    assert equal(run(other, tiny_task, tiny_config, 6), expected)


def test_a_state_of_another_training_is_refused(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    state = started(tiny_task, tiny_config)
    path = tmp_path / "state.safetensors"
    state.save(path, {"seed": "0", "config": "a"})
    with pytest.raises(Uni4DError) as caught:
        state.load(path, {"seed": "1", "config": "a"})
    assert caught.value.code == "checkpoint-differs"
    assert "seed differ" in caught.value.message
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Uni4DError) as caught:
        state.load(path, {"seed": "0", "config": "a"})
    assert caught.value.code == "checkpoint-unreadable"
    assert str(path) in caught.value.message


def test_a_state_that_cannot_be_written_says_so_and_leaves_nothing(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Uni4DError) as caught:
        started(tiny_task, tiny_config).save(tmp_path / "file" / "state.safetensors", {})
    assert caught.value.code == "checkpoint-unwritable"
