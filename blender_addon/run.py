"""Work that goes on step by step on Blender's main thread.

The window's timer and the loop without a window both just call :meth:`Run.advance` until it returns False;
between two steps Blender is free to draw and to listen. A stage that was done before with the same inputs
is taken from a :class:`Store`.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Protocol, TypeVar

from attrs import frozen

from uni4d_shared.codec import encode
from uni4d_shared.messages import Message
from uni4d_shared.progress import Cancelled

from .pump import Jobs, Pending

__all__ = ["Run", "Step", "Store", "digest"]

Result = TypeVar("Result")


@frozen
class Step:
    """How far a run is: what a progress bar shows."""

    stage: str
    fraction: float
    message: str


class Store(Protocol):
    """Keeps the results of stages between runs. ``key`` stands for everything that a result depends on."""

    def recall(self, stage: str, key: str, cls: type[Result]) -> Result | None: ...

    def keep(self, stage: str, key: str, value: object) -> None: ...


class Run(ABC):
    """A sequence of steps that can be cancelled between any two."""

    first_stage: str

    def __init__(self, jobs: Jobs, store: Store | None = None) -> None:
        self.step = Step(self.first_stage, 0.0, "")
        self.seconds: dict[str, float] = {}
        """Wall time of each stage so far."""
        self._jobs, self._store = jobs, store
        self._pending: Pending | None = None
        self._cancelled = False
        self._clock = time.perf_counter()
        self._steps = self._run()

    @abstractmethod
    def _run(self) -> Generator[Step, None, None]:
        """The steps."""

    def advance(self) -> bool:
        """Do the next step; False when the run is complete. Raises what goes wrong, or ``Cancelled``."""
        self._jobs.deliver()
        if self._cancelled:
            self._steps.close()
            raise Cancelled
        stage = self.step.stage
        try:
            self.step = next(self._steps)
        except StopIteration:
            return False
        finally:
            now = time.perf_counter()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._clock
            self._clock = now
        return True

    def cancel(self) -> None:
        """Stop at the next step, and tell the backend to stop as well."""
        self._cancelled = True
        if self._pending is not None:
            self._jobs.cancel(self._pending)

    def _ask(self, stage: str, request: Message, cls: type[Result]) -> Generator[Step, None, Result]:
        """One stage of the backend's, unless its result is known already."""
        yield Step(stage, 0.0, "")
        backend = self._jobs.backend
        salt = f"{backend.server}/{backend.profile}/{backend.library_size}" if backend else ""
        key = digest(salt.encode(), *encode(request, id="key"))
        known = self._store.recall(stage, key, cls) if self._store else None
        if known is not None:
            yield Step(stage, 1.0, "done before")
            return known
        pending = self._pending = self._jobs.submit(request)
        while not pending.done:
            yield Step(stage, pending.fraction, pending.message)
        self._pending = None
        result: Result = pending.result()
        if self._store:
            self._store.keep(stage, key, result)
        yield Step(stage, 1.0, "done")
        return result


def digest(*parts: bytes) -> str:
    """A key for everything in ``parts``."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
