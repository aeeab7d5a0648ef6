"""The real Blenders that the tests drive: Debian's, the bpy module, and the newest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from uni4d_setup import blenders, newest_blender
from uni4d_setup.layout import VENV_BPY, venv_program

__all__ = ["BLENDERS", "RealBlender", "find_blender", "private_folders"]

BLENDERS = [
    pytest.param("debian", marks=pytest.mark.blender),
    pytest.param("bpy", marks=pytest.mark.blender),
    pytest.param("newest", marks=[pytest.mark.blender, pytest.mark.newest]),
]
"""Parameters for a test that is to run in every real Blender; see the fixture ``real_blender``."""


def private_folders(folder: Path) -> dict[str, str]:
    """The environment that keeps a Blender's settings, add-ons and extensions inside ``folder``."""
    names = {
        "BLENDER_USER_RESOURCES": "resources",  # 4.2 and newer; the rest for older ones
        "BLENDER_USER_CONFIG": "resources/config",
        "BLENDER_USER_SCRIPTS": "resources/scripts",
        "BLENDER_USER_DATAFILES": "resources/datafiles",
        "BLENDER_USER_EXTENSIONS": "resources/extensions",
        "HOME": "home",
        "XDG_CACHE_HOME": "home/.cache",
        "XDG_CONFIG_HOME": "home/.config",
    }
    for name in names.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
    return {variable: str(folder / name) for variable, name in names.items()}


@dataclass(frozen=True)
class RealBlender:
    """A Blender program, or a Python that has the bpy module."""

    name: str
    program: Path
    is_module: bool
    version: tuple[int, int]
    python: tuple[int, int]

    @property
    def has_extensions(self) -> bool:
        """Whether it installs extensions (4.2) and not only add-ons."""
        return self.version >= (4, 2)

    def environment(self, folder: Path) -> dict[str, str]:
        """The environment to start it in, with its settings in ``folder``."""
        return {**blenders.environment(self.program), **private_folders(folder)}

    def command(self, script: Path, arguments: Sequence[str] = ()) -> list[str]:
        """The command line that runs a script without a window; the script's errors are exit codes."""
        if self.is_module:
            return [str(self.program), str(script), *arguments]
        start = [str(self.program), "-b", "--factory-startup", "--python-exit-code", "3"]
        return [*start, "--python", str(script), "--", *arguments]

    def window_command(self, script: Path, arguments: Sequence[str] = ()) -> list[str]:
        """The command line that opens a window and runs a script in it."""
        if self.is_module:
            pytest.skip("the bpy module has no window")
        start = [
            str(self.program),
            "--factory-startup",
            "--python-exit-code",
            "3",
            "-p",
            "0",
            "0",
            "1280",
            "800",
        ]
        return [*start, "--python", str(script), "--", *arguments]

    def run(
        self,
        script: Path,
        arguments: Sequence[str] = (),
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        timeout: float = 300.0,
    ) -> str:
        """Run a script without a window, with settings in ``folder``; its whole output. Fails on an error."""
        variables = {**self.environment(folder), **(environment or {})}
        process = subprocess.Popen(
            self.command(script, arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=variables,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            print(output[-4000:])  # noqa: T201
            raise
        assert process.returncode == 0, f"{self.name} ended with code {process.returncode}:\n{output[-6000:]}"
        return output


def find_blender(name: str) -> RealBlender:
    """The Blender called ``debian``, ``bpy`` or ``newest``; skips the test where it is not installed."""
    if name == "bpy":
        python = venv_program(VENV_BPY, "python")
        if not python.exists():
            pytest.skip("no bpy module; `build.py setup --bpy` installs it")
        return RealBlender(name, python, is_module=True, version=(5, 0), python=(3, 11))
    if name == "debian":
        found = shutil.which("blender")
        if found is None:
            pytest.skip("no blender on PATH")
        program = Path(found)
    else:
        provisioned = newest_blender.find()
        if provisioned is None:
            why = newest_blender.unavailable_reason() or "`build.py setup --newest-blender` installs it"
            pytest.skip(f"the newest Blender is not here: {why}")
        program = provisioned
    facts = blenders.examine(program)
    return RealBlender(name, program, is_module=False, version=facts.version, python=facts.python)
