"""The worker process: loads the stages once, then does one job after the other.

Started by :mod:`uni4d.server.worker_process` as ``python -m uni4d.server.worker``. Line 1 of its standard
input is a :class:`~uni4d.server.link.WorkerStart`, line 2 the :class:`~uni4d.config.Config`; when the input
ends, the broker is gone and the worker ends itself at once, with whatever processes a stage has started.

Cancelling needs no second thread: the progress callback, which every stage calls often, looks for the word.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import time
import uuid
from typing import Any, Protocol

import zmq
from cattrs.preconf.json import make_converter

from uni4d.config import Config
from uni4d.server import link
from uni4d_shared.codec import ProtocolError, decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Failed, JobCancelled, JobProgress, Message
from uni4d_shared.progress import Cancelled, Progress

__all__ = ["Stages", "Worker", "main"]

_PROGRESS_INTERVAL = 0.1  # seconds between two progress messages of a job
_log = logging.getLogger(__name__)


class Stages(Protocol):
    """What does the work; :class:`uni4d.pipeline.Stages` is the real one."""

    def __init__(self, config: Config) -> None: ...

    def handle(self, request: Message, progress: Progress) -> Message:
        """The result message of a work request."""

    def library_size(self) -> int:
        """Assets in the index, 0 when the library was never built."""


class Worker:
    """Serves the jobs that come over ``socket`` with the stages called ``stages`` (``module:name``)."""

    def __init__(self, socket: zmq.Socket[Any], config: Config, stages: str) -> None:
        self._socket = socket
        self._config = config
        self._name = stages
        self._stages: Stages | None = None
        self._library_size = 0

    def run(self) -> None:
        """Until the process ends."""
        self._say_ready()
        while True:
            word, job, *frames = self._socket.recv_multipart()
            if word == link.JOB:
                self._socket.send_multipart([link.ENDED, job, *self._answer(job, frames)])
                self._say_ready()

    def _say_ready(self) -> None:
        """Tell the broker how things are; stages that cannot be loaded say why with every job too."""
        broken = ""
        try:
            self._library_size = self._library_size or self._load().library_size()
        except Exception as error:  # noqa: BLE001 (reported to the broker, which tells it to every client)
            _log.exception("the stages cannot be loaded")
            broken = str(error) or type(error).__name__
        self._socket.send_multipart([link.READY, str(self._library_size).encode(), broken.encode()])

    def _load(self) -> Stages:
        """The stages, made on first use, and tried again when that failed: the cure may have been taken."""
        if self._stages is None:
            module, _, name = self._name.partition(":")
            try:
                factory = getattr(importlib.import_module(module), name)
            except AttributeError as error:
                raise ImportError(str(error)) from error
            self._stages = factory(self._config)
        return self._stages

    def _answer(self, job: bytes, frames: list[bytes]) -> list[bytes]:
        """The frames of the job's last message."""
        result = self._result(job, frames)
        try:
            return encode(result, id=uuid.uuid4().hex, parent=job.decode())
        except ProtocolError as error:
            _log.exception("the result of job %s cannot be sent", job.decode())
            return encode(_internal(error), id=uuid.uuid4().hex, parent=job.decode())

    def _result(self, job: bytes, frames: list[bytes]) -> Message:
        try:
            envelope = decode(frames)
            report = self._progress_of(job, type(envelope.message).__name__)
            return self._load().handle(envelope.message, report)
        except Cancelled:
            return JobCancelled()
        except Uni4DError as error:
            _log.warning("job %s failed (%s): %s", job.decode(), error.code, error)
            return Failed(error.code, error.message, error.cure)
        except ImportError as error:
            _log.exception("job %s needs something that cannot be imported", job.decode())
            cure = f"Install the backend with all its dependencies into {sys.prefix}."
            return Failed("import-failed", f"The backend lacks a package: {error}.", cure)
        except Exception as error:  # noqa: BLE001 (whatever went wrong, the client who waits must hear of it)
            _log.exception("job %s failed", job.decode())
            return _internal(error)

    def _progress_of(self, job: bytes, kind: str) -> Progress:
        stage = kind.removesuffix("Request").lower()
        last = 0.0

        def report(fraction: float, message: str) -> None:
            nonlocal last
            if self._is_cancelled(job):
                raise Cancelled
            now = time.monotonic()
            if now - last >= _PROGRESS_INTERVAL or fraction >= 1.0:
                last = now
                frames = encode(
                    JobProgress(stage, float(fraction), message), id=uuid.uuid4().hex, parent=job.decode()
                )
                self._socket.send_multipart([link.PROGRESS, job, *frames])

        return report

    def _is_cancelled(self, job: bytes) -> bool:
        while self._socket.poll(0):
            word, cancelled, *_ = self._socket.recv_multipart()
            if word == link.CANCEL and cancelled == job:
                return True
        return False


def _internal(error: Exception) -> Failed:
    return Failed(
        "internal", f"{type(error).__name__}: {error}", "This is a bug; the server's log has the details."
    )


def _end_with_broker() -> None:
    """Wait until the broker's end of the pipe closes, then end this process and those that it started."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Entry point of the process."""
    converter = make_converter()
    start = converter.loads(sys.stdin.readline(), link.WorkerStart)
    config = converter.loads(sys.stdin.readline(), Config)
    threading.Thread(target=_end_with_broker, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s worker %(levelname)s %(message)s")
    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt(zmq.ROUTING_ID, bytes.fromhex(start.token))
    socket.connect(start.endpoint)
    Worker(socket, config, start.stages).run()


if __name__ == "__main__":
    main()
