"""Real training from any point of a run: restore what is kept, train an interval, measure, go on.

A point is the path of settings that led to it. The state at its end depends on the path, the seed and the
number of threads alone, to the last bit; so does everything that is measured there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from attrs import frozen
from torch import Tensor, nn

from uni4d.training.distributed import Ranks
from uni4d.training.loop import LoopConfig, Schedule, Task, seeded_state, take_step, validate
from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Figures, Setting
from uni4d.training.schedules.snapshots import Snapshots
from uni4d.training.state import TrainState

__all__ = ["Piecewise", "ProbedTask", "Trainer"]

Path = tuple[Setting, ...]


class ProbedTask(Task, Protocol):
    """A task whose fit of the training items can be measured."""

    def new_model(self) -> nn.Module:
        """A model to start from."""
        ...

    def probe(self, model: nn.Module) -> dict[str, float]:
        """What ``validate`` measures, on as many training items as there are validation items."""
        ...


@frozen
class Piecewise:
    """A schedule of one setting per interval, its last one to the end: how a found schedule is replayed."""

    settings: Path
    interval: int
    warmup: int = 0

    def before_step(self, state: TrainState) -> None:
        setting = self.settings[min(state.step // self.interval, len(self.settings) - 1)]
        warm = min(1.0, (state.step + 1) / self.warmup) if self.warmup else 1.0
        state.learning_rate, state.temperature = setting.rate * warm, setting.temperature


class Trainer:
    """Trains one run, wherever in it one points to."""

    def __init__(
        self,
        task: ProbedTask,
        loop: LoopConfig,
        config: ScheduleConfig,
        seed: int,
        snapshots: Snapshots,
    ) -> None:
        self._task, self._loop, self._config, self._seed = task, loop, config, seed
        self._snapshots = snapshots
        with self._own_world():
            self._state = seeded_state(task.new_model, loop, seed)
            self._random = torch.get_rng_state()
            self._snapshots.keep((), self._state)
        self._place: Path | None = ()
        """Where the state is; nowhere after a divergence."""
        self.repeated = 0
        """Intervals that were trained again because no snapshot was left of them."""

    def extend(self, path: Path, settings: Sequence[Setting], keep: int = 0) -> list[Figures]:
        """Train on from ``path``, an interval per setting; what is measured after each.

        Stops after one that diverges. The states after the first ``keep`` intervals are kept on disk.
        """
        measured = []
        with self._own_world():
            self._go_to(path)
            for number, setting in enumerate(settings, 1):
                excess = self._train(setting)
                self._place = (*path, *settings[:number])
                figures = self._figures(excess)
                measured.append(figures)
                if figures.diverged:
                    self._place = None
                    break
                if number <= keep:
                    self._snapshots.keep((*path, *settings[:number]), self._state)
        return measured

    def start(self) -> Figures:
        """What is measured before the first step."""
        with self._own_world():
            self._go_to(())
            return self._figures(0.0)

    def weights(self, path: Path) -> dict[str, Tensor]:
        """The model at the end of ``path``."""
        with self._own_world():
            self._go_to(path)
            return self._state.snapshot().weights

    def _go_to(self, path: Path) -> None:
        if self._place == path:
            return
        found = self._snapshots.restore(path, self._state)
        if found < 0:
            self._state = seeded_state(self._task.new_model, self._loop, self._seed)
            found = 0
        for setting in path[found:]:
            self._train(setting)
            self.repeated += 1
        self._place = path
        self._snapshots.keep(path, self._state)

    def _train(self, setting: Setting) -> float:
        """One interval; Σ_k max(0, ‖g_k‖ − G), or infinity as soon as a loss is not finite."""
        schedule: Schedule = Piecewise((setting,), self._config.interval, self._loop.warmup)
        excess = 0.0
        for _ in range(self._config.interval):
            schedule.before_step(self._state)
            figures = take_step(self._state, self._task, self._loop, self._seed, Ranks())
            if not (math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])):
                return math.inf
            excess += max(0.0, figures["gradient_norm"] - self._config.gradient_limit)
        return excess

    def _figures(self, excess: float) -> Figures:
        if not math.isfinite(excess):
            return _DIVERGED
        held = validate(self._state.model, self._task)
        with torch.inference_mode():
            known = self._task.probe(self._state.model.eval())
        metric = self._config.metric
        figures = Figures(held[metric], held["loss"], known[metric], known["loss"], excess, held["mrr"])
        return figures if math.isfinite(figures.loss) else _DIVERGED

    @contextmanager
    def _own_world(self) -> Iterator[None]:
        """The caller's random state and threads are left alone."""
        threads = torch.get_num_threads()
        torch.set_num_threads(self._config.threads)
        try:
            with torch.random.fork_rng():
                random = getattr(self, "_random", None)
                if random is not None:
                    torch.set_rng_state(random)
                yield
                self._random = torch.get_rng_state()
        finally:
            torch.set_num_threads(threads)


_DIVERGED = Figures(0.0, math.inf, 0.0, math.inf, math.inf, 0.0, diverged=True)
"""Measured where a loss is not finite. Kept out of means: its reward is the floor."""
