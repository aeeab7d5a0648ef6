"""Where the sockets are, how they are set up, and the keys that guard any address but loopback.

Two ROUTER sockets on the server's side, DEALER on the client's: *work* carries requests that become jobs,
*control* whatever must never wait behind one. ``PROTOCOL.md`` is the authority.

A key folder holds CURVE certificates (:mod:`zmq.auth`):

==================== =============================== ======================================
file                 on the server                   on a client
==================== =============================== ======================================
``server.key``       its public key                  the server's public key
``server.key_secret``its secret key                  —
``client.key_secret``—                               its secret key
``clients/NAME.key`` public keys that may connect    —
==================== =============================== ======================================
"""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq
import zmq.auth

from uni4d_shared.codec import MAX_FRAME_BYTES, Frame
from uni4d_shared.errors import Uni4DError

__all__ = [
    "CONTROL_ENDPOINT",
    "HEARTBEAT_SECONDS",
    "LOST_AFTER_SECONDS",
    "WORK_ENDPOINT",
    "client_socket",
    "create_client_keys",
    "create_server_keys",
    "is_loopback",
    "load_keys",
    "posted",
    "server_socket",
]

WORK_ENDPOINT = "tcp://127.0.0.1:7447"
CONTROL_ENDPOINT = "tcp://127.0.0.1:7448"

HEARTBEAT_SECONDS = 1.0
"""A client sends ``Ping`` on the control socket this often."""
LOST_AFTER_SECONDS = 5.0
"""A client that got no answer for this long gives the server up for lost."""

_QUEUE = 10_000
"""Messages that may wait for one slow peer; past it they are dropped (the job store keeps the result)."""


def is_loopback(endpoint: str) -> bool:
    """Whether ``tcp://HOST:PORT`` can only be reached from this machine."""
    parts = urlsplit(endpoint)
    if parts.scheme in ("ipc", "inproc"):
        return True
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def server_socket(context: zmq.Context[Any], keys: Path | None = None) -> zmq.Socket[Any]:
    """An unbound ROUTER; with ``keys`` it demands CURVE (the authenticator decides which keys may enter)."""
    pair = load_keys(keys / "server.key_secret") if keys is not None else None
    socket = _configured(context.socket(zmq.ROUTER))
    if pair is not None:
        socket.curve_publickey, socket.curve_secretkey = pair
        socket.curve_server = True
    return socket


def client_socket(context: zmq.Context[Any], keys: Path | None = None) -> zmq.Socket[Any]:
    """An unconnected DEALER; with ``keys`` (a client's key folder) it speaks CURVE to that server."""
    if keys is None:
        return _configured(context.socket(zmq.DEALER))
    pair = load_keys(keys / "client.key_secret")
    server, _ = load_keys(keys / "server.key", secret=False)
    socket = _configured(context.socket(zmq.DEALER))
    socket.curve_publickey, socket.curve_secretkey = pair
    socket.curve_serverkey = server
    return socket


def posted(socket: zmq.Socket[Any], frames: Sequence[Frame]) -> bool:
    """Send a message of a client without waiting. ``False`` where nobody will ever take it: the server has
    refused the client's keys, and ZeroMQ would wait for another server for ever."""
    try:
        socket.send_multipart(frames, flags=zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


def _configured(socket: zmq.Socket[Any]) -> zmq.Socket[Any]:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    socket.setsockopt(zmq.SNDHWM, _QUEUE)
    socket.setsockopt(zmq.RCVHWM, _QUEUE)
    # ZeroMQ's own heartbeats drop half-open connections of machines that vanished
    socket.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15_000)
    return socket


def create_server_keys(folder: Path) -> None:
    """Make a server's certificates in ``folder``, and the folder of the clients it will admit."""
    _require_curve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (folder / "server.key_secret").exists():
        raise Uni4DError("keys-exist", f"{folder} already holds a server key.", "Choose another folder.")
    zmq.auth.create_certificates(folder, "server")
    (folder / "server.key_secret").chmod(0o600)
    (folder / "clients").mkdir(exist_ok=True)


def create_client_keys(server_folder: Path, client_folder: Path, name: str) -> None:
    """Make a client's key folder and admit it to the server whose folder is given."""
    _require_curve()
    if not name.isidentifier():
        raise Uni4DError("bad-name", f"{name!r} cannot name a client.", "Use letters, digits and '_'.")
    if not (server_folder / "server.key").exists():
        raise Uni4DError(
            "keys-missing", f"{server_folder} holds no server key.", "Make the server's keys first."
        )
    client_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    zmq.auth.create_certificates(client_folder, "client")
    (client_folder / "client.key_secret").chmod(0o600)
    shutil.copyfile(server_folder / "server.key", client_folder / "server.key")
    shutil.copyfile(client_folder / "client.key", server_folder / "clients" / f"{name}.key")


def load_keys(path: Path, *, secret: bool = True) -> tuple[bytes, bytes | None]:
    """Public and secret key of a certificate; a clear error when it is missing or has no secret part."""
    _require_curve()
    try:
        public, private = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise Uni4DError(
            "keys-missing", f"No CURVE certificate at {path} ({error}).", "Make the keys with `uni4d keys`."
        ) from error
    if secret and private is None:
        raise Uni4DError("keys-missing", f"{path} holds no secret key.", "Use the *.key_secret file.")
    return public, private


def _require_curve() -> None:
    if not zmq.has("curve"):
        raise Uni4DError(
            "curve-missing", "This build of ZeroMQ has no CURVE.", "Install pyzmq from PyPI, or use loopback."
        )
