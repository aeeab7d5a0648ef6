"""The connection to the backend: one thread, two sockets, two queues. No ``bpy`` here.

Threading rules
---------------
* The thread started by :class:`Client` never touches ``bpy`` and never calls back into the add-on. All
  that it knows leaves it through the event queue, which :mod:`.pump` empties on Blender's main thread.
* The methods of :class:`Client` belong to one thread, Blender's main thread. They never wait: requests
  are handed to the client's thread over an in-process socket. Only :meth:`Client.close` waits, for the
  thread to end.
* The main thread makes the sockets before the client's thread starts; from then on they belong to that.

Liveness: a ``Ping`` goes over the control socket every second. After several unanswered ones the backend
counts as lost, and every outstanding job fails. *Unanswered pings* are counted, not seconds: while Blender
renders, its Python may stand still for a while, and that says nothing about the backend. A backend that
was restarted in the meantime answers pings but may have forgotten jobs; so the client asks for the
end of its jobs now and then (``ResultRequest``).
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import zmq
from attrs import define, frozen

from uni4d_shared.codec import Frame, ProtocolError, decode, encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import (
    Accepted,
    Cancel,
    CancelReply,
    Failed,
    JobProgress,
    Message,
    Ping,
    Pong,
    ResultRequest,
)
from uni4d_shared.transport import (
    CONTROL_ENDPOINT,
    HEARTBEAT_SECONDS,
    LOST_AFTER_SECONDS,
    WORK_ENDPOINT,
    client_socket,
    is_loopback,
    posted,
)

__all__ = ["Client", "Connected", "ConnectionLost", "Event"]

_MAX_UNANSWERED = max(int(LOST_AFTER_SECONDS / HEARTBEAT_SECONDS) - 1, 1)
_ASK_SECONDS = 10.0
"""How often a running job's end is asked for, in case it was missed."""
_ACCEPT_SECONDS = 15.0
"""A live backend acknowledges requests at once; after so long a request never arrived."""
_CLOSE_SECONDS = 3.0

_REQUEST, _CANCEL, _STOP = b"request", b"cancel", b"stop"  # words on the in-process socket

_log = logging.getLogger(__name__)


@frozen
class Connected:
    """The backend answers."""

    pong: Pong


@frozen
class ConnectionLost:
    """The backend does not answer (any more). The client keeps trying; ``Connected`` may follow."""

    code: str
    message: str
    cure: str


@frozen
class Event:
    """Something for the main thread."""

    job: str
    """The job that it concerns; empty for ``Connected`` and ``ConnectionLost``."""
    message: Message
    """``Connected``, ``ConnectionLost``, or a message of the protocol."""


@define
class _Job:
    """What the thread remembers of a job until its end."""

    sent: float
    accepted: bool = False
    asked: float = 0.0


