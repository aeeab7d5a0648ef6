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

import torch
from platformdirs import user_cache_path
from torch import Tensor

from uni4d.splatting.threads import kernel_threads

__all__ = [
    "Batch",
    "Gradients",
    "KernelUnavailable",
    "available",
    "load",
    "observe",
    "pull",
    "similarity",
    "similarity_slope",
    "tie",
    "turn",
]

# libgomp's default is to spin between parallel regions, which starves torch's own threads (10-40 times slower
# on a busy machine). It reads this when it is loaded, i.e. when the kernel is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_SOURCES = tuple(
    Path(__file__).with_name(f"{name}.c")
    for name in (
        *("kernel", "projection", "binning", "background"),
        *("carry", "observe", "pull", "similarity", "tie"),
    )
)
_HEADER = Path(__file__).with_name("kernel.h")
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
        "uni4d_observe": ([*[count] * 3, *[pointer] * 6, *[ctypes.c_float] * 3, *[pointer] * 4], count),
        "uni4d_pull": ([*[count] * 4, *[pointer] * 8, ctypes.c_float, *[pointer] * 2], integer),
        "uni4d_similarity": ([*[count] * 4, *[pointer] * 5, integer], integer),
        "uni4d_similarity_backward": (
            [*[count] * 4, *[pointer] * 4, ctypes.c_float, pointer, integer],
            integer,
        ),
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


def turn(
    edges: Tensor,  # [B, N, 2, 3] of the moved triangles
    frames: Tensor,  # [N, 3, 3] of the triangles at rest
    quaternions: Tensor,  # [N, 4] at rest
    offsets: Tensor,  # [N, 3] from the triangles, at rest
) -> tuple[Tensor, Tensor]:
    """Quaternions ``[B, N, 4]`` and offsets ``[B, N, 3]`` of splats that turn with their triangles."""
    moments, count = edges.shape[:2]
    inputs = [t.detach().contiguous() for t in (edges, frames, quaternions, offsets)]
    turned, moved = torch.empty(moments, count, 4), torch.empty(moments, count, 3)
    load().uni4d_turn(
        moments,
        count,
        *(t.data_ptr() for t in (*inputs, turned, moved)),
        kernel_threads(),
    )
    return turned, moved


def observe(
    points: Tensor,  # [N, 3]
    camera: tuple[Tensor, Tensor],  # world to camera [4, 4], intrinsics [3, 3]
    frame: Tensor,  # [H, W, 3]
    rendered: tuple[Tensor, Tensor],  # image [H, W, 3], depth [H, W]
    slack: float,
    noise: float,
    huber: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which points are seen ``[V]`` int64, residuals ``[V, 3]``, slopes ``[V, 3, 3]`` and weights ``[V]``."""
    height, width = rendered[1].shape
    inputs = [t.detach().contiguous() for t in (points, *camera, frame, *rendered)]
    seen = torch.empty(len(points), dtype=torch.int64)
    found = seen, *(torch.empty(len(points), *own) for own in ((3,), (3, 3), ()))
    count = load().uni4d_observe(
        *(len(points), width, height),
        *(t.data_ptr() for t in inputs),
        *(slack, noise, huber),
        *(t.data_ptr() for t in found),
    )
    which, residuals, slopes, weights = (t[:count] for t in found)
    return which, residuals, slopes, weights


def pull(
    hessian: Tensor,  # [K², 6, 6], added to
    gradient: Tensor,  # [K, 6], added to
    splats: Tensor,  # [V] int64, which ones
    observed: tuple[Tensor, Tensor, Tensor],  # residuals [V, R], slopes [V, R, 3], weights [V]
    moved: tuple[Tensor, Tensor, Tensor],  # movers [N, S] int64, shares [N, S], arms [N, S, 3] at rest
    turns: Tensor,  # [K, 3, 3]
    radius: float,
) -> None:
    """Add to normal equations how splats pull at the nodes that move them."""
    inputs = [t.detach().contiguous() for t in (splats, *observed, *moved, turns)]
    failed = load().uni4d_pull(
        *(*observed[0].shape, moved[0].shape[1], len(turns)),
        *(t.data_ptr() for t in inputs),
        radius,
        *(hessian.data_ptr(), gradient.data_ptr()),
    )
    if failed:
        raise ValueError(f"pull: {moved[0].shape[1]} nodes move a splat, which are too many")


def similarity(
    image: Tensor,  # [B, H, W, 3]
    target: Tensor,  # [B, H, W, 3]
    weights: Tensor,  # [2 half + 1] of the blur
    *,
    slopes: bool,
) -> tuple[float, Tensor | None]:
    """The mean structural similarity, and, if wanted, what :func:`similarity_slope` needs."""
    images, height, width, _ = image.shape
    kept = torch.empty(3, *image.shape) if slopes else None
    sums = torch.empty(images, height, dtype=torch.float64)
    failed = load().uni4d_similarity(
        *(images, height, width, len(weights) // 2),
        *(t.data_ptr() for t in (weights, image, target)),
        *(None if kept is None else kept.data_ptr(), sums.data_ptr(), kernel_threads()),
    )
    if failed:
        raise MemoryError(f"similarity: no memory for pictures of {list(image.shape)}")
    return float(sums.sum()) / image.numel(), kept


def similarity_slope(image: Tensor, target: Tensor, weights: Tensor, slopes: Tensor, scale: float) -> Tensor:
    """``[B, H, W, 3]``: ``scale`` times the gradient, by the image, of the similarity's sum."""
    images, height, width, _ = image.shape
    gradient = torch.empty_like(image)
    failed = load().uni4d_similarity_backward(
        *(images, height, width, len(weights) // 2),
        *(t.data_ptr() for t in (weights, image, target, slopes)),
        *(scale, gradient.data_ptr(), kernel_threads()),
    )
    if failed:
        raise MemoryError(f"similarity: no memory for pictures of {list(image.shape)}")
    return gradient


def tie(
    hessian: Tensor,  # [K², 6, 6], added to
    gradient: Tensor,  # [K, 6], added to
    ends: Tensor,  # [E, 2] int64, nodes
    levers: tuple[Tensor, Tensor],  # arms [2, E, 3] at rest, lengths [E]
    turns: Tensor,  # [K, 3, 3]
    strain: tuple[Tensor, Tensor],  # stretch [E, 3], bend [E, 3]
    weights: Tensor,  # [E, 2]
    radius: float,
) -> None:
    """Add to normal equations how edges hold the nodes at their ends."""
    inputs = [t.detach().contiguous() for t in (ends, *levers, turns, *strain, weights)]
    load().uni4d_tie(
        *(len(ends), len(turns)),
        *(t.data_ptr() for t in inputs),
        radius,
        *(hessian.data_ptr(), gradient.data_ptr()),
    )
