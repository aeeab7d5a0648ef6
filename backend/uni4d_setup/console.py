"""Progress lines, child processes that never outlive us, and logs that are shown when a step fails."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from uni4d_setup.errors import SetupError
from uni4d_setup.layout import LOCAL_CACHE

__all__ = ["Step", "child_environment", "note", "run_attached", "stop_on_signals"]

_PATIENCE = 15.0  # seconds between asking a child to stop and insisting


def note(text: str) -> None:
    """One line for the person."""
    print(f"  {text}", flush=True)


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every child.

    ``OMP_WAIT_POLICY=PASSIVE``: idle OpenMP threads sleep instead of spinning, which on a machine with few
    cores makes work beside a busy process tens of times faster.
    """
    environment = dict(os.environ)
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    environment.setdefault("PYTHONUNBUFFERED", "1")
    environment.update(extra or {})
    return environment


def stop_on_signals() -> None:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that children are stopped in each case.

    SIGINT too: a shell that starts us in the background lets us ignore it, and our children after us.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, interrupt)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    if sys.platform == "win32":
        process.terminate()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the child's whole group to stop, then insist."""
    _signal_group(process, signal.SIGINT)
    try:
        process.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        note("stopping at once")
    finally:
        if sys.platform != "win32":
            _signal_group(process, signal.SIGKILL)  # whoever is left of the group
        process.wait()


@contextlib.contextmanager
def _child(command: Sequence[str | Path], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A child in a process group of its own; the group is gone when the block is left."""
    try:
        process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)  # type: ignore[call-overload]
    except FileNotFoundError as error:
        raise SetupError(f"{command[0]} was not found.") from error
    try:
        yield process
    except BaseException:
        _stop(process)
        raise


def run_attached(
    command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> int:
    """Run a command on this terminal and return its exit code. Ctrl-C reaches it and its children."""
    sys.stdout.flush()
    with _child(command, cwd=cwd, env=child_environment(env)) as process:
        return int(process.wait())


class Step:
    """One step of the set-up: a line with its name and, when it is done, its seconds.

    Commands run through it write to a log in ``.cache/logs``; the log's end is shown only on failure.
    Used as a context manager.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        slug = "".join(character if character.isalnum() else "-" for character in name.lower()).strip("-")
        self.log = LOCAL_CACHE / "logs" / f"{slug}.log"
        self._start = 0.0
        self._live = sys.stdout.isatty()
        self._detail = ""

    def __enter__(self) -> Step:
        self._start = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        if self._live:
            self._draw()
        else:
            note(f"{self.name} …")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        seconds = time.monotonic() - self._start
        state = "done" if kind is None else "failed" if kind is not KeyboardInterrupt else "stopped"
        detail = f" ({self._detail})" if self._detail and kind is None else ""
        ending = f"{self.name}: {state} in {seconds:.1f} s{detail}"
        print(f"\r\x1b[2K  {ending}" if self._live else f"  {ending}", flush=True)

    def _draw(self) -> None:
        print(f"\r\x1b[2K  {self.name} … {time.monotonic() - self._start:.0f} s", end="", flush=True)

    def detail(self, text: str) -> None:
        """Words to put behind the seconds."""
        self._detail = text

    def attempt(self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> int:
        """Run a command with its output in the log; return its exit code."""
        with self.log.open("ab") as log:
            log.write(("$ " + " ".join(map(str, command)) + "\n").encode())
            log.flush()
            with _child(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=child_environment(env)
            ) as process:
                while True:
                    try:
                        return int(process.wait(1.0))
                    except subprocess.TimeoutExpired:
                        if self._live:
                            self._draw()

    def run(
        self, command: Sequence[str | Path], *, cure: str = "", env: Mapping[str, str] | None = None
    ) -> None:
        """Run a command with its output in the log; a failure shows the log's end."""
        code = self.attempt(command, env=env)
        if code != 0:
            raise SetupError(
                f"{self.name}: `{Path(command[0]).name}` ended with code {code}. The end of {self.log}:\n"
                f"{self.log_end()}",
                cure,
            )

    def log_end(self, lines: int = 25) -> str:
        """The last lines of the log, indented."""
        text = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line}" for line in text)
