"""A child Blender that runs the add-on's ``headless.py`` and tells how far it is.

Either a Blender executable (``blender -b``) or a Python with the ``bpy`` module. The child prints lines
``UNI4D {"stage": …, "fraction": …, "message": …}``; everything else it says goes to a log file. Success
is judged by the files it leaves, not by its exit code alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from attrs import frozen

from uni4d.config import RenderConfig
from uni4d_shared.errors import Uni4DError

__all__ = ["BlenderCommand", "find_blender", "render_arguments", "run_headless"]

ReportStage = Callable[[str, float, str], None]

_STOP_SECONDS = 10.0


@frozen
class BlenderCommand:
    """How to start a Blender without a window."""

    executable: Path
    is_python: bool
    """True for a Python interpreter with ``bpy``, false for a Blender."""
    addon: Path
    """The add-on's folder."""
    deps: Path | None = None
    """Folder with the packages that the add-on needs and that Blender's Python lacks."""

    def line(self, arguments: Sequence[str]) -> list[str]:
        script = str(self.addon / "headless.py")
        extra = ["--deps", str(self.deps)] if self.deps else []
        if self.is_python:
            return [str(self.executable), script, *arguments, *extra]
        start = [str(self.executable), "-b", "--factory-startup", "--python-exit-code", "3"]
        return [*start, "--python", script, "--", *arguments, *extra]


def find_blender(
    blender: Path | None = None,
    bpy_python: Path | None = None,
    deps: Path | None = None,
    addon: Path | None = None,
) -> BlenderCommand:
    """The Blender to use: the one named, else ``blender`` on the PATH, else a Python with ``bpy``."""
    addon = addon or Path(__file__).parents[3] / "blender_addon"
    if not (addon / "headless.py").is_file():
        raise Uni4DError("addon-missing", f"{addon} is not the add-on's folder.", "Name it with --addon.")
    if blender is None and bpy_python is None:
        if shutil.which("blender") is None:
            raise Uni4DError(
                "blender-missing",
                "There is no blender on the PATH.",
                "Install Blender 3.4 or newer, or name one with --blender (or --bpy-python).",
            )
        blender = Path("blender")
    executable = str(blender or bpy_python)
    found = shutil.which(executable)
    if found is None:
        raise Uni4DError("blender-missing", f"{executable} is not a program.", "Check --blender.")
    return BlenderCommand(Path(found), is_python=blender is None, addon=addon, deps=deps)


def render_arguments(render: RenderConfig, engine: str) -> list[str]:
    """How ``headless.py`` is told of the rig and the render engine."""
    return [
        *("--size", str(render.size), "--engine", engine),
        *("--azimuths", str(render.azimuths), "--margin", str(render.margin)),
        *("--elevations", *(str(angle) for angle in render.elevations_degrees)),
    ]


def run_headless(
    command: BlenderCommand,
    arguments: Sequence[str],
    *,
    log_path: Path,
    expected: Sequence[Path],
    report: ReportStage,
) -> None:
    """Run ``headless.py`` with ``arguments`` to its end and check that every file of ``expected`` is there.

    Raises ``Uni4DError`` with the child's own error (code, message, cure) when it reported one. Ctrl-C and
    any other exception stop the child before they pass on.
    """
    # A distribution's Blender finds its Python's libraries through the first python3 on PATH. That must be
    # its own, beside it, not the one of an active virtual environment, conda or pyenv.
    path = f"{command.executable.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PATH": path}
    with log_path.open("w", encoding="utf-8") as log:
        log.write(" ".join(command.line(arguments)) + "\n")
        log.flush()
        with subprocess.Popen(
            command.line(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                failure = _follow(process.stdout or (), log, report)
                code = process.wait()
            except BaseException:
                _stop(process)
                raise
    if failure is not None:
        raise failure
    missing = [str(path) for path in expected if not path.exists()]
    if code != 0 or missing:
        tail = " | ".join(deque(log_path.read_text(errors="replace").splitlines(), maxlen=3))
        what = f"exit code {code}" if code else f"missing: {', '.join(missing)}"
        raise Uni4DError(
            "blender-failed", f"Blender did not finish ({what}): {tail}.", f"Its log: {log_path}"
        )


def _follow(lines: Iterable[str], log: TextIO, report: ReportStage) -> Uni4DError | None:
    """Read the child's output to its end; report stages, log the rest, return the error it told of."""
    failure = None
    for line in lines:
        if not line.startswith("UNI4D "):
            log.write(line)
            continue
        event = json.loads(line[len("UNI4D ") :])
        if "error" in event:
            error = event["error"]
            failure = Uni4DError(error["code"], error["message"], error.get("cure", ""))
        else:
            report(event["stage"], float(event["fraction"]), event.get("message", ""))
    return failure


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the child's whole process group to end, then insist."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return
            threading.Event().wait(0.05)
