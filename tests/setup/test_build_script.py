"""``build.py`` as a person meets it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def run(repository: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "build.py", *arguments],
        cwd=repository,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_teaches(repository: Path) -> None:
    answer = run(repository, "--help")
    assert answer.returncode == 0
    for word in (
        "demo",
        "test",
        "addon",
        "check",
        "setup",
        "examples:",
        "a teddy bear is dancing",
        "--quick",
    ):
        assert word in answer.stdout


@pytest.mark.parametrize("command", ["demo", "test", "setup", "addon", "bench", "check", "where", "clean"])
def test_each_command_has_help(repository: Path, command: str) -> None:
    assert run(repository, command, "--help").returncode == 0


def test_an_unknown_option_is_refused(repository: Path) -> None:
    answer = run(repository, "addon", "--nonsense")
    assert answer.returncode == 2
    assert "--nonsense" in answer.stderr


def test_an_empty_prompt_is_a_clear_error(repository: Path) -> None:
    answer = run(repository, "demo", "  ")
    assert answer.returncode == 1
    assert "prompt is empty" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_missing_blender_is_a_clear_error(repository: Path) -> None:
    answer = run(repository, "demo", "--blender", "/nowhere/blender")
    assert answer.returncode == 1
    assert "/nowhere/blender" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_program_that_is_no_blender_is_a_clear_error(repository: Path) -> None:
    answer = run(repository, "demo", "--blender", "/bin/echo")
    assert answer.returncode == 1
    assert "does not answer as a Blender does" in answer.stderr


def test_a_missing_folder_of_meshes_is_a_clear_error(repository: Path, tmp_path: Path) -> None:
    stand_in = tmp_path / "blender"  # says of itself what Blender 4.2 does; nothing else is asked of it
    stand_in.write_text("#!/bin/sh\necho UNI4D-FACTS 4 2 3 11\n")
    stand_in.chmod(0o755)
    answer = run(repository, "demo", "--blender", str(stand_in), "--library", "/nowhere/meshes")
    assert answer.returncode == 1
    assert "/nowhere/meshes" in answer.stderr


def test_a_blender_that_is_too_old_is_a_clear_error(repository: Path, tmp_path: Path) -> None:
    stand_in = tmp_path / "blender"
    stand_in.write_text("#!/bin/sh\necho UNI4D-FACTS 2 93 3 9\n")
    stand_in.chmod(0o755)
    answer = run(repository, "demo", "--blender", str(stand_in))
    assert answer.returncode == 1
    assert "is Blender 2.93; Uni4D needs 3.4 or newer" in answer.stderr


def test_build_script_keeps_to_old_syntax(repository: Path) -> None:
    """Python 3.8 must be able to read it, to say that it is too old."""
    ast.parse((repository / "build.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_an_old_python_is_told_what_is_needed(repository: Path) -> None:
    """The gate itself, with the version and PATH of a machine that has only Python 3.9."""
    program = (
        "import sys, os, runpy; sys.version_info = (3, 9, 2, 'final', 0); os.environ['PATH'] = '/nowhere'; "
        "sys.argv = ['build.py', 'where']; runpy.run_path('build.py', run_name='__main__')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 1
    assert "needs Python 3.11 or newer; this is Python 3.9.2" in answer.stderr
    assert "apt-get install python3.11" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_second_setup_installs_nothing(repository: Path) -> None:
    assert run(repository, "setup").returncode == 0
    before = installed(repository)
    answer = run(repository, "setup")
    assert answer.returncode == 0
    assert (answer.stdout + answer.stderr).strip().startswith("setup: done")
    assert installed(repository) == before


def installed(repository: Path) -> dict[Path, int]:
    """The folders of the environment's packages, and when something came into them or left them."""
    packages = next((repository / ".venv" / "lib").glob("python3*")) / "site-packages"
    return {path: path.stat().st_mtime_ns for path in [packages, *packages.glob("*.dist-info")]}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_child_running(repository: Path, tmp_path: Path, number: int) -> None:
    """The child below starts a grandchild; neither may outlive the interrupted parent."""
    pids = tmp_path / "pids"
    script = tmp_path / "parent.py"
    grandchild = f"sleep 300 & echo $! $$ > {pids}; wait"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(repository / 'backend')!r})\n"
        "from uni4d_setup.console import run_attached, stop_on_signals\n"
        "stop_on_signals()\n"
        "try:\n"
        f"    run_attached(['sh', '-c', {grandchild!r}])\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], start_new_session=True) as parent:
        deadline = time.monotonic() + 20
        while not (pids.is_file() and pids.read_text().endswith("\n")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        parent.send_signal(number)
        assert parent.wait(30) == 130
    for pid in pids.read_text().split():
        assert not _runs(int(pid))


def _runs(pid: int) -> bool:
    """Whether the process does anything still: a zombie that init has yet to collect does not."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
