"""The broker: owns the sockets, queues jobs for the worker, and never computes.

One thread, one loop over three sockets: *work* (requests that become jobs), *control* (answered at once)
and the link to the worker. Of requests and results it reads only the header; the content passes through as
it came, to the worker, to the client, and into the job store.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import zmq
from attrs import define, evolve, field

from uni4d import __version__
from uni4d.server import link
from uni4d.server.store import JobStore
from uni4d.server.worker_process import WorkerProcess
from uni4d_shared.codec import ProtocolError, decode, encode, read_header, readdressed
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import (
    WORK_REQUESTS,
    Accepted,
    Cancel,
    CancelReply,
    Failed,
    JobCancelled,
    JobInfo,
    JobProgress,
    Message,
    Ping,
    Pong,
    ResultRequest,
    Shutdown,
    ShutdownReply,
    Status,
    StatusReply,
)

__all__ = ["CANCEL_GRACE_SECONDS", "MAX_QUEUE", "Broker"]

CANCEL_GRACE_SECONDS = 15.0
"""A job that has not noticed its cancellation by then is ended by force, with its worker."""
MAX_QUEUE = 256
"""Jobs that may wait."""

_TICK_MS = 200  # how often the worker's life and deadlines are looked at when nothing arrives
_BURST = 64  # messages taken from one socket before the others have their turn
_WORK_KINDS = frozenset(cls.__name__ for cls in WORK_REQUESTS)
_log = logging.getLogger(__name__)


@define
class _Job:
    id: str
    kind: str
    client: bytes
    """Routing id on the work socket."""
    frames: Sequence[bytes]
    """The request, as it came."""
    progress: JobProgress
    cancel_deadline: float | None = None
    """When to use force; ``None`` while nobody cancelled it."""


@define
class _WorkerState:
    ready: bool = False
    library_size: int = 0
    broken: str = ""


@define
class Broker:
    """Serves until :meth:`stop`; the sockets are bound, the store is open, the worker not yet started."""

    work: zmq.Socket[Any]
    control: zmq.Socket[Any]
    worker: WorkerProcess
    store: JobStore
    profile: str
    may_shut_down: bool
    """Whether clients may stop the server: only when nobody but this machine's users can reach it."""
    _queue: OrderedDict[str, _Job] = field(factory=OrderedDict, init=False)
    _running: _Job | None = field(default=None, init=False)
    _state: _WorkerState = field(factory=_WorkerState, init=False)
    _stopping: bool = field(default=False, init=False)
    _greeted: set[str] = field(factory=set, init=False)
    _cancelled_early: OrderedDict[str, None] = field(factory=OrderedDict, init=False)
    """Jobs whose cancellation overtook their (large) request; the newest only."""

    def run(self) -> None:
        """Serve until :meth:`stop`, then end what is unfinished and the worker."""
        poller = zmq.Poller()
        for socket in (self.control, self.work, self.worker.socket):
            poller.register(socket, zmq.POLLIN)
        self.worker.start()
        try:
            while not self._stopping:
                poller.poll(_TICK_MS)
                self._drain(self.control, self._handle_control)
                self._drain(self.work, self._handle_work)
                self._hear_worker()
                self._watch_worker()
                self._start_next()
        finally:
            self.worker.kill()
            self._fail_unfinished()

    def stop(self) -> None:
        """Ask :meth:`run` to return; safe to call from a signal handler."""
        self._stopping = True

    # --- clients --------------------------------------------------------------------------------

    def _drain(self, socket: zmq.Socket[Any], handle: Callable[[bytes, list[bytes]], None]) -> None:
        for _ in range(_BURST):
            if not socket.poll(0):
                return
            client, *frames = socket.recv_multipart()
            try:
                handle(client, frames)
            except Uni4DError as error:
                _log.warning("a request was refused (%s): %s", error.code, error)
                self._send(socket, client, _failed(error), _id_of(frames))

    def _send(self, socket: zmq.Socket[Any], client: bytes, message: Message, parent: str) -> None:
        socket.send_multipart([client, *encode(message, id=uuid.uuid4().hex, parent=parent)])

    def _handle_work(self, client: bytes, frames: list[bytes]) -> None:
        header = read_header(frames)
        if header.type not in _WORK_KINDS:
            raise ProtocolError(f"{header.type[:80]} is not a request for the work socket")
        if header.id in self.store:
            raise Uni4DError("duplicate-job", f"There is a job {header.id} already.", "Use a new id.")
        if len(self._queue) >= MAX_QUEUE:
            raise Uni4DError("queue-full", f"{MAX_QUEUE} jobs are waiting.", "Try again later.")
        self.store.add(header.id, header.type)
        progress = JobProgress(header.type.removesuffix("Request").lower(), 0.0, "waiting")
        position = len(self._queue) + (self._running is not None)
        job = _Job(header.id, header.type, client, frames, progress)
        self._send(self.work, client, Accepted(position), job.id)
        if job.id in self._cancelled_early:
            del self._cancelled_early[job.id]
            self._end(job, JobCancelled())
        else:
            self._queue[job.id] = job

    def _handle_control(self, client: bytes, frames: list[bytes]) -> None:
        envelope = decode(frames)
        match envelope.message:
            case Ping(client=name):
                if name and name not in self._greeted and len(self._greeted) < MAX_QUEUE:
                    self._greeted.add(name)
                    _log.info("a client said hello: %s", name[:100])
                reply: Message = self._pong()
            case Cancel(job=job):
                reply = CancelReply(self._cancel(job))
            case Status():
                reply = StatusReply(self._jobs())
            case ResultRequest(job=job):
                result = self.store.result(job)
                if result is not None:
                    again = readdressed(result, id=uuid.uuid4().hex, parent=envelope.id)
                    self.control.send_multipart([client, *again])
                    return
                reply = self._unfinished(job).progress
            case Shutdown():
                if not self.may_shut_down:
                    raise Uni4DError(
                        "shutdown-refused", "This server is not on loopback.", "Stop it where it runs."
                    )
                _log.info("a client asked the server to stop")
                self.stop()
                reply = ShutdownReply()
            case other:
                raise ProtocolError(f"{type(other).__name__} is not a request for the control socket")
        self._send(self.control, client, reply, envelope.id)

    def _pong(self) -> Pong:
        state = "idle" if self._running is None else "busy"
        if self._state.broken:
            state = "broken"
        elif not self._state.ready and self._running is None:
            state = "starting"
        return Pong(__version__, self.profile, self._state.library_size, state, self._state.broken)

    def _jobs(self) -> tuple[JobInfo, ...]:
        """What the store knows, with the progress that is only in memory."""
        infos = []
        for info in self.store.jobs():
            if self._running is not None and info.job == self._running.id:
                now = self._running.progress
                infos.append(evolve(info, fraction=now.fraction, message=now.message))
            else:
                infos.append(info)
        return tuple(infos)

    def _unfinished(self, job: str) -> _Job:
        if self._running is not None and self._running.id == job:
            return self._running
        if job in self._queue:
            return self._queue[job]
        raise Uni4DError("result-missing", f"The result of job {job} is lost.", "Send its request again.")

    def _cancel(self, job: str) -> bool:
        if job in self._queue:
            self._end(self._queue.pop(job), JobCancelled())
            return True
        if self._running is None or self._running.id != job:
            if job not in self.store:
                self._cancelled_early[job] = None
                while len(self._cancelled_early) > MAX_QUEUE:
                    self._cancelled_early.popitem(last=False)
            return False
        if self._running.cancel_deadline is None:
            self._running.cancel_deadline = time.monotonic() + CANCEL_GRACE_SECONDS
            self.worker.send(link.CANCEL, job.encode())
        return True

    # --- the worker -----------------------------------------------------------------------------

    def _hear_worker(self) -> None:
        for _ in range(_BURST):
            frames = self.worker.receive()
            if frames is None:
                return
            word, *rest = frames
            if word == link.READY:
                self._state = _WorkerState(True, int(rest[0]), rest[1].decode())
            elif self._running is not None and rest[0] == self._running.id.encode():
                if word == link.PROGRESS:
                    self._running.progress = decode(rest[1:]).message
                    self.work.send_multipart([self._running.client, *rest[1:]])
                elif word == link.ENDED:
                    self._deliver(self._running, rest[1:])
                    self._running = None

    def _watch_worker(self) -> None:
        """Replace a worker that died, or that ignores a cancellation."""
        job = self._running
        if job is not None and job.cancel_deadline is not None and time.monotonic() > job.cancel_deadline:
            _log.warning("job %s did not stop in time; its worker is replaced", job.id)
            self._end(job, JobCancelled())
            self._running = None
            self.worker.kill()
            self._state = _WorkerState(False, self._state.library_size)
        death = self.worker.death()
        if death is not None:
            self._bury_worker(death)
        if self.worker.may_restart():
            self._state = _WorkerState(False, self._state.library_size)
            self.worker.start()

    def _bury_worker(self, death: str) -> None:
        """Tell those whose jobs died with the worker; one that cannot even start fails the whole queue."""
        broken = ""
        if self._running is not None:
            _log.error("the worker died (%s) during job %s", death, self._running.id)
            self._end(self._running, _died(f"The process that did this job died ({death})."))
            self._running = None
        elif self._state.ready:
            _log.error("the idle worker died (%s)", death)
        else:
            _log.error("the worker died while it started (%s)", death)
            broken = f"The worker process dies when it starts ({death}); the server's log has the reason."
            while self._queue:
                self._end(self._queue.popitem(last=False)[1], _died(broken))
        self.worker.kill()
        self._state = _WorkerState(False, self._state.library_size, broken)

    def _start_next(self) -> None:
        if self._running is None and self._state.ready and self._queue:
            _, job = self._queue.popitem(last=False)
            self._running = job
            self._state.ready = False
            self.store.started(job.id)
            self.worker.send(link.JOB, job.id.encode(), *job.frames)

    # --- ends of jobs ---------------------------------------------------------------------------

    def _end(self, job: _Job, message: Message) -> None:
        self._deliver(job, encode(message, id=uuid.uuid4().hex, parent=job.id))

    def _deliver(self, job: _Job, frames: Sequence[bytes]) -> None:
        """Keep a job's last message, and send it to the client that waits for it."""
        state, text = "done", ""
        kind = read_header(frames).type
        if kind == JobCancelled.__name__:
            state = "cancelled"
        elif kind == Failed.__name__:
            state, text = "failed", decode(frames).message.message
        self.store.ended(job.id, state, text, frames)
        self.work.send_multipart([job.client, *frames])
        _log.info("%s %s: %s%s", job.kind, job.id, state, f" ({text})" if text else "")

    def _fail_unfinished(self) -> None:
        stopped = Failed("server-stopped", "The server was stopped.", "Start it and send the request again.")
        running = [self._running] if self._running is not None else []
        for job in (*running, *self._queue.values()):
            self._end(job, stopped)
        self._running = None
        self._queue.clear()


def _died(reason: str) -> Failed:
    cure = "Send it again; if that fails too, look into the server's log (is there enough memory?)."
    return Failed("worker-died", reason, cure)


def _failed(error: Uni4DError) -> Failed:
    return Failed(error.code, error.message, error.cure)


def _id_of(frames: Sequence[bytes]) -> str:
    """The id of a refused message, if it has a readable one."""
    try:
        return read_header(frames).id
    except ProtocolError:
        return ""
