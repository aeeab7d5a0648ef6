"""A check of the code itself that runs beside the tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from uni4d_setup.checks import ENVIRONMENT, command
from uni4d_setup.layout import ROOT

__all__ = ["BegunCheck"]


class BegunCheck:
    """One of :data:`uni4d_setup.checks.CHECKS`, begun."""

    def __init__(self, name: str, folder: Path) -> None:
        """``folder``: for what it prints, which may be more than a pipe holds."""
        self._printed = folder / f"{name}.txt"
        with self._printed.open("w") as printed:
            self._process = subprocess.Popen(
                command(name),
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT},
                stdout=printed,
                stderr=subprocess.STDOUT,
            )

    def answer(self) -> tuple[int, str]:
        """Its exit code and what it printed, once it has ended."""
        return self._process.wait(), self._printed.read_text()

    def stop(self) -> None:
        """If it still runs."""
        self._process.kill()
        self._process.wait()
