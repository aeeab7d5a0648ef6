"""The checks of the code itself: each is one command of one tool, run from the repository's root."""

from __future__ import annotations

import os
from pathlib import Path

from uni4d_setup.console import note, run_attached
from uni4d_setup.layout import BACKEND, ROOT, VENV, venv_program

__all__ = ["CHECKS", "ENVIRONMENT", "command", "run_checks"]

_TYPED = ("build.py", "backend/uni4d_setup", "shared/uni4d_shared", "backend/uni4d", "blender_addon")

CHECKS = {
    "lint": ("ruff", "check", "."),
    "format": ("ruff", "format", "--check", "."),
    "types": ("mypy", *_TYPED),
    "components": ("lint-imports",),
}

ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(BACKEND)])}
"""The import rules cover the add-on and this package, which are not installed."""


def command(name: str) -> list[str | Path]:
    """The command line of a check."""
    program, *arguments = CHECKS[name]
    return [venv_program(VENV, program), *arguments]


def run_checks() -> int:
    """Run all, so that one run shows everything there is to mend; 0 when all pass."""
    failed = []
    for name, words in CHECKS.items():
        note(f"{name}: {' '.join(words)}")
        if run_attached(command(name), cwd=ROOT, env=ENVIRONMENT) != 0:
            failed.append(name)
    if failed:
        note(f"failed: {', '.join(failed)}")
    return 1 if failed else 0
