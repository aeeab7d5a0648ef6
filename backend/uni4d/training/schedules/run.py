"""One training run: its points, what they cost, and a journal that makes it resumable.

What strategies do is a function of their settings and of what they measure. So a run that was stopped is
resumed by doing the same again: intervals that the journal knows are answered from it, and are entered in
the ledger as if they were trained now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
from attrs import define, field, frozen
from torch import Tensor

from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.ledger import Ledger
from uni4d.training.schedules.mdp import Figures, MdpState, Setting, observed, reward_of
from uni4d.training.schedules.runners import Runner
from uni4d.training.schedules.snapshots import key_of
from uni4d.training.state import require_same_training
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = ["Journal", "Outcome", "Point", "Run"]


@frozen
class Point:
    """A place in a run."""

    path: tuple[Setting, ...]
    """One setting per interval since the start."""
    figures: Figures
    reward: float
    """Of the interval that ends here; 0 at the start."""
    mean_reward: float
    """Over all intervals of the path."""

    def setting(self, first: Setting) -> Setting:
        """The one that is in force here; ``first`` at the start."""
        return self.path[-1] if self.path else first


@frozen
class Outcome:
    """What a strategy ends with."""

    committed: Point
    """The end of the training that it hands over."""
    best: Point
    """The point of it with the best validation; its weights are the result."""


@define(eq=False)
class Journal:
    """What was measured, by path, in a file of JSON lines."""

    file: Path | None
    known: dict[str, Figures] = field(factory=dict)

    @classmethod
    def opened(cls, file: Path | None, about: dict[str, str]) -> Journal:
        """The journal in ``file``, empty where there is none; one of another training is refused."""
        journal = cls(file)
        if file is None:
            return journal
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps({"about": about}) + "\n", encoding="utf-8")
            return journal
        cure = f"Delete {file.parent} to start again, or use another folder."
        text = file.read_text(encoding="utf-8")
        lines = text.splitlines()
        try:
            written = json.loads(lines[0])["about"]
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise Uni4DError("checkpoint-unreadable", f"{file} is no journal of a training.", cure) from error
        require_same_training(file, written, about, cure)
        if not text.endswith("\n"):  # or the next line would be lost with one that was cut short
            with file.open("a", encoding="utf-8") as opened:
                opened.write("\n")
        for line in lines[1:]:
            try:
                row = json.loads(line)
                journal.known[row.pop("key")] = Figures(**row)
            except (ValueError, KeyError, TypeError):
                continue  # cut short when the process was stopped
        return journal

    def write(self, key: str, figures: Figures) -> None:
        self.known[key] = figures
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, **attrs.asdict(figures)}) + "\n")


class Run:
    """What a strategy sees of a training."""

    def __init__(
        self,
        config: ScheduleConfig,
        first: Setting,
        runner: Runner,
        journal: Journal,
        progress: Progress,
        *,
        batch_share: float,
    ) -> None:
        self.config, self.first = config, first
        self.ledger = Ledger(config.budget)
        self._runner, self._journal, self._progress = runner, journal, progress
        self._batch_share = batch_share
        self._under_way = 0
        start = journal.known.get("start")
        if start is None:
            start = runner.start()
            journal.write("start", start)
        self.start = Point((), start, 0.0, 0.0)
        self.points: dict[str, Point] = {key_of(()): self.start}
        """Every place that was reached, by key."""

    @property
    def parallel(self) -> int:
        """How many extensions can be on their way at once."""
        return self._runner.parallel

    @property
    def intervals_left(self) -> int:
        """Intervals that the budget still pays for."""
        return max(0, self.ledger.remaining // self.config.interval - self._under_way)

    def advance(self, point: Point, setting: Setting, purpose: str = "live") -> Point:
        """Train one interval."""
        return self.begin(point, (setting,), purpose, keep=1)()[0]

    def begin(
        self, point: Point, settings: Sequence[Setting], purpose: str, keep: int = 0
    ) -> Callable[[], list[Point]]:
        """Start to train an interval per setting; the function that is returned waits for the points.

        They end at the first that diverges. Intervals that are known cost nothing and are not trained;
        the states after the first ``keep`` are kept for who goes on from there.
        """
        path, known = point.path, list[Figures]()
        for setting in settings:
            figures = self._journal.known.get(key_of((*path, setting)))
            if figures is None:
                break
            path, known = (*path, setting), [*known, figures]
            if figures.diverged:
                break
        missing = settings[len(known) :]
        if (known and known[-1].diverged) or not missing:
            return lambda: self._entered(point, settings, known, purpose)
        waiting = self._runner.extend(path, missing, max(keep - len(known), 0))
        self._under_way += len(missing)

        def finish() -> list[Point]:
            trained, repeated = waiting()
            self._under_way -= len(missing)
            self.ledger.repeated += repeated * self.config.interval
            for number, figures in enumerate(trained, 1):
                key = key_of((*path, *missing[:number]))
                if key not in self._journal.known:
                    self._journal.write(key, figures)
            return self._entered(point, settings, [*known, *trained], purpose)

        return finish

    def weights(self, point: Point) -> dict[str, Tensor]:
        """The model at ``point``."""
        return self._runner.weights(point.path)

    def along(self, point: Point) -> list[Point]:
        """The points of a path, the start first."""
        return [self.points[key_of(point.path[:length])] for length in range(len(point.path) + 1)]

    def best_of(self, points: Sequence[Point]) -> Point:
        """The point with the best validation (mean reciprocal rank); the earliest of equals."""
        return max(points, key=lambda point: (point.figures.score, -len(point.path)))

    def state(self, point: Point) -> MdpState:
        """s_t of the decision process; at the start nothing came before, and it is its own predecessor."""
        before = self.points[key_of(point.path[:-1])]
        epoch = len(point.path) * self.config.interval * self._batch_share
        return observed(point.setting(self.first), epoch, before.figures, point.figures, point.mean_reward)

    def _entered(
        self, point: Point, settings: Sequence[Setting], measured: Sequence[Figures], purpose: str
    ) -> list[Point]:
        """The points of what was measured; each is charged the first time that it is seen."""
        found = []
        for setting, figures in zip(settings, measured, strict=False):
            path = (*point.path, setting)
            key = key_of(path)
            reward = reward_of(point.figures, figures, self.config)
            mean = (point.mean_reward * len(point.path) + reward) / len(path)
            if key not in self.points:
                self.points[key] = Point(path, figures, reward, mean)
                self.ledger.charge(purpose, self.config.interval)
                self._progress(
                    min(self.ledger.spent / self.ledger.budget, 1.0),
                    f"{self.ledger.spent}/{self.ledger.budget} steps, score {figures.score:.3f}",
                )
            point = self.points[key]
            found.append(point)
        return found