class Client:
    """A connection to one backend, from construction to :meth:`close`."""

    def __init__(
        self,
        endpoint: str = WORK_ENDPOINT,
        control_endpoint: str = CONTROL_ENDPOINT,
        *,
        name: str = "",
        keys: Path | None = None,
    ) -> None:
        """``name`` says who asks; ``keys``: folder of CURVE keys, needed for any address but loopback."""
        for address in (endpoint, control_endpoint):
            if keys is None and not is_loopback(address):
                raise Uni4DError(
                    "keys-missing",
                    f"{address} is not on this machine, and no keys are set.",
                    "Name the folder of the client's keys in the add-on's preferences.",
                )
        self._endpoint = endpoint
        self._name = name
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._jobs: dict[str, _Job] = {}
        self._questions: dict[str, str] = {}  # id of a ResultRequest → the job it asks about
        self._unanswered = 0
        self._connected: bool | None = None  # None: not known yet
        self._refusal = _no_backend(endpoint)  # of requests, while there is no connection

        self._context = zmq.Context()
        try:
            self._work = client_socket(self._context, keys)
            self._control = client_socket(self._context, keys)
            self._orders = self._context.socket(zmq.PAIR)
            self._mouth = self._context.socket(zmq.PAIR)
            self._orders.bind("inproc://orders")
            self._mouth.connect("inproc://orders")
            self._work.connect(endpoint)
            self._control.connect(control_endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise Uni4DError(
                "bad-endpoint",
                f"{endpoint} and {control_endpoint} are not addresses of a backend ({error}).",
                f"An address looks like {WORK_ENDPOINT}.",
            ) from error
        except Uni4DError:
            self._context.destroy(linger=0)
            raise
        self._thread = threading.Thread(target=self._run, name="uni4d-client", daemon=True)
        self._thread.start()

    # --- the main thread's side -------------------------------------------------------------------

    def request(self, message: Message) -> str:
        """Send a work request; the id of its job, whose events will follow."""
        job = uuid.uuid4().hex
        self._order(_REQUEST, job.encode(), *encode(message, id=job))
        return job

    def cancel(self, job: str) -> None:
        """Ask for a job's cancellation; ``JobCancelled`` follows, or its end if that came first."""
        self._order(_CANCEL, job.encode())

    def events(self) -> list[Event]:
        """Everything that happened since the last call, in order."""
        happened: list[Event] = []
        while True:
            try:
                happened.append(self._events.get_nowait())
            except queue.Empty:
                return happened

    def close(self) -> None:
        """End the thread and the connection. The backend's jobs are left alone. May be called twice."""
        if self._mouth.closed:
            return
        if self._thread.is_alive():
            self._order(_STOP)
            self._thread.join(_CLOSE_SECONDS)
        self._mouth.close(linger=0)
        self._context.destroy(linger=0)

    def _order(self, *frames: bytes) -> None:
        if not self._thread.is_alive():
            raise Uni4DError("disconnected", "There is no connection to a backend.", "Press Connect.")
        self._mouth.send_multipart(frames)

    # --- the client's thread ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a thread's death must reach the main thread
            _log.exception("the client's thread ended")
            self._lose("client-failed", f"The connection failed: {error}.", "Press Connect again.")
        finally:
            for socket in (self._work, self._control, self._orders):
                socket.close(linger=0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        for socket in (self._work, self._control, self._orders):
            poller.register(socket, zmq.POLLIN)
        next_ping = time.monotonic()
        while True:
            poller.poll(max(int((next_ping - time.monotonic()) * 1000.0), 0))
            self._receive(self._work)
            self._receive(self._control)
            while self._orders.poll(0):
                word, *frames = self._orders.recv_multipart()
                if word == _STOP:
                    return
                self._obey(word, frames)
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + HEARTBEAT_SECONDS
                self._beat()

    def _obey(self, word: bytes, frames: list[bytes]) -> None:
        job = frames[0].decode()
        if word == _CANCEL:
            posted(self._control, encode(Cancel(job), id=uuid.uuid4().hex))
        elif self._connected is False:
            self._events.put(Event(job, self._refusal))
        else:
            self._jobs[job] = _Job(time.monotonic())
            if not posted(self._work, frames[1:]):
                self._end(job, _refused(self._endpoint))

    def _beat(self) -> None:
        sent = posted(self._control, encode(Ping(self._name), id=uuid.uuid4().hex))
        if not sent:
            self._refusal = _refused(self._endpoint)
        if self._connected is not False and (not sent or self._unanswered >= _MAX_UNANSWERED):
            lost = _no_backend if self._connected is None else _lost
            failed = lost(self._endpoint) if sent else self._refusal
            self._lose(failed.code, failed.message, failed.cure)
        self._unanswered += 1
        self._ask()

    def _ask(self) -> None:
        """Look after jobs of which nothing was heard."""
        now = time.monotonic()
        for job, known in list(self._jobs.items()):
            if not known.accepted and self._connected and now - known.sent > _ACCEPT_SECONDS:
                self._end(job, Failed("request-lost", "The backend never got the request.", "Try again."))
            elif known.accepted and now - max(known.sent, known.asked) > _ASK_SECONDS:
                known.asked = now
                question = uuid.uuid4().hex
                self._questions[question] = job
                posted(self._control, encode(ResultRequest(job), id=question))

    def _receive(self, socket: zmq.Socket[Any]) -> None:
        while socket.poll(0):
            frames: list[Frame] = [frame.buffer for frame in socket.recv_multipart(copy=False)]
            try:
                envelope = decode(frames)
            except ProtocolError as error:
                self._lose(error.code, f"The backend sent something unreadable: {error.message}", error.cure)
                continue
            self._hear(envelope.parent, envelope.message)

    def _hear(self, parent: str, message: Message) -> None:
        if isinstance(message, Pong):
            self._unanswered = 0
            self._connected = True
            self._events.put(Event("", Connected(message)))
            return
        if isinstance(message, CancelReply):
            return
        job = self._questions.pop(parent, parent)
        known = self._jobs.get(job)
        if known is None:
            if isinstance(message, Failed):  # the refusal of a control request
                _log.warning("the backend refused: %s %s", message.message, message.cure)
            return
        known.sent = time.monotonic()
        if isinstance(message, (Accepted, JobProgress)):
            known.accepted = True
            self._events.put(Event(job, message))
        else:
            self._end(job, message)

    def _end(self, job: str, message: Message) -> None:
        del self._jobs[job]
        self._events.put(Event(job, message))

    def _lose(self, code: str, message: str, cure: str) -> None:
        self._connected = False
        self._events.put(Event("", ConnectionLost(code, message, cure)))
        for job in list(self._jobs):
            self._end(job, Failed(code, message, cure))


def _no_backend(endpoint: str) -> Failed:
    return Failed("no-backend", f"No backend answers at {endpoint}.", "Start it: uni4d serve.")


def _refused(endpoint: str) -> Failed:
    return Failed(
        "keys-refused",
        f"The backend at {endpoint} does not admit this client.",
        "Have its keys made on the server (uni4d keys), and name their folder in the add-on's preferences.",
    )


def _lost(endpoint: str) -> Failed:
    return Failed(
        "backend-lost",
        f"The backend at {endpoint} stopped answering.",
        "See its log, start it again (uni4d serve), and repeat the request.",
    )
