"""The comparison of schedules as a page: the table, learning curves, and the schedule each one chose."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from uni4d.evaluation.metrics import Estimate
from uni4d.evaluation.schedules import REFERENCE, ScheduleComparison

__all__ = ["TITLES", "write_schedule_report"]

TITLES = {
    "constant": "constant",
    "tuned": "constant, tuned by trials",
    "cosine": "cosine",
    "learned-temperature": "constant, learnable temperature",
    "random": "random actions",
    "bandit": "bandit over rates",
    "pbt": "population based training",
    "mcts": "MCTS",
}
_COLORS = ("#6baed6", "#2171b5", "#fd8d3c", "#969696", "#d9d9d9", "#a1d99b", "#9e9ac8", "#cb181d")
_SHOWN = ("recall@1", "recall@10", "mrr")


def write_schedule_report(folder: Path, compared: ScheduleComparison) -> dict[str, Any]:
    """Write ``schedules.md``, ``schedules.json`` and two plots; returns what the JSON holds."""
    folder.mkdir(parents=True, exist_ok=True)
    told = _as_json(compared)
    (folder / "schedules.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    (folder / "schedules.md").write_text("\n".join(_page(compared)) + "\n", encoding="utf-8")
    _draw(folder / "curves.png", compared, (("validation_mrr", "validation MRR", False),))
    shown = (("learning_rate", "learning rate", True), ("temperature", "temperature", False))
    _draw(folder / "chosen.png", compared, shown)
    return told


def _as_json(compared: ScheduleComparison) -> dict[str, Any]:
    cells = []
    for start in compared.settings.starts:
        for strategy in compared.settings.strategies:
            runs = compared.of(strategy, start)
            cell: dict[str, Any] = {
                "strategy": strategy,
                "start": start,
                "test": {
                    metric: attrs.asdict(figure)
                    for metric, figure in compared.figures(strategy, start).items()
                },
                "validation": [run.score for run in runs],
                "live_steps": [_live(run.schedule) for run in runs],
                "best_step": [run.schedule["best_interval"] * run.schedule["interval"] for run in runs],
                "ledgers": [run.schedule["ledger"] for run in runs],
                "seconds": [run.seconds for run in runs],
            }
            if REFERENCE in compared.settings.strategies and strategy != REFERENCE:
                cell["mcts_ahead"] = {
                    metric: attrs.asdict(figure)
                    for metric, figure in compared.behind(strategy, start).items()
                }
            cells.append(cell)
    return {
        "settings": attrs.asdict(compared.settings),
        "config": attrs.asdict(compared.config),
        "queries": len(compared.clusters),
        "cells": cells,
    }


def _page(compared: ScheduleComparison) -> Iterable[str]:
    settings, schedule = compared.settings, compared.config.schedule
    yield from ("# Schedules, compared", "")
    yield (
        f"Every run spends {schedule.budget} gradient steps, those of rollouts and of discarded trials "
        f"included; an interval is {schedule.interval} steps. {settings.seeds} seeds; "
        f"{len(compared.clusters)} test queries by name that no strategy has read. A cell is the mean over "
        "seeds ± their standard deviation with the 95 % bootstrap interval over queries. *Live* is the "
        "length in steps of the training that was handed over, *best* the step of it that was chosen on the "
        "validation split; *again* are steps that were repeated because a snapshot had been dropped."
    )
    for start in settings.starts:
        yield from ("", f"## From a learning rate of {start:g}", "")
        yield from _table(compared, start)
    yield from ("", "## How the training that is handed over went", "", "![curves](curves.png)", "")
    yield from ("## What was chosen", "", "First seed.", "", "![chosen](chosen.png)")


def _table(compared: ScheduleComparison, start: float) -> Iterable[str]:
    ahead = REFERENCE in compared.settings.strategies
    head = ["schedule", *_SHOWN, "validation MRR", "live", "best", "validations", "again", "seconds"]
    head += ["MCTS ahead (mrr)"] if ahead else []
    yield f"| {' | '.join(head)} |"
    yield "|---|" + "--:|" * (len(head) - 1)
    for strategy in compared.settings.strategies:
        runs = compared.of(strategy, start)
        figures = compared.figures(strategy, start)
        ledgers = [run.schedule["ledger"] for run in runs]
        cells = [TITLES[strategy], *(_cell(figures[metric]) for metric in _SHOWN)]
        cells += [
            f"{np.mean([run.score for run in runs]):.3f}",
            f"{np.mean([_live(run.schedule) for run in runs]):.0f}",
            f"{np.mean([r.schedule['best_interval'] * r.schedule['interval'] for r in runs]):.0f}",
            f"{np.mean([sum(ledger['validations'].values()) for ledger in ledgers]):.0f}",
            f"{np.mean([ledger['repeated'] for ledger in ledgers]):.0f}",
            f"{np.mean([run.seconds for run in runs]):.0f}",
        ]
        if ahead:
            cells.append("" if strategy == REFERENCE else _gap(compared.behind(strategy, start)["mrr"]))
        yield f"| {' | '.join(cells)} |"


def _live(schedule: dict[str, Any]) -> int:
    return len(schedule["settings"]) * int(schedule["interval"])


def _cell(figure: Estimate) -> str:
    spread = "" if figure.spread is None else f" ± {figure.spread:.3f}"
    return f"{figure.mean:.3f}{spread} [{figure.low:.2f}, {figure.high:.2f}]"


def _gap(figure: Estimate) -> str:
    return f"{figure.mean:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]"


def _draw(path: Path, compared: ScheduleComparison, shown: tuple[tuple[str, str, bool], ...]) -> None:
    """A panel per start and figure, a line per strategy: of one figure the mean over seeds, else the first
    seed."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    starts = compared.settings.starts
    figure = Figure(figsize=(5.2 * len(starts), 3.4 * len(shown) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(shown), len(starts), squeeze=False)
    for row, (name, title, logarithmic) in enumerate(shown):
        for column, start in enumerate(starts):
            panel = panels[row][column]
            for strategy in compared.settings.strategies:
                runs = compared.of(strategy, start)
                curves = [[each[name] for each in run.schedule["rows"]] for run in runs]
                curves = curves if len(shown) == 1 else curves[:1]
                shortest = min(len(curve) for curve in curves)
                values = np.mean([curve[:shortest] for curve in curves], axis=0)
                steps = np.arange(shortest) * runs[0].schedule["interval"]
                color = _COLORS[list(TITLES).index(strategy)]
                width = 2.4 if strategy == REFERENCE else 1.3
                panel.plot(steps, values, label=TITLES[strategy], color=color, linewidth=width)
            if logarithmic:
                panel.set_yscale("log")
            panel.set_title(f"{title}, from {start:g}", fontsize=10)
            panel.set_xlabel("live gradient steps", fontsize=8)
            panel.grid(visible=True, color="#e6e6e6", linewidth=0.7)
            panel.tick_params(labelsize=8)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, facecolor="white")
