"""HTTP with the standard library: time-outs, bounded answers, and patience with a service that is busy.

Only ``http`` and ``https``; a request that carries a key is never redirected, so that no key leaves for
another host.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import IO, Any, NoReturn, TypeVar

from attrs import frozen

from uni4d_shared.errors import Uni4DError

__all__ = ["Answer", "Busy", "Unreachable", "fetch", "patiently", "wait"]

Result = TypeVar("Result")

_CHUNK = 1 << 16
_SLICE = 0.1
"""Seconds between two looks at a cancellation while waiting."""
_MAX_WAIT = 60.0


class Unreachable(Exception):
    """The network failed; whether the service got the request is unknown."""


class Busy(Exception):
    """The service asks to try again (429), or failed (5xx)."""

    def __init__(self, message: str, wait: float | None = None, definite: bool = False) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the service asked for."""
        self.definite = definite
        """Whether the request surely had no effect."""


@frozen(eq=False)
class Answer:
    """What a server sent."""

    status: int
    body: bytes
    retry_after: float | None = None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        return None


def fetch(
    url: str,
    *,
    timeout: float,
    limit: int,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> Answer:
    """The answer to one request (POST with a ``body``), at most ``limit`` bytes of it.

    ``watch(received, total)`` is called as they come (``total`` 0: unknown). :class:`Unreachable` when the
    network fails or the answer ends early.
    """
    request = urllib.request.Request(url, data=body, headers=dict(headers or {}))  # noqa: S310
    try:
        with _opener(bool(headers)).open(request, timeout=timeout) as response:
            return Answer(response.status, _read(response, limit, watch))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, _some(error), _seconds(error.headers.get("Retry-After")))
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(str(getattr(error, "reason", "") or error or type(error).__name__)) from error


def _opener(carries_key: bool) -> urllib.request.OpenerDirector:
    """Without the handlers of ``file:``, ``ftp:`` and ``data:`` that urllib would add by itself."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Stay() if carries_key else urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _read(response: Any, limit: int, watch: Callable[[int, int], None] | None) -> bytes:
    total = response.length or 0  # unknown where it comes in pieces
    if total > limit:
        _too_large(limit)
    received = bytearray()
    while chunk := response.read(_CHUNK):
        received += chunk
        if len(received) > limit:
            _too_large(limit)
        if watch is not None:
            watch(len(received), total)
    if total and len(received) < total:
        raise http.client.IncompleteRead(bytes(received), total - len(received))
    return bytes(received)


def _too_large(limit: int) -> NoReturn:
    raise Uni4DError(
        "video-too-large",
        f"The video service sends more than {limit / 1e6:g} MB.",
        "Raise video.remote.download_megabytes, if that is what you expect.",
    )


def _some(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(_CHUNK)
    except (OSError, http.client.HTTPException):
        return b""


def _seconds(value: str | None) -> float | None:
    try:
        return min(max(float(value), 0.0), _MAX_WAIT) if value else None
    except ValueError:
        return None  # a date: our own waiting time will do


def patiently(
    attempt: Callable[[], Result], retries: int, backoff: float, alive: Callable[[], None]
) -> Result:
    """``attempt`` again while it raises :class:`Busy` or :class:`Unreachable`, waiting twice as long each
    time."""
    for count in range(retries + 1):
        try:
            return attempt()
        except (Busy, Unreachable) as error:
            if count == retries:
                raise
            asked = error.wait if isinstance(error, Busy) else None
            wait(asked if asked is not None else min(backoff * 2.0**count, _MAX_WAIT), alive)
    raise AssertionError("unreachable")


def wait(seconds: float, alive: Callable[[], None]) -> None:
    """Sleep; ``alive`` is called often and may raise to end it."""
    until = time.monotonic() + seconds
    alive()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _SLICE))
        alive()
