"""One readable training loop for every model of the project: set up, train, validate, save, go on.

The loop knows nothing about what is learnt: a :class:`Task` gives losses and validation figures, a
:class:`Schedule` decides learning rate and temperature, a :class:`~uni4d.training.state.TrainState` is what
changes. Batches are a function of (seed, step), so a state restored at step k sees what it would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, Protocol

import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn

from uni4d.training.distributed import Ranks, average_gradients
from uni4d.training.state import TrainState
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = [
    "Constant",
    "Cosine",
    "LoopConfig",
    "Schedule",
    "Task",
    "batch_rows",
    "new_state",
    "run_steps",
    "seeded_state",
    "take_step",
    "train",
]

Array = NDArray[Any]
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


@frozen
class LoopConfig:
    """How to train; every field is one line of a TOML table."""

    steps: int = field(default=1500, validator=validators.ge(0))
    """Optimiser steps."""
    batch: int = field(default=128, validator=validators.ge(2))
    """Items per step, over all accumulated parts and all ranks."""
    accumulate: int = field(default=1, validator=validators.ge(1))
    """Parts that a batch is computed in, one after the other; for batches that do not fit in memory.
    A contrastive loss sees the negatives of its own part only."""
    learning_rate: float = field(default=1e-3, validator=validators.gt(0.0))
    weight_decay: float = field(default=0.05, validator=validators.ge(0.0))
    warmup: int = field(default=50, validator=validators.ge(0))
    """Steps in which the rate rises from 0."""
    schedule: str = field(default="cosine", validator=validators.in_(("constant", "cosine")))
    temperature: float = field(default=0.07, validator=[validators.ge(0.005), validators.le(1.0)])
    clip_norm: float = field(default=1.0, validator=validators.gt(0.0))
    """Gradients longer than this are shortened to it."""
    validate_every: int = field(default=50, validator=validators.ge(1))
    save_every: int = field(default=200, validator=validators.ge(1))
    precision: str = field(default="float32", validator=validators.in_(tuple(PRECISIONS)))
    """Of the forward pass; the weights stay float32."""
    device: str = "cpu"


class Task(Protocol):
    """What is learnt from what."""

    size: int
    """Training items."""

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        """The scalar loss of the training items ``rows`` ``[B]``, of which this rank computes its share."""
        ...

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """``accuracy`` and ``loss`` on the validation split, and whatever else is worth a curve."""
        ...


class Schedule(Protocol):
    """Decides the learning rate and the temperature of every step."""

    def before_step(self, state: TrainState) -> None:
        """Set ``state.learning_rate`` and ``state.temperature`` for the step ``state.step``."""
        ...


@frozen
class Constant:
    """The base rate after a linear warm-up."""

    learning_rate: float
    warmup: int = 0

    def before_step(self, state: TrainState) -> None:
        state.learning_rate = self.learning_rate * _warm(state.step, self.warmup)


@frozen
class Cosine:
    """Half a cosine from the base rate down to a hundredth of it, after a linear warm-up."""

    learning_rate: float
    steps: int
    warmup: int = 0

    def before_step(self, state: TrainState) -> None:
        share = (state.step - self.warmup) / max(self.steps - self.warmup, 1)
        decay = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
        state.learning_rate = self.learning_rate * decay * _warm(state.step, self.warmup)


def _warm(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def schedule_of(config: LoopConfig) -> Schedule:
    """The hand-set schedule that ``config`` names."""
    if config.schedule == "constant":
        return Constant(config.learning_rate, config.warmup)
    return Cosine(config.learning_rate, config.steps, config.warmup)


def new_state(model: nn.Module, config: LoopConfig) -> TrainState:
    """A training state at step 0. Norms, biases and single vectors are not decayed."""
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise Uni4DError(
            "gpu-missing",
            f"Training on {config.device} needs a CUDA device, and PyTorch finds none here.",
            'Set device = "cpu", or train on a machine with an NVIDIA GPU and a CUDA build of PyTorch.',
        )
    model.to(config.device)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    decayed = [parameter for parameter in learnt if parameter.ndim >= 2]
    plain = [parameter for parameter in learnt if parameter.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))
    scaler = torch.amp.GradScaler(config.device.partition(":")[0], enabled=config.precision == "float16")
    return TrainState(
        model, optimizer, scaler, learning_rate=config.learning_rate, temperature=config.temperature
    )


def seeded_state(
    make_model: Callable[[], nn.Module], config: LoopConfig, seed: int, ranks: Ranks | None = None
) -> TrainState:
    """A training state at step 0 as a function of ``seed``; leaves PyTorch's generator where training
    draws from, which differs by rank."""
    torch.manual_seed(seed)
    state = new_state(make_model(), config)
    torch.manual_seed(seed * 1_000 + (ranks or Ranks()).rank)
    return state


def batch_rows(size: int, batch: int, seed: int, step: int) -> Array:
    """The items of one step: consecutive parts of a new permutation in every epoch.

    A batch that reaches over the end of an epoch takes the rest from the next one.
    """
    batch = min(batch, size)
    first, rows = step * batch, list[int]()
    while len(rows) < batch:
        epoch, place = divmod(first + len(rows), size)
        order = np.random.default_rng((seed, epoch)).permutation(size)
        rows.extend(order[place : place + batch - len(rows)].tolist())
    return np.array(rows, dtype=np.int64)


def take_step(state: TrainState, task: Task, config: LoopConfig, seed: int, ranks: Ranks) -> dict[str, float]:
    """One optimiser step with the state's present rate and temperature; its loss and gradient norm."""
    model = state.model.train()
    for group in state.optimizer.param_groups:
        group["lr"] = state.learning_rate
    state.optimizer.zero_grad(set_to_none=True)
    rows = batch_rows(task.size, config.batch, seed, state.step)
    total = 0.0
    for part in np.array_split(rows, config.accumulate):
        with _precision(config):
            loss = task.loss(model, part, state.temperature, ranks) / config.accumulate
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        total += float(loss.detach())
    average_gradients(model, ranks)
    state.scaler.unscale_(state.optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.step += 1
    return {"loss": total, "gradient_norm": float(norm)}


def run_steps(
    state: TrainState,
    task: Task,
    config: LoopConfig,
    schedule: Schedule,
    seed: int,
    steps: int,
    *,
    ranks: Ranks | None = None,
) -> dict[str, float]:
    """``steps`` steps without validation; the means of their figures (for schedule search)."""
    ranks = ranks or Ranks()
    figures: list[dict[str, float]] = []
    for _ in range(steps):
        schedule.before_step(state)
        figures.append(take_step(state, task, config, seed, ranks))
    return {name: float(np.mean([row[name] for row in figures])) for name in (figures[0] if figures else ())}


def train(
    state: TrainState,
    task: Task,
    config: LoopConfig,
    schedule: Schedule,
    seed: int,
    progress: Progress,
    *,
    record: Callable[[dict[str, float]], None] = lambda row: None,
    save: Callable[[TrainState], None] = lambda state: None,
    ranks: Ranks | None = None,
) -> None:
    """Train from ``state.step`` to ``config.steps``.

    ``record`` takes a row of figures after every validation, ``save`` the state every
    ``config.save_every`` steps and at the end; both also when the training is cancelled through
    ``progress``. A loss that is not finite ends the training with ``Uni4DError("training-diverged")``.
    """
    ranks = ranks or Ranks()
    losses: list[float] = []
    while state.step < config.steps:
        schedule.before_step(state)
        figures = take_step(state, task, config, seed, ranks)
        losses.append(figures["loss"])
        if not math.isfinite(figures["loss"]):
            raise Uni4DError(
                "training-diverged",
                f"The loss is {figures['loss']} at step {state.step}.",
                "Lower learning_rate, or raise temperature.",
            )
        last = state.step == config.steps
        if state.step % config.validate_every == 0 or last:
            row = {"step": float(state.step), **figures, "loss": float(np.mean(losses))}
            row |= {"learning_rate": state.learning_rate, "temperature": state.temperature}
            row |= {f"validation_{name}": value for name, value in validate(state.model, task).items()}
            losses = []
            record(row)
        if state.step % config.save_every == 0 or last:
            save(state)
        progress(state.step / config.steps, f"step {state.step}/{config.steps}, loss {figures['loss']:.3f}")


def validate(model: nn.Module, task: Task) -> dict[str, float]:
    """The task's validation figures; leaves the model in evaluation mode."""
    model.eval()
    with torch.inference_mode():
        return dict(task.validate(model))


def _precision(config: LoopConfig) -> Any:
    kind = PRECISIONS[config.precision]
    return nullcontext() if kind is None else torch.autocast(config.device.partition(":")[0], kind)
