"""A finished schedule as a file: what was chosen, what it gave, and what it cost.

``schedule.json`` is all that is needed to train the same model again without any search
(:class:`~uni4d.training.schedules.trainer.Piecewise`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import cattrs

from uni4d.training.schedules.mdp import Setting
from uni4d.training.schedules.run import Outcome, Point, Run
from uni4d.training.schedules.trainer import Piecewise
from uni4d_shared.errors import Uni4DError

__all__ = ["read_schedule", "schedule_record", "schedule_rows"]

_FORMAT = "uni4d-schedule-1"
_LONGEST = 1_000_000


def schedule_record(name: str, run: Run, outcome: Outcome) -> dict[str, Any]:
    """What a strategy chose, as plain values."""
    return {
        "format": _FORMAT,
        "strategy": name,
        "interval": run.config.interval,
        "threads": run.config.threads,
        "first": attrs.asdict(run.first),
        "settings": [[setting.rate, setting.temperature] for setting in outcome.committed.path],
        "best_interval": len(outcome.best.path),
        "ledger": {**attrs.asdict(run.ledger), "spent": run.ledger.spent},
        "rows": schedule_rows(run, outcome.committed),
        "config": attrs.asdict(run.config),
    }


def schedule_rows(run: Run, end: Point) -> list[dict[str, float]]:
    """One row per interval of a training, the start first, as the logs of trainings have them: the state of
    the decision process (its previous figures are those of the row before), and what the reward is made of.
    """
    rows = []
    for point in run.along(end):
        state, figures = run.state(point), point.figures
        rows.append(
            {
                "step": float(len(point.path) * run.config.interval),
                "epoch": state.epoch,
                "learning_rate": state.learning_rate,
                "temperature": state.temperature,
                "validation_accuracy": state.accuracy,
                "validation_loss": figures.loss,
                "validation_mrr": figures.score,
                "train_accuracy": figures.train_accuracy,
                "loss": figures.train_loss,
                "gradient_excess": figures.gradient_excess,
                "reward": point.reward,
                "mean_reward": state.mean_reward,
            }
        )
    return rows


def read_schedule(path: Path, warmup: int) -> tuple[Piecewise, int]:
    """The schedule of a file and how many steps it is for; ``Uni4DError("schedule-unreadable")``."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            raise ValueError("it is not a schedule of this version")
        pairs = cattrs.structure(told["settings"], list[tuple[float, float]])
        interval, best = int(told["interval"]), int(told["best_interval"])
        if not (pairs and interval > 0 and 0 < best <= len(pairs) <= _LONGEST):
            raise ValueError("it holds no settings")
        if not all(rate > 0.0 and temperature > 0.0 for rate, temperature in pairs):
            raise ValueError("rates and temperatures must be positive")
    except (OSError, ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
        raise Uni4DError(
            "schedule-unreadable",
            f"{path} cannot be used as a schedule: {error}.",
            "Give a schedule.json that uni4d train atms --schedule mcts wrote, or a schedule's name.",
        ) from error
    settings = tuple(Setting(rate, temperature) for rate, temperature in pairs)
    return Piecewise(settings, interval, warmup), best * interval
