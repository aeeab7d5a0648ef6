"""What a person sees while a command runs: one progress bar per stage, on stderr.

Results go to stdout, everything else to stderr, so that ``uni4d … --json | jq`` works.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from uni4d_shared.progress import Progress as ProgressCallback

__all__ = ["StageBars", "stderr", "stdout"]

stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False, soft_wrap=True)


class StageBars:
    """Progress bars by stage name; a line per finished stage where stderr is not a terminal."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[StageBars]:
        columns = (
            TextColumn("{task.description:>10}"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>4.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[message]}"),
        )
        with Progress(*columns, console=stderr, refresh_per_second=4) as bars:
            yield cls(bars)

    def report(self, stage: str, fraction: float, message: str = "") -> None:
        """Move the bar of ``stage``; the first report of a stage starts it and its clock."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=1.0, message="")
        self._bars.update(self._tasks[stage], completed=min(fraction, 1.0), message=message[:60])

    def callback(self, stage: str) -> ProgressCallback:
        """The progress callback of one stage."""

        def report(fraction: float, message: str) -> None:
            self.report(stage, fraction, message)

        return report
