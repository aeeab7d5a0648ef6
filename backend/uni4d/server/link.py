"""What the broker and its worker say to each other, over a private loopback socket.

Each message starts with one of these words. The worker's routing id is a secret that only the broker that
started it knows, so nothing else on the machine can speak for a worker. Requests and results travel as the
frames that came from, or go to, the client.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["CANCEL", "ENDED", "JOB", "PROGRESS", "READY", "WorkerStart"]

JOB = b"job"
"""To the worker: ``[JOB, job, *frames]``."""
CANCEL = b"cancel"
"""To the worker: ``[CANCEL, job]``."""
READY = b"ready"
"""From the worker, at the start and after each job: ``[READY, library size, why it is broken or empty]``."""
PROGRESS = b"progress"
"""From the worker: ``[PROGRESS, job, *frames]``."""
ENDED = b"ended"
"""From the worker: ``[ENDED, job, *frames]`` with the result, ``Failed`` or ``JobCancelled``."""


@frozen
class WorkerStart:
    """What a new worker is told on the first line of its standard input, as JSON."""

    endpoint: str
    token: str
    """Its routing id on that endpoint."""
    stages: str
    """``module:name`` of the factory of its stages."""
