"""A training that is kept in a folder: stopped at any time, it goes on from its last saved state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from uni4d.training.loop import LoopConfig, Task, schedule_of, train
from uni4d.training.state import TrainState
from uni4d_shared.progress import Progress

__all__ = ["train_in"]


def train_in(
    folder: Path | None,
    state: TrainState,
    task: Task,
    config: LoopConfig,
    seed: int,
    progress: Progress,
    *,
    about: dict[str, str],
    record: Callable[[dict[str, float]], None] = lambda row: None,
) -> None:
    """:func:`~uni4d.training.loop.train` under the schedule of ``config``, from what ``folder`` keeps.

    ``about`` says what is trained; the state of something else is refused. Without a folder nothing is kept.
    """
    saved = None if folder is None else folder / "state.safetensors"
    if saved is not None and saved.exists():
        state.load(saved, about)

    def save(state: TrainState) -> None:
        if saved is not None:
            state.save(saved, about)

    train(state, task, config, schedule_of(config), seed, progress, record=record, save=save)
