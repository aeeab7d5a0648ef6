"""Starting, stopping, restarting and breaking the server: nothing hangs, nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from uni4d.server.broker import CANCEL_GRACE_SECONDS
from uni4d_shared.messages import (
    Cancel,
    Failed,
    JobCancelled,
    Ping,
    Pong,
    ResultRequest,
    SearchResult,
    Shutdown,
    ShutdownReply,
    Status,
)

StartServer = Callable[..., Any]
Connect = Callable[..., Any]


def _alive(pid: int) -> bool:
    """Whether the process runs (a zombie that nobody reaps has ended)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait_until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def _worker_in_a_job(client: Any, folder: Path) -> tuple[str, int]:
    """A job that runs for a minute, and the process id of its worker."""
    told = folder / "pid"
    job = client.request(f"pid {told}")
    _wait_until(lambda: told.exists() and told.read_text())
    return job, int(told.read_text())


def test_pong_tells_version_library_and_worker(start_server: StartServer, connect: Connect) -> None:
    client = connect(start_server())
    assert isinstance(client.ask(Ping("Blender 5.2.2"), timeout=10.0), Pong)
    pong = client.wait_for_worker()
    assert (pong.profile, pong.library_size) == ("local", 912)
    assert pong.server


def test_a_restarted_server_finds_finished_jobs(start_server: StartServer, connect: Connect) -> None:
    first = start_server()
    client = connect(first)
    job = client.request("count 2")
    assert isinstance(client.last(job)[0], SearchResult)
    first.process.terminate()
    assert first.process.wait(10) == 0
    again = connect(start_server())
    result = again.ask(ResultRequest(job))
    assert isinstance(result, SearchResult)
    assert result.query.prompt == "count 2"
    (info,) = again.ask(Status()).jobs
    assert (info.job, info.state, info.fraction) == (job, "done", 1.0)


def test_jobs_of_a_killed_server_are_failed_by_the_next_and_no_worker_is_left(
    start_server: StartServer, connect: Connect, tmp_path: Path
) -> None:
    first = start_server()
    client = connect(first)
    running, pid = _worker_in_a_job(client, tmp_path)
    waiting = client.request("count 1")
    while client.receive().parent != waiting:
        pass  # until it is accepted
    first.process.kill()
    first.process.wait()
    _wait_until(lambda: not _alive(pid))
    again = connect(start_server())
    for job in (running, waiting):
        failed = again.ask(ResultRequest(job))
        assert isinstance(failed, Failed)
        assert failed.code == "server-stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_its_jobs_and_its_worker(
    start_server: StartServer, connect: Connect, tmp_path: Path, number: signal.Signals
) -> None:
    server = start_server()
    client = connect(server)
    job, pid = _worker_in_a_job(client, tmp_path)
    server.process.send_signal(number)
    assert client.last(job)[0].code == "server-stopped"
    assert server.process.wait(10) == 0
    assert not _alive(pid)


def test_a_client_on_loopback_may_stop_the_server(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    assert isinstance(connect(server).ask(Shutdown()), ShutdownReply)
    assert server.process.wait(10) == 0


def test_a_port_in_use_is_a_clear_error(start_server: StartServer, tmp_path: Path) -> None:
    first = start_server()
    second = start_server(work=first.endpoints[0], jobs=tmp_path / "other")
    assert second.said.startswith("error port-in-use")
    assert first.endpoints[0] in second.said
    assert second.process.wait(10) == 1


def test_two_servers_never_share_a_job_store(start_server: StartServer) -> None:
    start_server()
    assert start_server().said.startswith("error jobs-in-use")


def test_an_address_that_is_none_is_a_clear_error(start_server: StartServer) -> None:
    assert start_server(work="tcp://not an address").said.startswith("error keys-required")
    assert start_server(work="tcp://127.0.0.1:port").said.startswith("error bad-endpoint")


def test_stages_that_cannot_be_loaded_say_why(start_server: StartServer, connect: Connect) -> None:
    client = connect(start_server("Broken"))
    assert "PyTorch is not installed" in client.wait_for_worker("broken").note
    failed, _ = client.last(client.request("count 1"))
    assert (failed.code, failed.cure) == ("torch-missing", "Install it.")


def test_stages_that_do_not_exist_say_so(start_server: StartServer, connect: Connect) -> None:
    client = connect(start_server("Missing"))
    failed, _ = client.last(client.request("count 1"))
    assert failed.code == "import-failed"


def test_a_worker_that_dies_at_birth_fails_the_jobs_that_wait(
    start_server: StartServer, connect: Connect
) -> None:
    client = connect(start_server("Stillborn"))
    failed, _ = client.last(client.request("count 1"))
    assert failed.code == "worker-died"
    assert "exit code 7" in failed.message


@pytest.mark.slow
def test_a_job_that_ignores_its_cancellation_is_ended_by_force(client: Any) -> None:
    job = client.request("deaf 120")
    client.wait_for_worker("busy")
    client.ask(Cancel(job))
    start = time.monotonic()
    assert isinstance(client.last(job, CANCEL_GRACE_SECONDS + 10)[0], JobCancelled)
    assert time.monotonic() - start >= CANCEL_GRACE_SECONDS - 1
    assert isinstance(client.last(client.request("count 1"))[0], SearchResult)


def test_the_server_can_be_stopped_twice(start_server: StartServer, connect: Connect) -> None:
    server = start_server()
    connect(server).ask(Ping())
    os.kill(server.process.pid, signal.SIGTERM)
    os.kill(server.process.pid, signal.SIGTERM)
    assert server.process.wait(10) == 0
