"""What every ``uni4d train`` command that has a log shares."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define

from uni4d.commands.common import Command
from uni4d.terminal import stdout

if TYPE_CHECKING:
    from uni4d.training.log import TrainingLog

__all__ = ["Training"]


@define(kw_only=True)
class Training(Command):
    """Options of every training."""

    out: Path
    """Folder for weights, log and curves; a training that was stopped goes on from what is there."""
    recipe: Path | None = None
    """A TOML file with training settings, e.g. a [loop] table with steps = 800."""
    seed: int = 0

    def _log(self) -> TrainingLog:
        from uni4d.training.log import TrainingLog

        return TrainingLog(self.out / "log.jsonl")

    def _finish(self, weights: Path, log: TrainingLog) -> dict[str, Any]:
        from uni4d.training.log import draw_curves

        rows = log.rows()
        draw_curves(rows, self.out / "curves.png", weights.stem)
        return {
            "weights": str(weights),
            "log": str(log.path),
            "curves": str(self.out / "curves.png"),
            "last": rows[-1] if rows else {},
        }

    def show(self, result: dict[str, Any]) -> None:
        for name in ("weights", "log", "curves"):
            stdout.print(f"{name}: {result[name]}")
        accuracy = result["last"].get("validation_accuracy")
        if accuracy is not None:
            stdout.print(f"validation: accuracy {accuracy:.3f}")
