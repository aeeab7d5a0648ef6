"""``uni4d serve``: bind, open the store, start the worker, serve until a signal."""

from __future__ import annotations

import errno
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import zmq

from uni4d.config import Config
from uni4d.server.authentication import authenticated, check_exposure
from uni4d.server.broker import Broker
from uni4d.server.store import JobStore
from uni4d.server.worker_process import WorkerProcess
from uni4d_shared.errors import Uni4DError
from uni4d_shared.transport import is_loopback, server_socket

__all__ = ["serve"]

_LINGER_MS = 1_000  # time for the last replies to leave
_log = logging.getLogger(__name__)


def serve(config: Config, *, stages: str = "uni4d.pipeline:Stages") -> None:
    """Serve until SIGINT, SIGTERM or a client's ``Shutdown``; call from the main thread.

    ``stages`` names the factory (``module:name``) whose product does the work, see
    :class:`uni4d.server.worker.Stages`. Ports may be ``*`` for any free one.

    Once the sockets are bound, one line ``ready WORK-ENDPOINT CONTROL-ENDPOINT`` goes to standard output. A
    launcher waits for that line, or sends ``Ping`` to the control socket until it is answered; jobs are
    accepted from then on, and run as soon as the worker has loaded its models (``Pong.worker``).
    """
    check_exposure(config.serve)
    context = zmq.Context()
    with ExitStack() as stack:
        stack.callback(context.term)
        stack.enter_context(authenticated(context, config.serve))
        work = stack.enter_context(_bound(context, config, config.serve.endpoint))
        control = stack.enter_context(_bound(context, config, config.serve.control_endpoint))
        store = stack.enter_context(closing(JobStore(config.serve.jobs)))
        worker = stack.enter_context(closing(WorkerProcess(context, config, stages)))
        endpoints = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (work, control)]
        local = all(map(is_loopback, endpoints))
        broker = Broker(work, control, worker, store, config.profile, may_shut_down=local)
        stack.enter_context(_stopped_by_signals(broker))
        _log.info("serving on %s, control on %s", *endpoints)
        sys.stdout.write(f"ready {' '.join(endpoints)}\n")
        sys.stdout.flush()
        broker.run()
    _log.info("stopped")


@contextmanager
def _bound(context: zmq.Context[Any], config: Config, endpoint: str) -> Iterator[zmq.Socket[Any]]:
    socket = server_socket(context, config.serve.keys)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        if error.errno == errno.EADDRINUSE:
            raise Uni4DError(
                "port-in-use",
                f"Something else listens on {endpoint}.",
                "Stop it (`uni4d stop` if it is a Uni4D server), or choose another port.",
            ) from error
        raise Uni4DError(
            "bad-endpoint", f"Cannot listen on {endpoint}: {error}.", "Use e.g. tcp://127.0.0.1:7447."
        ) from error
    try:
        yield socket
    finally:
        socket.close(linger=_LINGER_MS)


@contextmanager
def _stopped_by_signals(broker: Broker) -> Iterator[None]:
    """SIGINT and SIGTERM end :meth:`Broker.run`; the former handlers come back afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: broker.stop()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
