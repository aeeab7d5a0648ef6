"""One callback for progress and cancellation, used by every stage.

A stage calls ``progress(fraction, message)`` often (at least once a second of work). The callback may
raise :class:`Cancelled`; a stage lets that pass and leaves no half-written output behind.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Cancelled", "Progress", "section", "silent"]

Progress = Callable[[float, str], None]
"""``progress(fraction, message)``: ``fraction`` in [0, 1] of this stage, ``message`` a short phrase."""


class Cancelled(Exception):
    """The user asked to stop. Not an error: it is reported as *cancelled*, never as a failure."""


def silent(fraction: float, message: str) -> None:
    """A progress callback that reports to nobody and never cancels."""


def section(progress: Progress, start: float, stop: float) -> Progress:
    """A callback for a sub-task whose 0..1 fills ``start``..``stop`` of ``progress``."""

    def report(fraction: float, message: str) -> None:
        progress(start + (stop - start) * min(max(fraction, 0.0), 1.0), message)

    return report
