"""The connection without Blender: results, progress, cancel, and a backend that goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from harness.toy_backend import ToyBackend

from blender_addon.client import Client
from blender_addon.pump import Jobs, Pending
from uni4d.config import ServeConfig
from uni4d.server.authentication import authenticated
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Message, SearchRequest, SearchResult
from uni4d_shared.progress import Cancelled
from uni4d_shared.transport import create_client_keys, create_server_keys, server_socket
from uni4d_shared.types import Query

FOUND = SearchResult(Query("a dog", "a dog", ""), (), ())


@pytest.fixture
def connect() -> Iterator[Callable[[ToyBackend], Jobs]]:
    clients: list[Client] = []

    def start(backend: ToyBackend) -> Jobs:
        clients.append(Client(backend.endpoint, backend.control_endpoint, name="test"))
        return Jobs(clients[-1])

    yield start
    for client in clients:
        client.close()


def deliver_until(jobs: Jobs, condition: Callable[[], bool], seconds: float = 8.0) -> float:
    """Deliver until ``condition`` holds; how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it did not happen in time"
        jobs.deliver()
        time.sleep(0.01)
    return time.monotonic() - started


def end_of(jobs: Jobs, pending: Pending) -> object:
    deliver_until(jobs, lambda: pending.done)
    return pending.result()


def never(request: Message) -> None:
    return None


def test_a_request_brings_progress_and_its_result(connect: Callable[[ToyBackend], Jobs]) -> None:
    with ToyBackend(lambda request: FOUND) as backend:
        jobs = connect(backend)
        assert jobs.wait_for_backend().library_size == 3
        pending = jobs.submit(SearchRequest("a dog"))
        assert end_of(jobs, pending) == FOUND
        assert (pending.fraction, pending.message) == (0.5, "half way")


def test_a_failure_keeps_its_code_and_cure(connect: Callable[[ToyBackend], Jobs]) -> None:
    def refuse(request: Message) -> Message:
        raise Uni4DError("library-empty", "The library is empty.", "Build it.")

    with ToyBackend(refuse) as backend:
        jobs = connect(backend)
        with pytest.raises(Uni4DError, match="library is empty") as caught:
            end_of(jobs, jobs.submit(SearchRequest("a dog")))
        assert (caught.value.code, caught.value.cure) == ("library-empty", "Build it.")


def test_cancel_reaches_the_job(connect: Callable[[ToyBackend], Jobs]) -> None:
    with ToyBackend(never) as backend:
        jobs = connect(backend)
        pending = jobs.submit(SearchRequest("a dog"))
        deliver_until(jobs, lambda: pending.fraction > 0)
        jobs.cancel(pending)
        with pytest.raises(Cancelled):
            end_of(jobs, pending)
        assert backend.cancelled == [pending.job]


def test_a_lost_backend_fails_its_jobs_and_may_come_back(connect: Callable[[ToyBackend], Jobs]) -> None:
    with ToyBackend(never) as backend:
        jobs = connect(backend)
        jobs.wait_for_backend()
        pending = jobs.submit(SearchRequest("a dog"))
        deliver_until(jobs, lambda: pending.fraction > 0)
        backend.die()
        assert deliver_until(jobs, lambda: jobs.problem is not None) < 6.0
        with pytest.raises(Uni4DError, match="stopped answering") as caught:
            end_of(jobs, pending)
        assert caught.value.code == "backend-lost"
        with pytest.raises(Uni4DError, match="No backend answers"):
            end_of(jobs, jobs.submit(SearchRequest("a cat")))  # at once, not after a time-out
        backend.revive()
        deliver_until(jobs, lambda: jobs.backend is not None)


def test_a_main_thread_that_stands_still_is_no_lost_backend(connect: Callable[[ToyBackend], Jobs]) -> None:
    with ToyBackend(lambda request: FOUND) as backend:
        jobs = connect(backend)
        jobs.wait_for_backend()
        time.sleep(6.0)  # a long render
        jobs.deliver()
        assert jobs.problem is None


def test_a_job_that_the_backend_forgot_ends(
    connect: Callable[[ToyBackend], Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blender_addon.client._ASK_SECONDS", 0.5)
    with ToyBackend(never) as backend:
        jobs = connect(backend)
        pending = jobs.submit(SearchRequest("a dog"))
        deliver_until(jobs, lambda: pending.message == "still at it")  # asked, and still running
        backend.forget_jobs()
        with pytest.raises(Uni4DError, match="No such job"):
            end_of(jobs, pending)


def test_rubbish_is_reported_and_survived(connect: Callable[[ToyBackend], Jobs]) -> None:
    with ToyBackend(never) as backend:
        jobs = connect(backend)
        jobs.wait_for_backend()
        backend.send_rubbish()
        deliver_until(jobs, lambda: jobs.problem is not None)
        assert "unreadable" in str(jobs.problem)


def test_nobody_there(free_ports: Callable[[int], list[int]]) -> None:
    work, control = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    client = Client(work, control)
    try:
        jobs = Jobs(client)
        started = time.monotonic()
        with pytest.raises(Uni4DError, match="No backend answers") as caught:
            jobs.wait_for_backend()
        assert time.monotonic() - started < 6.0
        assert "uni4d serve" in caught.value.cure
    finally:
        client.close()


@pytest.mark.parametrize("keys", ["stranger", None])
def test_a_backend_that_does_not_admit_us(tmp_path: Path, keys: str | None) -> None:
    """It is told, work is refused at once, and the client can be closed."""
    server = tmp_path / "server"
    create_server_keys(server)
    create_client_keys(server, tmp_path / "stranger", "stranger")
    (server / "clients" / "stranger.key").unlink()
    with (
        zmq.Context() as context,
        authenticated(context, ServeConfig(keys=server)),
        server_socket(context, server) as work,
        server_socket(context, server) as control,
    ):
        ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (work, control)]
        client = Client(*(f"tcp://127.0.0.1:{port}" for port in ports), keys=keys and tmp_path / keys)
        jobs = Jobs(client)
        with pytest.raises(Uni4DError, match="does not admit") as caught:
            jobs.wait_for_backend()
        assert "uni4d keys" in caught.value.cure
        with pytest.raises(Uni4DError, match="does not admit"):
            end_of(jobs, jobs.submit(SearchRequest("a dog")))
        client.close()
        assert "uni4d-client" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("address", "code"), [("not an address", "keys-missing"), ("tcp://10.1.2.3:7447", "keys-missing")]
)
def test_addresses_that_cannot_be(address: str, code: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        Client(address, address)
    assert caught.value.code == code
    assert caught.value.cure


def test_closing_twice_leaves_no_thread() -> None:
    client = Client("tcp://127.0.0.1:1", "tcp://127.0.0.1:1")
    client.close()
    client.close()
    with pytest.raises(Uni4DError, match="no connection"):
        client.request(SearchRequest("a dog"))
