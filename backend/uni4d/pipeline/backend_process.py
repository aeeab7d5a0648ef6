"""A backend server of one's own: started as a child process, and stopped again."""

from __future__ import annotations

import logging
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from uni4d.config import Config
from uni4d_shared.errors import Uni4DError

__all__ = ["Backend", "own_backend"]

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


@frozen
class Backend:
    """Where a server listens."""

    endpoint: str
    control_endpoint: str


@contextmanager
def own_backend(
    config: Config, settings: Path | None, log_path: Path, fits: Path | None = None
) -> Iterator[Backend]:
    """Run ``uni4d serve`` on free loopback ports; its log goes to ``log_path``; it ends with the block.

    ``settings`` is the TOML file that ``config`` was read from, if any; of what ``config`` says beyond it the
    server learns profile, library, and the Blender that films clips. Its job store is a temporary folder:
    nobody else can know its jobs, and servers of other runs must not wait for its lock.
    ``fits``: where an interrupted fit is found again.
    """
    command = [sys.executable, "-m", "uni4d.cli", "serve", "--profile", config.profile]
    command += ["--endpoint", "tcp://127.0.0.1:*", "--control-endpoint", "tcp://127.0.0.1:*"]
    command += ["--library", str(config.library.root)]
    if fits is not None:
        command += ["--fits", str(fits.resolve())]
    if settings is not None:
        command += ["--config", str(settings)]
    filming = {"--blender": config.blender.program, "--bpy-python": config.blender.bpy_python}
    filming |= {"--blender-deps": config.blender.deps}
    command += [word for option, path in filming.items() if path for word in (option, str(path))]
    command += ["--blender-engine", config.blender.engine]
    with (
        tempfile.TemporaryDirectory(prefix="uni4d-jobs-") as jobs,
        log_path.open("wb") as output,
        # A session of its own: Ctrl-C reaches this process first, which then stops Blender before the server.
        subprocess.Popen(
            [*command, "--jobs", jobs],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield _wait_until_up(process, log_path)
        finally:
            _stop(process)


def _wait_until_up(process: subprocess.Popen[str], log_path: Path) -> Backend:
    """The endpoints from the server's first line, ``ready WORK CONTROL``."""
    lines = process.stdout
    if lines is not None and select.select([lines], [], [], _START_SECONDS)[0]:
        match lines.readline().split():
            case ["ready", endpoint, control]:
                return Backend(endpoint, control)
    tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-5:])
    raise Uni4DError("backend-failed", f"The backend did not start:\n{tail}", f"Its log: {log_path}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("the backend did not stop in %.0f s and is killed", _STOP_SECONDS)
        process.kill()
        process.wait()
