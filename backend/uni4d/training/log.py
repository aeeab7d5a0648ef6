"""The log of a training: one JSON line per validation, and the curves drawn from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

__all__ = ["TrainingLog", "draw_curves"]

Row = dict[str, float | str]

_BESIDE = {"validation_loss": ("validation_loss_without", "validation_loss_exchanged")}
"""Figure → those that are drawn beside it, dashed, for comparison."""


@frozen
class TrainingLog:
    """``log.jsonl`` in a training's folder; appended to, so that it survives an interruption."""

    path: Path

    def write(self, row: Row) -> None:
        """Append one line. A training that goes on from step k writes the steps after k again: readers take
        the last line of each (run, step)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """All lines in order of run and step, the last of each; a line cut short by a crash is skipped."""
        latest: dict[tuple[str, float], Row] = {}
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                    latest[str(row.get("run", "")), float(row["step"])] = row
                except (ValueError, KeyError):
                    continue
        return [latest[key] for key in sorted(latest)]


def draw_curves(rows: Sequence[Row], path: Path, title: str) -> None:
    """One small plot per figure over the steps, a line per run, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [
        name
        for name in (
            "loss",
            "validation_loss",
            "validation_accuracy",
            "validation_recall_10",
            "validation_gate",
            "learning_rate",
        )
        if any(name in row for row in rows)
    ]
    figure = Figure(figsize=(3.4 * max(len(names), 1), 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    runs = sorted({str(row.get("run", "")) for row in rows})
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), place)
        for run in runs:
            mine = [row for row in rows if str(row.get("run", "")) == run and name in row]
            axes.plot([float(row["step"]) for row in mine], [float(row[name]) for row in mine], label=run)
        for other in _BESIDE.get(name, ()):
            known = [row for row in rows if other in row]
            if known:
                label = other.removeprefix(f"{name}_")
                axes.plot(*zip(*((row["step"], row[other]) for row in known), strict=True), "--", label=label)
                axes.legend(fontsize=7)
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.grid(alpha=0.3)
        if place == 1 and len(runs) > 1:
            axes.legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
