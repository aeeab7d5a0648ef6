"""Delivery on Blender's main thread: from the client's event queue to whoever waits for a job.

:class:`Jobs` sends requests and keeps a :class:`Pending` for each; :meth:`Jobs.deliver` moves what
happened into them. In a window a timer calls that (see :mod:`.session`); in ``blender -b``, where timers
never fire, whoever waits calls it in a loop.
"""

from __future__ import annotations

import time
from typing import Any

from attrs import define, field

from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Accepted, Failed, JobCancelled, JobProgress, Message, Pong
from uni4d_shared.progress import Cancelled

from .client import Client, Connected, ConnectionLost

__all__ = ["Jobs", "Pending"]


@define(eq=False)
class Pending:
    """A job that was sent; filled by :meth:`Jobs.deliver`."""

    job: str
    fraction: float = 0.0
    message: str = "waiting"
    end: Message = None
    """The job's last message, once there is one."""

    @property
    def done(self) -> bool:
        return self.end is not None

    def result(self) -> Any:
        """The job's result; raises what ended it instead: ``Uni4DError`` or ``Cancelled``."""
        if isinstance(self.end, Failed):
            raise Uni4DError(self.end.code, self.end.message, self.end.cure)
        if isinstance(self.end, JobCancelled):
            raise Cancelled
        return self.end


@define(eq=False)
class Jobs:
    """The main thread's view of one connection."""

    client: Client
    backend: Pong | None = None
    """What the backend said of itself last; ``None`` while there is no connection."""
    problem: Uni4DError | None = None
    """Why there is no connection."""
    _pending: dict[str, Pending] = field(factory=dict)

    def submit(self, request: Message) -> Pending:
        """Send a work request."""
        pending = Pending(self.client.request(request))
        self._pending[pending.job] = pending
        return pending

    def cancel(self, pending: Pending) -> None:
        """Ask the backend to stop a job; its :class:`Pending` ends when it has."""
        if not pending.done:
            self.client.cancel(pending.job)

    def deliver(self) -> bool:
        """Take in what happened since the last call; whether anything did."""
        events = self.client.events()
        for event in events:
            if isinstance(event.message, Connected):
                self.backend, self.problem = event.message.pong, None
            elif isinstance(event.message, ConnectionLost):
                lost = event.message
                self.backend, self.problem = None, Uni4DError(lost.code, lost.message, lost.cure)
            else:
                self._update(event.job, event.message)
        return bool(events)

    def wait_for_backend(self) -> Pong:
        """Block until the backend answers (for use without a window); an error when it does not."""
        while self.backend is None:
            self.deliver()
            if self.problem is not None:
                raise self.problem
            time.sleep(0.02)
        return self.backend

    def _update(self, job: str, message: Message) -> None:
        pending = self._pending.get(job)
        if pending is None:
            return
        if isinstance(message, JobProgress):
            pending.fraction, pending.message = message.fraction, message.message
        elif isinstance(message, Accepted):
            pending.message = f"{message.position} ahead in the queue" if message.position else "starting"
        else:
            pending.end = message
            del self._pending[job]
