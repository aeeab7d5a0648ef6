"""Who may connect: anybody on loopback, and holders of an admitted CURVE key elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator

from uni4d.config import ServeConfig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.transport import is_loopback

__all__ = ["authenticated", "check_exposure"]


def check_exposure(config: ServeConfig) -> None:
    """Refuse an address that others can reach, unless there are keys."""
    for endpoint in (config.endpoint, config.control_endpoint):
        if config.keys is None and not is_loopback(endpoint):
            raise Uni4DError(
                "keys-required",
                f"{endpoint} can be reached from other machines, and no keys are set.",
                "Make keys with `uni4d keys` and give their folder, or bind to 127.0.0.1.",
            )


@contextmanager
def authenticated(context: zmq.Context[Any], config: ServeConfig) -> Iterator[None]:
    """While it lasts, CURVE sockets of ``context`` admit only the clients in ``keys/clients``.

    Without an authenticator ZeroMQ would encrypt, and let every client in.
    """
    if config.keys is None:
        yield
        return
    clients = config.keys / "clients"
    if not clients.is_dir():
        raise Uni4DError(
            "keys-missing",
            f"No admitted clients: {clients} is missing.",
            "Make keys with `uni4d keys`.",
        )
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve(domain="*", location=str(clients))
        yield
    finally:
        authenticator.stop()
