"""The job store alone: what it keeps, what it forgets, and what a failing disk does to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from uni4d.server import store as store_module
from uni4d.server.store import JobStore
from uni4d_shared.codec import encode
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Failed

FRAMES = encode(Failed("no-hit", "Nothing was found."), id="end", parent="job")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with closing(JobStore(tmp_path)) as opened:
        yield opened


def _run(store: JobStore, job: str) -> None:
    store.add(job, "SearchRequest")
    store.started(job)
    store.ended(job, "failed", "Nothing was found.", FRAMES)


def test_an_ended_job_keeps_its_frames_as_they_came(store: JobStore) -> None:
    store.add("a", "SearchRequest")
    assert "a" in store
    assert store.result("a") is None
    store.started("a")
    assert [info.state for info in store.jobs()] == ["running"]
    store.ended("a", "done", "", FRAMES)
    assert store.result("a") == FRAMES


def test_only_the_newest_ended_jobs_are_kept(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEEP_JOBS", 3)
    store.add("waiting", "FitRequest")
    for number in range(6):
        _run(store, f"job-{number}")
    assert [info.job for info in store.jobs()] == ["waiting", "job-3", "job-4", "job-5"]
    kept = sorted(path.stem for path in (tmp_path / "results").iterdir())
    assert kept == ["job-3", "job-4", "job-5"]
    with pytest.raises(Uni4DError, match="no job job-0"):
        store.result("job-0")


def test_a_result_that_cannot_be_kept_is_missed_only_when_it_is_asked_for(
    store: JobStore, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "results")
    _run(store, "a")
    assert [info.state for info in store.jobs()] == ["failed"]
    with pytest.raises(Uni4DError, match="is lost") as caught:
        store.result("a")
    assert caught.value.code == "result-missing"


def test_a_damaged_result_is_not_delivered(store: JobStore, tmp_path: Path) -> None:
    _run(store, "a")
    (tmp_path / "results" / "a.u4d").write_bytes(b"U4D1 and noise")
    with pytest.raises(Uni4DError, match="is lost"):
        store.result("a")
