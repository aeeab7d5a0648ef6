"""Compiles the C sources of this package with the system's C compiler on first use, and loads them.

The shared library goes into the user's cache under a name that holds a hash of the source, the flags, the
compiler and the processor's features, so a new version, another machine on the same home directory or another
compiler never meets a stale binary. Two processes may compile at once: each writes its own temporary file and
renames it. Calls release the GIL. Nothing here knows torch's autograd; :mod:`uni4d.splatting.cpu` does.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path

from platformdirs import user_cache_path

__all__ = ["Batch", "Gradients", "KernelUnavailable", "available", "load"]

# libgomp's default is to spin between parallel regions, which starves torch's own threads (10-40 times slower
# on a busy machine). It reads this when it is loaded, i.e. when the kernel is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_SOURCES = tuple(
    Path(__file__).with_name("csrc") / f"{name}.c"
    for name in (
        *("kernel", "projection", "binning", "background"),
        *("average", "carry", "huber", "observe", "pull", "similarity", "tie"),
    )
)
_HEADER = Path(__file__).with_name("csrc") / "kernel.h"
_FLAGS = ("-std=c11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")
_OPENMP_CHOICES = (("-fopenmp",), ())  # a compiler without OpenMP still gives a (single-threaded) kernel


class KernelUnavailable(Exception):
    """There is no working C compiler here; the message says what was tried."""


@functools.cache
def load() -> ctypes.CDLL:
    """The compiled kernel. Raises :class:`KernelUnavailable`."""
    compiler = _find_compiler()
    failures = []
    for openmp in _OPENMP_CHOICES:
        target = _library_path(compiler, openmp)
        try:
            if not target.exists():
                _compile(compiler, openmp, target)
            return _open(target)
        except (OSError, subprocess.SubprocessError, KernelUnavailable) as error:
            failures.append(f"{' '.join(openmp) or 'without OpenMP'}: {error}")
    raise KernelUnavailable(f"{compiler} could not build the kernel ({'; '.join(failures)})")


@functools.cache
def available() -> bool:
    """Whether the kernel works here; where it does not, one warning says why and what the cost is."""
    try:
        load()
    except KernelUnavailable as error:
        warnings.warn(
            f"Splats are rendered by the plain PyTorch twin, dozens of times slower: {error}. "
            "Install a C compiler (Debian: apt-get install gcc libc6-dev).",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


def _find_compiler() -> str:
    wanted = [os.environ["CC"]] if os.environ.get("CC") else ["cc", "gcc", "clang"]
    for name in wanted:
        path = shutil.which(name)
        if path:
            return path
    raise KernelUnavailable(f"no C compiler on PATH (looked for {', '.join(wanted)})")


def _library_path(compiler: str, openmp: tuple[str, ...]) -> Path:
    override = os.environ.get("UNI4D_CACHE")
    cache = Path(override) if override else user_cache_path("uni4d", appauthor=False)
    stat = Path(compiler).resolve().stat()
    key = hashlib.sha256(b"".join(source.read_bytes() for source in (_HEADER, *_SOURCES)))
    for part in (*_FLAGS, *openmp, compiler, str(stat.st_size), str(stat.st_mtime_ns), _processor()):
        key.update(part.encode() + b"\0")
    return cache / "kernels" / f"rasterise-{key.hexdigest()[:24]}.so"


def _processor() -> str:
    """What ``-march=native`` depends on."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return platform.machine() + line
    return platform.machine() + platform.processor()


def _compile(compiler: str, openmp: tuple[str, ...], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(suffix=".so", dir=target.parent)
    os.close(handle)
    try:
        done = subprocess.run(
            [compiler, *_FLAGS, *openmp, *map(str, _SOURCES), "-o", temporary, "-lm"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise KernelUnavailable(done.stderr.strip()[-500:])
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _open(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    pointer, integer, count = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    signatures = {
        "uni4d_abi": ([], count),
        "uni4d_project": ([pointer], count),
        "uni4d_composite": ([pointer], integer),
        "uni4d_finish": ([pointer], None),
        "uni4d_backward": ([pointer, pointer], integer),
        "uni4d_turn": ([count, count, *[pointer] * 6, integer], None),
        "uni4d_average": ([*[count] * 4, *[pointer] * 6, integer], None),
        "uni4d_average_backward": ([*[count] * 4, *[pointer] * 10, integer], None),
        "uni4d_huber": ([count, *[pointer] * 2, ctypes.c_float, pointer], ctypes.c_double),
        "uni4d_observe": ([*[count] * 3, *[pointer] * 6, *[ctypes.c_float] * 3, *[pointer] * 4], count),
        "uni4d_pull": ([*[count] * 4, *[pointer] * 8, ctypes.c_float, *[pointer] * 2], integer),
        "uni4d_similarity": ([*[count] * 4, *[pointer] * 6, integer], None),
        "uni4d_similarity_backward": (
            [*[count] * 4, *[pointer] * 4, ctypes.c_float, *[pointer] * 2, integer],
            None,
        ),
        "uni4d_similarity_room": ([count] * 2, count),
        "uni4d_tie": ([*[count] * 2, *[pointer] * 7, ctypes.c_float, *[pointer] * 2], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    if library.uni4d_abi() != 1000 * ctypes.sizeof(Batch) + ctypes.sizeof(Gradients):
        raise KernelUnavailable(f"{path} has another interface")
    return library


class Batch(ctypes.Structure):
    """``batch`` of ``kernel.h``, which documents the fields."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "count", "means_step", "quaternions_step")),
        *((name, ctypes.c_int64) for name in ("scales_step", "opacities_step", "colors_step")),
        ("other_means_step", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("width", "height", "features", "antialiased")),
        *((name, ctypes.c_int32) for name in ("threads", "unused")),
        *((name, ctypes.c_double) for name in ("near", "low_pass")),
        *((name, ctypes.c_void_p) for name in ("means", "quaternions", "scales", "opacities", "colors")),
        *((name, ctypes.c_void_p) for name in ("views", "intrinsics")),
        *((name, ctypes.c_void_p) for name in ("other_means", "other_views", "other_intrinsics")),
        *(
            (name, ctypes.c_void_p)
            for name in ("records", "first_pair", "tile_start", "pairs", "backgrounds")
        ),
        *((name, ctypes.c_void_p) for name in ("planes", "image", "alpha", "depth", "flow")),
    )


class Gradients(ctypes.Structure):
    """``gradients`` of ``kernel.h``."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("image", "alpha", "depth", "flow", "planes", "pairs")),
        *((name, ctypes.c_void_p) for name in ("means", "quaternions", "scales", "opacities", "colors")),
        *((name, ctypes.c_void_p) for name in ("views", "intrinsics", "backgrounds")),
        *((name, ctypes.c_void_p) for name in ("other_means", "other_views", "other_intrinsics")),
    )
