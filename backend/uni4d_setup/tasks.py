"""The subcommands of ``build.py``."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from uni4d_setup import (
    addon_archives,
    blenders,
    debian,
    environments,
    foreign_readers,
    newest_blender,
)
from uni4d_setup.checks import run_checks
from uni4d_setup.console import Step, note, run_attached
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import DIST, LOCAL_CACHE, ROOT, VENV, VENV_BPY, user_cache, venv_program

__all__ = ["addon", "bench", "check", "clean", "demo", "setup", "test", "where"]

_EXTENTS = {
    "quick": "not slow and not long and not blender and not window and not newest and not readers",
    "default": "not newest and not long and not readers",
    "all": "",
}
"""What each extent of ``build.py test`` selects, as pytest's ``-m``."""


def _ensure_compiler() -> None:
    """A C compiler for the rasteriser's kernel; without one its slower twin runs, and that is said."""
    if shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"):
        return
    if debian.can_install():
        debian.install(debian.COMPILER, "The splat rasteriser's kernel needs a C compiler.")
    else:
        note("no C compiler: the splats are rasterised by PyTorch alone, about 30 times slower")


def _blender_arguments(named: str | None) -> list[str | Path]:
    """The arguments of ``uni4d generate`` that name a Blender: the one named, on PATH, or the bpy module."""
    program = blenders.locate(named)
    if program is None:
        return ["--bpy-python", environments.ensure_bpy()]
    facts = blenders.examine(program)
    return ["--blender", program, "--blender-deps", blenders.dependencies(facts.python)]


def _library_arguments(meshes: Path | None) -> list[str | Path]:
    """Build the library where it is missing; the arguments that name it."""
    uni4d = venv_program(VENV, "uni4d")
    if meshes is None:
        with Step("Looking for the library") as step:
            present = step.attempt([uni4d, "library", "info", "--json"]) == 0
        if not present and run_attached([uni4d, "library", "build"], cwd=ROOT) != 0:
            raise SetupError("The library could not be built; the reason is above.")
        return []
    folder = meshes.expanduser().resolve()
    if not folder.is_dir():
        raise SetupError(f"--library {meshes}: there is no such folder.")
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    settings = LOCAL_CACHE / "libraries" / f"{name}.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    # A JSON string is a TOML string too.
    table = f'[library]\nsource = "folder"\npath = {json.dumps(str(folder))}\n'
    settings.write_text(table, encoding="utf-8")
    # Always built: only files that are new since the last time take work.
    source: list[str | Path] = ["--source", "folder", "--path", folder]
    if run_attached([uni4d, "library", "build", *source, "--config", settings], cwd=ROOT) != 0:
        raise SetupError(f"No library could be built from {folder}; the reason is above.")
    return ["--config", settings]


def demo(
    prompt: str,
    blender: str | None,
    meshes: Path | None,
    out: Path | None,
    engine: str | None,
    more: Sequence[str],
) -> int:
    """From a sentence to a folder with the animated asset. ``more`` goes to ``uni4d generate``."""
    if not prompt.strip():
        raise SetupError("The prompt is empty.", 'Say what should move, e.g. "a teddy bear is dancing".')
    environments.ensure_backend()
    _ensure_compiler()
    which = _blender_arguments(blender)
    library = _library_arguments(meshes)
    options: list[str | Path] = [*which, *library, *(["--engine", engine] if engine else [])]
    if out is not None:
        options += ["--out", out.absolute()]
    return run_attached([venv_program(VENV, "uni4d"), "generate", prompt, *options, *more], cwd=ROOT)


def test(quick: bool, everything: bool, more: Sequence[str]) -> int:
    """Run pytest; it ends with its summary, and its exit code is ours."""
    environments.ensure_backend()
    if not quick:
        _ensure_compiler()
        environments.ensure_bpy()
        _prepare_real_blenders(everything)
    if everything:
        foreign_readers.ensure()
    extent = "quick" if quick else "all" if everything else "default"
    selection = ["-m", _EXTENTS[extent]] if _EXTENTS[extent] else []
    if quick:  # the others start servers, windows and benchmarks that want the machine for themselves
        selection += ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
    # The checks are tests too (tests/test_code_checks.py), so that pytest's summary tells of everything.
    return run_attached([venv_program(VENV, "python"), "-m", "pytest", *selection, *more], cwd=ROOT)


def _prepare_real_blenders(newest: bool) -> None:
    """Debian's Blender, the virtual displays and, where asked for, the newest Blender."""
    if debian.can_install():
        debian.install(debian.TEST_BLENDER, "The tests drive a real Blender on virtual displays.")
    elif debian.has_apt() and debian.missing(debian.TEST_BLENDER):
        absent = " ".join(debian.missing(debian.TEST_BLENDER))
        note(f"not root: tests that need {absent} are skipped; install them with apt-get to run those too")
    if newest:
        reason = newest_blender.unavailable_reason()
        if reason:
            note(f"tests of the newest Blender are skipped: {reason}")
        else:
            newest_blender.ensure()
    for program in (blenders.locate(None), newest_blender.find() if newest else None):
        if program is not None:
            blenders.dependencies(blenders.examine(program).python)


def setup(bpy: bool, blender: str | None, newest: bool) -> int:
    """Only install."""
    environments.ensure_backend()
    _ensure_compiler()
    if bpy:
        environments.ensure_bpy()
    programs = [blenders.locate(blender)] if blender else []
    if newest:
        programs.append(newest_blender.ensure())
    for program in programs:
        if program is not None:
            blenders.dependencies(blenders.examine(program).python)
    return 0


def addon() -> int:
    """Make the archives."""
    environments.ensure_backend()
    environments.ensure_bpy()  # it carries the checker of extensions
    for path in addon_archives.build_archives():
        note(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


def check() -> int:
    """Lint, format, types, import rules."""
    environments.ensure_backend()
    return run_checks()


def bench() -> int:
    """Run the scripts of tests/benchmarks one after the other; they print their numbers."""
    environments.ensure_backend()
    _ensure_compiler()
    failed = 0
    for script in sorted((ROOT / "tests" / "benchmarks").glob("*.py")):
        note(script.stem)
        failed |= run_attached([venv_program(VENV, "python"), script], cwd=ROOT)
    return failed


def where() -> int:
    """Print the places, one a line."""
    python = venv_program(VENV, "python")
    bpy_python = venv_program(VENV_BPY, "python")
    places = {
        "backend": python if python.exists() else None,
        "bpy": bpy_python if bpy_python.exists() else None,
        "blender": blenders.locate(None),
        "newest-blender": newest_blender.find(),
        "archives": DIST if DIST.is_dir() else None,
        "user-cache": user_cache(),
    }
    for name, path in places.items():
        print(f"{name:15} {path or '-'}")
    return 0


def clean(cache: bool) -> int:
    """Remove what was made; ``out/`` is the person's and stays."""
    made = [VENV, VENV_BPY, LOCAL_CACHE, DIST]
    made += [ROOT / name for name in (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")]
    for folder in [*made, *([user_cache()] if cache else [])]:
        if folder.exists():
            note(f"removing {folder}")
            shutil.rmtree(folder)
    return 0
