"""The training loop: batches, schedules, cancelling and going on."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from uni4d.retrieval.atms import ATMS
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.atms_training import train_member, train_members
from uni4d.training.distributed import Ranks
from uni4d.training.loop import (
    Constant,
    Cosine,
    LoopConfig,
    batch_rows,
    new_state,
    run_steps,
    take_step,
    train,
)
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent


@given(st.integers(1, 50), st.integers(1, 60), st.integers(0, 5), st.integers(0, 20))
def test_every_item_comes_once_per_epoch(size: int, batch: int, seed: int, epochs: int) -> None:
    taken = min(batch, size)
    steps = -(-size * (epochs + 1) // taken)
    rows = np.concatenate([batch_rows(size, batch, seed, step) for step in range(steps)])
    for epoch in range(epochs + 1):
        assert sorted(rows[epoch * size : (epoch + 1) * size]) == list(range(size))


def test_schedules_rise_and_fall(tiny_task: AtmsTask, tiny_config: AtmsTrainConfig) -> None:
    state = new_state(tiny_task.new_model(), tiny_config.loop)

    def rates(schedule: Constant | Cosine) -> list[float]:
        found = []
        for state.step in range(100):
            schedule.before_step(state)
            found.append(state.learning_rate)
        return found

    cosine = rates(Cosine(1.0, 100, 10))
    assert cosine[0] == pytest.approx(0.1)
    assert cosine[10] == max(cosine) == pytest.approx(1.0)
    assert cosine[99] < 0.02
    assert rates(Constant(0.5, 4))[:5] == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])


@pytest.mark.slow
def test_training_learns(tiny_task: AtmsTask, tiny_config: AtmsTrainConfig) -> None:
    config = attrs.evolve(tiny_config, loop=attrs.evolve(tiny_config.loop, steps=120))
    rows: list[dict[str, float]] = []
    train_member(tiny_task, config, 0, silent, record=rows.append)
    assert rows[-1]["validation_recall_10"] > rows[0]["validation_recall_10"] - 0.05
    assert max(row["validation_accuracy"] for row in rows) > 0.3  # chance is 1/24


@pytest.mark.slow
def test_a_cancelled_training_goes_on_as_if_nothing_had_happened(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig, tmp_path: Path
) -> None:
    whole = train_member(tiny_task, tiny_config, 3, silent, folder=tmp_path / "whole")

    def cancel_at_half(fraction: float, message: str) -> None:
        if fraction > 0.7:
            raise Cancelled

    with pytest.raises(Cancelled):
        train_member(tiny_task, tiny_config, 3, cancel_at_half, folder=tmp_path / "parts")
    steps: list[float] = []
    resumed = train_member(
        tiny_task,
        tiny_config,
        3,
        silent,
        folder=tmp_path / "parts",
        record=lambda row: steps.append(row["step"]),
    )
    assert steps == [30.0]  # it did not start again
    assert all(
        torch.equal(left, right)
        for left, right in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True)
    )


def test_members_differ_and_the_callers_random_numbers_do_not(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig
) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, second = train_members(tiny_task, attrs.evolve(tiny_config, members=2), 0, silent)
    assert torch.equal(torch.rand(1), expected)
    assert not torch.equal(first.output.weight, second.output.weight)


def test_accumulation_takes_all_items_of_the_batch(tiny_task: AtmsTask, tiny_config: AtmsTrainConfig) -> None:
    """With two parts a batch's gradient is the mean of the parts' gradients."""

    class Recorder:
        size = 10

        def __init__(self) -> None:
            self.seen: list[list[int]] = []

        def loss(self, model: ATMS, rows: np.ndarray, temperature: float, ranks: Ranks) -> torch.Tensor:
            self.seen.append(rows.tolist())
            return (model.query**2).sum() * len(rows)

    config = LoopConfig(batch=8, accumulate=2)
    task = Recorder()
    state = new_state(tiny_task.new_model(), config)
    take_step(state, task, config, 0, Ranks())  # type: ignore[arg-type]
    assert [len(part) for part in task.seen] == [4, 4]
    assert sorted(task.seen[0] + task.seen[1]) == sorted(batch_rows(10, 8, 0, 0))


def test_a_loss_that_is_not_finite_ends_the_training_with_a_cure(
    tiny_task: AtmsTask, tiny_config: AtmsTrainConfig
) -> None:
    state = new_state(tiny_task.new_model(), tiny_config.loop)
    with torch.no_grad():
        state.model.output.bias.fill_(float("nan"))  # type: ignore[union-attr, operator]
    with pytest.raises(Uni4DError) as caught:
        train(state, tiny_task, tiny_config.loop, Constant(1e-3), 0, silent)
    assert caught.value.code == "training-diverged"
    assert "learning_rate" in caught.value.cure


def test_no_cuda_is_one_clear_error(tiny_task: AtmsTask) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(Uni4DError) as caught:
        new_state(tiny_task.new_model(), LoopConfig(device="cuda"))
    assert caught.value.code == "gpu-missing"


def test_half_precision_trains_too(tiny_task: AtmsTask, tiny_config: AtmsTrainConfig) -> None:
    config = attrs.evolve(tiny_config.loop, precision="bfloat16")
    state = new_state(tiny_task.new_model(), config)
    figures = run_steps(state, tiny_task, config, Constant(1e-3), 0, 3)
    assert np.isfinite(figures["loss"])
    assert {value.dtype for value in state.model.state_dict().values()} == {torch.float32}
