"""The broker's handle on its worker: start, talk, notice its death, replace it."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import zmq
from cattrs.preconf.json import make_converter

from uni4d.config import Config
from uni4d.server.link import WorkerStart

__all__ = ["WorkerProcess"]

_RESTART_PAUSE = 2.0  # seconds between two starts of a worker that keeps dying
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # spinning threads make everything else on the machine 10-40 times slower
    "TOKENIZERS_PARALLELISM": "false",
}
_log = logging.getLogger(__name__)


class WorkerProcess:
    """One worker process at a time; :attr:`socket` is for the broker's poller."""

    def __init__(self, context: zmq.Context[Any], config: Config, stages: str) -> None:
        self._config = config
        self._stages = stages
        self._process: subprocess.Popen[str] | None = None
        self._token = b""
        self._started = 0.0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind("tcp://127.0.0.1:*")

    def start(self) -> None:
        """Start a new process; it says ``READY`` when it has loaded its stages."""
        # A routing id must not begin with a zero byte; nobody else can guess the other 16.
        self._token = b"w" + secrets.token_bytes(16)
        self._started = time.monotonic()
        endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        converter = make_converter()
        start = WorkerStart(endpoint, self._token.hex(), self._stages)
        threads = {"OMP_NUM_THREADS": str(os.cpu_count() or 1)}
        self._process = subprocess.Popen(
            # -P: a module that happens to lie in the current folder is not imported
            [sys.executable, "-P", "-m", "uni4d.server.worker"],
            stdin=subprocess.PIPE,
            stdout=2,  # what a library prints belongs in the log, not among the launcher's lines
            text=True,
            env={**threads, **_ENVIRONMENT, **os.environ},
            start_new_session=True,  # Ctrl-C in the terminal is for the broker, which ends the worker itself
        )
        assert self._process.stdin is not None  # noqa: S101 (for the type checker: stdin is a pipe)
        with contextlib.suppress(BrokenPipeError):  # it died already, which `death` will tell
            self._process.stdin.write(converter.dumps(start) + "\n" + converter.dumps(self._config) + "\n")
            self._process.stdin.flush()  # and it stays open: its end tells the worker that the broker is gone
        _log.info("worker %d started", self._process.pid)

    def death(self) -> str | None:
        """How the process ended by itself; ``None`` while it runs, and after :meth:`kill`."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return None
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def may_restart(self) -> bool:
        """Whether no process is there, and the last one was not started a moment ago."""
        return self._process is None and time.monotonic() - self._started >= _RESTART_PAUSE

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart([self._token, *frames])

    def receive(self) -> Sequence[bytes] | None:
        """The next message of the present worker, or ``None``."""
        while self.socket.poll(0):
            identity, *frames = self.socket.recv_multipart()
            if secrets.compare_digest(identity, self._token):
                return frames
        return None

    def kill(self) -> None:
        """End the process, and those that it started, now."""
        process = self._process
        if process is None:
            return
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        self._process = None

    def close(self) -> None:
        self.kill()
        self.socket.close()
