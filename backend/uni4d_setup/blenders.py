"""The Blenders on this machine: their versions, and the packages that the add-on needs in each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from uni4d_setup.addon_packages import requirements
from uni4d_setup.console import Step, child_environment
from uni4d_setup.environments import pip_install
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import LOCAL_CACHE, SHARED, VENV, venv_program

__all__ = ["BlenderFacts", "dependencies", "environment", "examine", "locate"]

OLDEST = (3, 4)
_QUESTION = "import bpy, sys; print('UNI4D-FACTS', *bpy.app.version[:2], *sys.version_info[:2], flush=True)"


@dataclass(frozen=True)
class BlenderFacts:
    """What a Blender says of itself."""

    program: str
    version: tuple[int, int]
    python: tuple[int, int]


def locate(named: str | None) -> Path | None:
    """The Blender that was named, else the one on PATH, else None."""
    found = shutil.which(named or "blender")
    if found is None and named:
        raise SetupError(
            f"--blender {named}: there is no such program.", "Give the path of Blender's executable."
        )
    return Path(found).absolute() if found else None


def environment(program: Path) -> dict[str, str]:
    """The environment for a Blender.

    A distribution's Blender finds its Python's libraries through the first ``python3`` on PATH. That must be
    its own, beside it, not the one of an active virtual environment, conda or pyenv.
    """
    return child_environment({"PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"})


def examine(program: Path) -> BlenderFacts:
    """Start a Blender once and ask for its versions; the answer is kept until the program changes."""
    status = program.stat()
    key = f"{program} {status.st_size} {status.st_mtime_ns}"
    memory = LOCAL_CACHE / "blenders.json"
    known = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else {}
    if key not in known:
        command: list[str | Path] = [program, "-b", "--factory-startup", "--python-exit-code", "3"]
        command += ["--python-expr", _QUESTION]
        with Step(f"Asking {program} for its version"):
            try:
                answer = subprocess.run(
                    command,
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=False,
                    env=environment(program),
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise SetupError(f"{program} does not start: {error}") from error
        match = re.search(r"^UNI4D-FACTS (\d+) (\d+) (\d+) (\d+)", answer.stdout, re.MULTILINE)
        if match is None:
            end = "\n".join((answer.stdout + answer.stderr).splitlines()[-8:])
            raise SetupError(
                f"{program} does not answer as a Blender does (code {answer.returncode}):\n{end}"
            )
        major, minor, python_major, python_minor = map(int, match.groups())
        facts = BlenderFacts(str(program), (major, minor), (python_major, python_minor))
        known = {old: entry for old, entry in known.items() if Path(entry["program"]).exists()}
        known[key] = asdict(facts)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known, indent=1), encoding="utf-8")
    entry = known[key]
    facts = BlenderFacts(entry["program"], tuple(entry["version"]), tuple(entry["python"]))
    if facts.version < OLDEST:
        raise SetupError(
            f"{program} is Blender {facts.version[0]}.{facts.version[1]}; "
            f"Uni4D needs {OLDEST[0]}.{OLDEST[1]} or newer.",
            "Name a newer one with --blender, or take it off PATH and the bpy module is used.",
        )
    return facts


def dependencies(python: tuple[int, int]) -> Path:
    """A folder with the add-on's packages for one of Blender's Pythons; our own package is a link in it."""
    tag = f"cp{python[0]}{python[1]}"
    folder = LOCAL_CACHE / "blender-deps" / tag
    wanted = requirements(python)
    stamp = folder / "requirements.json"
    if not stamp.is_file() or json.loads(stamp.read_text(encoding="utf-8")) != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        with Step(f"Packages for Blender's Python {python[0]}.{python[1]}") as step:
            version = f"{python[0]}.{python[1]}"
            where: list[str | Path] = ["--target", folder, "--python-version", version]
            options = ["--only-binary", ":all:", "--implementation", "cp", "--no-deps"]
            pip_install(step, venv_program(VENV, "python"), [*where, *options, *wanted])
        stamp.write_text(json.dumps(wanted), encoding="utf-8")
    ours = folder / "uni4d_shared"
    if sys.platform == "win32":  # links need a privilege there
        shutil.copytree(SHARED / "uni4d_shared", ours, dirs_exist_ok=True)
    elif not ours.is_symlink():
        ours.symlink_to(SHARED / "uni4d_shared", target_is_directory=True)
    return folder
