"""A backend of one thread that speaks the protocol and answers as a test tells it to."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from uni4d_shared.codec import decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import (
    Accepted,
    Cancel,
    CancelReply,
    Failed,
    JobCancelled,
    JobProgress,
    Message,
    Ping,
    Pong,
    ResultRequest,
)

__all__ = ["ToyBackend"]


class ToyBackend:
    """A context manager. ``answer(request)`` gives a job's end; ``None`` leaves the job running for ever."""

    def __init__(self, answer: Callable[[Message], Message | None], *, worker: str = "idle") -> None:
        self.requests: list[Message] = []
        self.cancelled: list[str] = []
        self._answer, self._worker = answer, worker
        self._running: dict[str, bytes] = {}
        self._deaf = threading.Event()
        self._stopping = threading.Event()

    def __enter__(self) -> ToyBackend:
        self._context = zmq.Context()
        self._work, self._control = (self._context.socket(zmq.ROUTER) for _ in range(2))
        ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (self._work, self._control)]
        self.endpoint, self.control_endpoint = (f"tcp://127.0.0.1:{port}" for port in ports)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(5.0)
        self._context.destroy(linger=0)

    def die(self) -> None:
        """Hear and say nothing from now on, as a machine whose plug was pulled."""
        self._deaf.set()

    def revive(self) -> None:
        self._deaf.clear()

    def forget_jobs(self) -> None:
        """As after a restart without a job store."""
        self._running.clear()

    def send_rubbish(self) -> None:
        """Answer the next ping with bytes that are no message."""
        self._worker = "rubbish"

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._work, zmq.POLLIN)
        poller.register(self._control, zmq.POLLIN)
        while not self._stopping.is_set():
            for socket, _ in poller.poll(20):
                client, *frames = socket.recv_multipart()
                if self._deaf.is_set():
                    continue
                envelope = decode(frames)
                handle = self._job if socket is self._work else self._ask
                handle(client, envelope.id, envelope.message)

    def _reply(self, socket: zmq.Socket[Any], client: bytes, message: Message, parent: str) -> None:
        socket.send_multipart([client, *encode(message, id=uuid.uuid4().hex, parent=parent)])

    def _job(self, client: bytes, job: str, request: Message) -> None:
        self.requests.append(request)
        self._reply(self._work, client, Accepted(0), job)
        self._reply(self._work, client, JobProgress("toy", 0.5, "half way"), job)
        try:
            end = self._answer(request)
        except Uni4DError as error:
            end = Failed(error.code, error.message, error.cure)
        if end is None:
            self._running[job] = client
        else:
            self._reply(self._work, client, end, job)

    def _ask(self, client: bytes, id: str, request: Message) -> None:
        match request:
            case Ping() if self._worker == "rubbish":
                self._control.send_multipart([client, b"rubbish"])
            case Ping():
                self._reply(self._control, client, Pong("0.1.0", "local", 3, self._worker), id)
            case Cancel(job=job):
                self.cancelled.append(job)
                self._reply(self._control, client, CancelReply(job in self._running), id)
                with suppress(KeyError):
                    self._reply(self._work, self._running.pop(job), JobCancelled(), job)
            case ResultRequest(job=job) if job in self._running:
                self._reply(self._control, client, JobProgress("toy", 0.6, "still at it"), id)
            case ResultRequest():
                self._reply(
                    self._control, client, Failed("unknown-job", "No such job.", "Send it again."), id
                )
