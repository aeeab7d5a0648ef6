"""A backend server of one's own: started as a child process, reached, and stopped again."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq
from attrs import frozen

from uni4d.config import Config
from uni4d_shared.codec import decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Ping, Pong

__all__ = ["Backend", "own_backend", "ping"]

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@frozen
class Backend:
    """Where a server listens."""

    endpoint: str
    control_endpoint: str


def ping(control_endpoint: str, seconds: float = 2.0) -> Pong | None:
    """The server's answer on its control socket, or ``None`` if it gives none in time."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        dealer.connect(control_endpoint)
        dealer.send_multipart(encode(Ping(client="uni4d"), id="ping"))
        if not dealer.poll(int(seconds * 1000)):
            return None
        reply = decode(dealer.recv_multipart()).message
        return reply if isinstance(reply, Pong) else None


@contextmanager
def own_backend(config: Config, log_path: Path) -> Iterator[Backend]:
    """Run ``uni4d serve`` on free loopback ports; its log goes to ``log_path``; it ends with the block."""
    endpoint, control = (f"tcp://127.0.0.1:{port}" for port in _free_ports(2))
    command = [sys.executable, "-m", "uni4d.cli", "serve", "--profile", config.profile]
    command += ["--endpoint", endpoint, "--control-endpoint", control]
    command += ["--library", str(config.library.root), "--jobs", str(config.serve.jobs)]
    with log_path.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_up(process, control, log_path)
            yield Backend(endpoint, control)
        finally:
            _stop(process)


def _wait_until_up(process: subprocess.Popen[bytes], control: str, log_path: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-5:])
            raise Uni4DError(
                "backend-failed", f"The backend stopped at once:\n{tail}", f"Its log: {log_path}"
            )
        if ping(control, 0.5) is not None:
            return
    raise Uni4DError("backend-failed", "The backend did not answer within a minute.", f"Its log: {log_path}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("the backend did not stop in %.0f s and is killed", _STOP_SECONDS)
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
