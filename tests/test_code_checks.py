"""Lint, format, types and import rules, so that pytest's summary tells of the whole state of the code."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from uni4d_setup.checks import CHECKS, ENVIRONMENT, command


@pytest.mark.parametrize("name", CHECKS)
def test_code_passes(name: str, repository: Path) -> None:
    answer = subprocess.run(
        command(name),
        cwd=repository,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, (
        f"`build.py check`, {name}:\n{answer.stdout[-6000:]}{answer.stderr[-2000:]}"
    )
