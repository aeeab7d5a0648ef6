"""A real server in its own process, and a small client for real sockets."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from attrs import define

from uni4d_shared.codec import Envelope, decode, encode
from uni4d_shared.messages import Accepted, JobProgress, Message, Ping, Pong, SearchRequest
from uni4d_shared.transport import client_socket, posted

_PATIENCE = 20.0  # seconds; the machine may be busy
_SCRIPT = """
import logging, sys
from pathlib import Path
import attrs
from uni4d.config import Config, ServeConfig
from uni4d.server import serve
from uni4d_shared.errors import Uni4DError
logging.basicConfig(level=logging.INFO)
jobs, work, control, keys, stages = sys.argv[1:]
config = Config(serve=ServeConfig(work, control, Path(jobs), Path(keys) if keys else None))
try:
    serve(config, stages=stages)
except Uni4DError as error:
    print("error", error.code, error)
    sys.exit(1)
"""


@define
class Server:
    """A server process; ``endpoints`` are known once it said that it is ready."""

    process: subprocess.Popen[str]
    endpoints: tuple[str, ...] = ()
    said: str = ""


@define
class Client:
    """Both sockets of one client."""

    work: zmq.Socket[Any]
    control: zmq.Socket[Any]

    def request(self, prompt: str, job: str = "") -> str:
        job = job or uuid.uuid4().hex
        self.work.send_multipart(encode(SearchRequest(prompt), id=job))
        return job

    def receive(self, timeout: float = _PATIENCE) -> Envelope:
        return _receive(self.work, timeout)

    def last(self, job: str, timeout: float = _PATIENCE) -> tuple[Message, list[JobProgress]]:
        """The message that ends ``job``, and the progress before it."""
        reports: list[JobProgress] = []
        while True:
            envelope = self.receive(timeout)
            assert envelope.parent == job
            if isinstance(envelope.message, JobProgress):
                reports.append(envelope.message)
            elif not isinstance(envelope.message, Accepted):
                return envelope.message, reports

    def ask(self, message: Message, timeout: float = _PATIENCE) -> Any:
        """The answer to a control request."""
        question = uuid.uuid4().hex
        if not posted(self.control, encode(message, id=question)):
            raise TimeoutError("the server refused the keys")
        envelope = _receive(self.control, timeout)
        assert envelope.parent == question
        return envelope.message

    def wait_for_worker(self, state: str = "idle") -> Pong:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            pong: Pong = self.ask(Ping("tests"))
            if pong.worker == state:
                return pong
            time.sleep(0.05)
        raise AssertionError(f"the worker is {pong.worker}, not {state}")


def _receive(socket: zmq.Socket[Any], timeout: float) -> Envelope:
    if not socket.poll(int(timeout * 1000)):
        raise TimeoutError(f"nothing came within {timeout} s")
    return decode(socket.recv_multipart())


StartServer = Callable[..., Server]
Connect = Callable[..., Client]


@contextmanager
def _servers(folder: Path) -> Iterator[StartServer]:
    servers: list[Server] = []

    def start(
        stages: str = "Stages",
        work: str = "tcp://127.0.0.1:*",
        control: str = "tcp://127.0.0.1:*",
        keys: Path | None = None,
        jobs: Path = folder / "jobs",
    ) -> Server:
        command = [sys.executable, "-c", _SCRIPT, str(jobs), work, control, str(keys or "")]
        command.append(f"stages_for_tests:{stages}")
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        servers.append(Server(process))
        assert process.stdout is not None
        servers[-1].said = process.stdout.readline()
        word, *rest = servers[-1].said.split()
        if word == "ready":
            servers[-1].endpoints = tuple(rest)
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.process.terminate()
            server.process.wait(_PATIENCE)
            if server.process.stdout is not None:
                server.process.stdout.close()


@contextmanager
def _connections() -> Iterator[Connect]:
    context = zmq.Context()
    sockets: list[zmq.Socket[Any]] = []

    def connect_to(server: Server, keys: Path | None = None) -> Client:
        both = [client_socket(context, keys) for _ in server.endpoints]
        sockets.extend(both)
        for socket, endpoint in zip(both, server.endpoints, strict=True):
            socket.connect(endpoint)
        return Client(*both)

    try:
        yield connect_to
    finally:
        for socket in sockets:
            socket.close(linger=0)
        context.term()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Start servers that end with the test; their logs go to the test's output."""
    with _servers(tmp_path) as start:
        yield start


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect clients to servers."""
    with _connections() as connect_to:
        yield connect_to


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a module."""
    with _servers(tmp_path_factory.mktemp("server")) as start:
        yield start()


@pytest.fixture
def client(server: Server, connect: Connect) -> Client:
    """A new client of the module's server, whose worker is idle."""
    connected = connect(server)
    connected.wait_for_worker()
    return connected
