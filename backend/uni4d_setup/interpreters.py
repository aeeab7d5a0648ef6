"""Finding a Python and making virtual environments with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from uni4d_setup import debian
from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import venv_program

__all__ = ["find_python", "make_venv"]

_PROBE = """
import sys
try:
    import ensurepip, venv
    can = 1
except ImportError:
    can = 0
print(sys.version_info[0], sys.version_info[1], can, sys.executable)
"""


def _candidates() -> Iterator[str]:
    yield sys.executable
    for minor in (11, 12, 13, 14):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            found = shutil.which(f"python3.{minor}", path=folder)
            if found:
                yield found
    for store in (Path.home() / ".pyenv" / "versions", Path.home() / ".local" / "share" / "uv" / "python"):
        yield from map(str, sorted(store.glob("*/bin/python3")))


def _probe(program: str) -> tuple[tuple[int, int], bool, str] | None:
    """Version, whether it can make virtual environments, and the real executable (behind any shim)."""
    try:
        answer = subprocess.run(
            [program, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = answer.stdout.strip().split(maxsplit=3)
    if answer.returncode != 0 or len(words) != 4:
        return None
    return (int(words[0]), int(words[1])), words[2] == "1", words[3]


def find_python(accepts: tuple[tuple[int, int], ...]) -> Path:
    """A Python of one of these versions, one that can make virtual environments if there is any."""
    incapable: list[tuple[tuple[int, int], str]] = []
    for program in dict.fromkeys(_candidates()):
        probe = _probe(program)
        if probe is None or probe[0] not in accepts:
            continue
        version, capable, executable = probe
        if capable:
            return Path(executable)
        incapable.append((version, executable))
    wanted = " or ".join(f"{major}.{minor}" for major, minor in accepts)
    if not incapable:
        raise SetupError(
            f"No Python {wanted} was found on PATH.",
            "Install one: `apt-get install python3.11 python3.11-venv` on Debian 12, or from python.org.",
        )
    (major, minor), executable = incapable[0]
    package = f"python{major}.{minor}-venv"
    debian.install(
        [package], f"{executable} cannot make virtual environments (venv or ensurepip is missing)."
    )
    return Path(executable)


def make_venv(folder: Path, accepts: tuple[tuple[int, int], ...]) -> Path:
    """The interpreter of the virtual environment ``folder``, made if it is not there or not usable."""
    python = venv_program(folder, "python")
    if python.exists():
        probe = _probe(str(python))
        if probe is not None and probe[0] in accepts:
            return python
    base = find_python(accepts)
    with Step(f"{folder.name} with {base}") as step:
        step.run([base, "-m", "venv", "--clear", folder])
    return python
