"""What a client sees of its jobs: progress, results, failures, cancellation."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from uni4d_shared.codec import encode
from uni4d_shared.messages import (
    Accepted,
    Cancel,
    Failed,
    JobCancelled,
    JobProgress,
    Ping,
    ResultRequest,
    SearchRequest,
    SearchResult,
    Status,
)


def test_a_job_is_accepted_reports_progress_and_ends_with_its_result(client: Any) -> None:
    job = client.request("count 12")
    assert client.receive().message == Accepted(position=0)
    result, reports = client.last(job)
    assert isinstance(result, SearchResult)
    assert result.query.prompt == "count 12"
    fractions = [report.fraction for report in reports]
    assert len(fractions) >= 3
    assert fractions == sorted(fractions)
    assert {report.stage for report in reports} == {"search"}


def test_control_answers_while_a_job_runs(client: Any) -> None:
    job = client.request("count 40")
    client.wait_for_worker("busy")
    for _ in range(20):
        client.ask(Ping(), timeout=2.0)
    now = client.ask(ResultRequest(job))
    assert isinstance(now, JobProgress) and now.fraction < 0.5  # one of its two seconds
    info = client.ask(Status()).jobs[-1]
    assert (info.job, info.kind, info.state) == (job, "SearchRequest", "running")
    assert isinstance(client.last(job)[0], SearchResult)


def test_a_running_job_can_be_cancelled_in_the_middle(client: Any) -> None:
    job = client.request("count 1000")
    while not isinstance(client.receive().message, JobProgress):
        pass
    assert client.ask(Cancel(job)).known
    last, reports = client.last(job)
    assert isinstance(last, JobCancelled)
    assert all(report.fraction < 0.04 for report in reports)  # two of its fifty seconds
    assert not client.ask(Cancel(job)).known
    assert isinstance(client.ask(ResultRequest(job)), JobCancelled)
    assert isinstance(client.last(client.request("count 1"))[0], SearchResult)


def test_a_waiting_job_can_be_cancelled(client: Any) -> None:
    first, second = client.request("count 20"), client.request("count 1")
    while client.receive().parent != second:
        pass  # until it is accepted
    assert client.ask(Cancel(second)).known
    ends: dict[str, type] = {}
    while len(ends) < 2:
        envelope = client.receive()
        if isinstance(envelope.message, SearchResult | JobCancelled):
            ends[envelope.parent] = type(envelope.message)
    assert ends == {first: SearchResult, second: JobCancelled}


def test_a_cancellation_that_overtakes_its_request_still_counts(client: Any) -> None:
    job = uuid.uuid4().hex
    assert not client.ask(Cancel(job)).known
    assert isinstance(client.last(client.request("count 1000", job))[0], JobCancelled)


def test_jobs_wait_in_line(client: Any) -> None:
    jobs = [client.request("count 3") for _ in range(3)]
    positions: list[int] = []
    ended: list[str] = []
    while len(ended) < 3:
        envelope = client.receive()
        if isinstance(envelope.message, Accepted):
            positions.append(envelope.message.position)
        elif isinstance(envelope.message, SearchResult):
            ended.append(envelope.parent)
    assert positions == [0, 1, 2]
    assert ended == jobs


def test_a_worker_that_dies_fails_its_job_and_the_next_job_works(client: Any) -> None:
    failed, _ = client.last(client.request("die"))
    assert isinstance(failed, Failed)
    assert failed.code == "worker-died"
    assert "SIGKILL" in failed.message
    assert failed.cure
    assert isinstance(client.last(client.request("count 1"))[0], SearchResult)


@pytest.mark.parametrize(
    ("prompt", "code"), [("error", "no-hit"), ("bug", "internal"), ("import", "import-failed")]
)
def test_an_error_in_a_stage_reaches_the_client_with_its_cure(client: Any, prompt: str, code: str) -> None:
    failed, _ = client.last(client.request(prompt))
    assert isinstance(failed, Failed)
    assert failed.code == code
    assert failed.cure


def test_two_clients_get_their_own_results(client: Any, server: Any, connect: Callable[..., Any]) -> None:
    other = connect(server)
    first, second = client.request("count 5"), other.request("count 2")
    assert other.last(second)[0].query.prompt == "count 2"
    assert client.last(first)[0].query.prompt == "count 5"


def test_a_client_that_reconnects_finds_its_job(
    client: Any, server: Any, connect: Callable[..., Any]
) -> None:
    job = client.request("count 10")
    assert client.receive().message == Accepted(0)
    client.work.close()
    client.control.close()
    again = connect(server)
    while isinstance(answer := again.ask(ResultRequest(job)), JobProgress):
        time.sleep(0.1)
    assert isinstance(answer, SearchResult)
    assert answer.query.prompt == "count 10"


def test_an_id_cannot_be_used_twice(client: Any) -> None:
    job = client.request("count 1")
    client.last(job)
    failed, _ = client.last(client.request("count 1", job))
    assert failed.code == "duplicate-job"
    assert isinstance(client.ask(ResultRequest(job)), SearchResult)


def test_an_unknown_job_has_no_result(client: Any) -> None:
    assert client.ask(ResultRequest("never-was")).code == "job-unknown"
    assert not client.ask(Cancel("never-was")).known


def test_a_request_on_the_wrong_socket_is_refused(client: Any) -> None:
    assert client.ask(SearchRequest("count 1")).code == "bad-message"
    client.work.send_multipart(encode(Ping(), id="ping"))
    assert client.receive().message.code == "bad-message"


def test_a_request_with_broken_content_fails_its_job_only(client: Any) -> None:
    good = encode(SearchRequest("count 1", 5), id="job-1")
    client.work.send_multipart([good[0].replace(b"prompt", b"qrompt")])
    failed, _ = client.last("job-1")
    assert failed.code == "bad-message"
    assert "SearchRequest.prompt is missing" in failed.message
    assert isinstance(client.last(client.request("count 1"))[0], SearchResult)
