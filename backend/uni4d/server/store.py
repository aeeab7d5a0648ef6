"""Jobs and their results on disk, so that a client that reconnects, or a broker that restarts, finds them.

One SQLite table of jobs, and one ``.u4d`` file per ended job with the frames of its last message. The open
store holds an exclusive lock on the database: two servers never share a folder.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from uni4d_shared.codec import encode, read_frames, write_frames
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import Failed, JobInfo

__all__ = ["KEEP_JOBS", "JobStore"]

KEEP_JOBS = 200
"""Ended jobs that are kept; older ones are forgotten, with their results."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT UNIQUE NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    fraction REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    ended REAL
)
"""
_log = logging.getLogger(__name__)


class JobStore:
    """The jobs in ``folder``. Use from one thread."""

    def __init__(self, folder: Path) -> None:
        self._results = folder / "results"
        self._results.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(folder / "jobs.sqlite", timeout=0.5, isolation_level=None)
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("BEGIN EXCLUSIVE")
            self._database.execute(_SCHEMA)
            self._database.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._database.close()
            raise Uni4DError(
                "jobs-in-use",
                f"The job store {folder} cannot be opened ({error}).",
                "Stop the other server that uses it, or give this one another folder.",
            ) from error
        self._fail_unfinished()

    def close(self) -> None:
        self._database.close()

    def __contains__(self, job: str) -> bool:
        return self._database.execute("SELECT 1 FROM jobs WHERE job = ?", (job,)).fetchone() is not None

    def add(self, job: str, kind: str) -> None:
        """A new job, queued."""
        try:
            self._database.execute(
                "INSERT INTO jobs (job, kind, state, created) VALUES (?, ?, 'queued', ?)",
                (job, kind, time.time()),
            )
        except sqlite3.Error as error:
            raise Uni4DError(
                "store-failed", f"The job cannot be recorded ({error}).", "Is the server's disk full?"
            ) from error

    def started(self, job: str) -> None:
        with _logged(f"the start of job {job}"):
            self._database.execute("UPDATE jobs SET state = 'running' WHERE job = ?", (job,))

    def ended(self, job: str, state: str, message: str, frames: Sequence[bytes]) -> None:
        """The job ended (``done``, ``failed`` or ``cancelled``); ``frames`` is its last message."""
        with _logged(f"the result of job {job}"):
            write_frames(self._path(job), frames)
        with _logged(f"the end of job {job}"):
            self._database.execute(
                "UPDATE jobs SET state = ?, message = ?, ended = ?, "
                "fraction = CASE WHEN ? = 'done' THEN 1 ELSE fraction END WHERE job = ?",
                (state, message, time.time(), state, job),
            )
            self._forget_old()

    def result(self, job: str) -> list[bytes] | None:
        """The last message of an ended job; ``None`` while it has not ended."""
        row = self._database.execute("SELECT ended FROM jobs WHERE job = ?", (job,)).fetchone()
        if row is None:
            raise Uni4DError("job-unknown", f"There is no job {job}.", "Send its request again.")
        if row[0] is None:
            return None
        try:
            return read_frames(self._path(job))
        except (OSError, Uni4DError) as error:
            _log.error("the result of job %s cannot be read: %s", job, error)
            raise Uni4DError(
                "result-missing",
                f"The result of job {job} is lost.",
                "Send its request again.",
            ) from error

    def jobs(self) -> tuple[JobInfo, ...]:
        """All jobs that are known, oldest first."""
        rows = self._database.execute("SELECT job, kind, state, fraction, message FROM jobs ORDER BY number")
        return tuple(JobInfo(*row) for row in rows)

    def _path(self, job: str) -> Path:
        return self._results / f"{job}.u4d"  # the codec lets only letters, digits, '-' and '_' into an id

    def _fail_unfinished(self) -> None:
        """What an earlier server left queued or running will never end by itself."""
        failed = Failed(
            "server-stopped", "The server stopped before this job was done.", "Send its request again."
        )
        rows = self._database.execute("SELECT job FROM jobs WHERE ended IS NULL").fetchall()
        for (job,) in rows:
            self.ended(job, "failed", failed.message, encode(failed, id=uuid.uuid4().hex, parent=job))

    def _forget_old(self) -> None:
        old = self._database.execute(
            "SELECT job FROM jobs WHERE ended IS NOT NULL ORDER BY number DESC LIMIT -1 OFFSET ?",
            (KEEP_JOBS,),
        ).fetchall()
        for (job,) in old:
            self._path(job).unlink(missing_ok=True)
            self._database.execute("DELETE FROM jobs WHERE job = ?", (job,))


@contextmanager
def _logged(what: str) -> Iterator[None]:
    """A full disk must not stop the server, nor keep a result from the client that waits for it: only asking
    again for it will fail."""
    try:
        yield
    except (OSError, sqlite3.Error):
        _log.exception("%s could not be recorded", what)
