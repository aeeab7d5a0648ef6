"""Compiles ``kernel.c`` and ``carry.c`` with the system's C compiler on first use, and calls it.

The shared library goes into the user's cache under a name that holds a hash of the source, the flags, the
compiler and the processor's features, so a new version, another machine on the same home directory or another
compiler never meets a stale binary. Two processes may compile at once: each writes its own temporary file and
renames it. Calls release the GIL. Nothing here knows torch's autograd; :mod:`uni4d.splatting.rasterise` does.
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

__all__ = ["Binning", "KernelUnavailable", "available", "backward", "bin_splats", "forward", "load", "turn"]

# libgomp's default is to spin between parallel regions, which starves torch's own threads (10-40 times slower
# on a busy machine). It reads this when it is loaded, i.e. when the kernel is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernel.c", "carry.c"))
_ABI = 1
_TILE = 16
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
            f"Splats are rendered by the plain PyTorch twin, about 30 times slower: {error}. "
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
    key = hashlib.sha256(b"".join(source.read_bytes() for source in _SOURCES))
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
    library.uni4d_abi.argtypes, library.uni4d_abi.restype = [], integer
    library.uni4d_count.argtypes = [count, *[pointer] * 3, integer, integer, *[pointer] * 2, integer]
    library.uni4d_count.restype = count
    library.uni4d_bin.argtypes = [count, *[pointer] * 4, integer, integer, *[pointer] * 2]
    library.uni4d_bin.restype = integer
    library.uni4d_turn.argtypes = [count, count, *[pointer] * 6, integer]
    library.uni4d_turn.restype = None
    library.uni4d_forward.argtypes = [*[pointer] * 7, integer, integer, pointer, integer]
    library.uni4d_forward.restype = None
    library.uni4d_backward.argtypes = [count, *[pointer] * 8, integer, integer, *[pointer] * 7, integer]
    library.uni4d_backward.restype = None
    if library.uni4d_abi() != _ABI:
        raise KernelUnavailable(f"{path} has another interface version")
    return library


class Binning:
    """Which splats touch which tile, nearest first; made once per image, used forward and backward."""

    __slots__ = ("extents", "first_pair", "pairs", "tile_start")

    def __init__(self, extents: Tensor, first_pair: Tensor, tile_start: Tensor, pairs: Tensor) -> None:
        self.extents = extents
        """``[N, 2]`` half-sizes in pixels of the box outside which alpha < 1/255; 0 = never visible."""
        self.first_pair = first_pair
        """``[N + 1]`` int64: the (splat, tile) pairs of splat i are first_pair[i] … first_pair[i + 1]."""
        self.tile_start = tile_start
        """``[tiles + 1]`` int32: where each tile's entries begin in ``pairs``."""
        self.pairs = pairs
        """``[M, 2]`` int32: (splat, pair)."""


def bin_splats(
    means: Tensor,  # [N, 2] pixels
    conics: Tensor,  # [N, 3]
    opacities: Tensor,  # [N]
    depths: Tensor,  # [N] metres
    width: int,
    height: int,
) -> Binning:
    """Assign float32 contiguous splats to tiles and sort them by depth."""
    library, count = load(), len(means)
    extents = torch.empty(count, 2)
    first_pair = torch.empty(count + 1, dtype=torch.int64)
    total = library.uni4d_count(
        count,
        *(t.data_ptr() for t in (means, conics, opacities)),
        width,
        height,
        extents.data_ptr(),
        first_pair.data_ptr(),
        torch.get_num_threads(),
    )
    if total < 0:
        raise MemoryError(f"{count} splats cover more than 2³¹ tiles of a {width}×{height} image")
    tiles = -(-width // _TILE) * -(-height // _TILE)
    tile_start = torch.empty(tiles + 1, dtype=torch.int32)
    pairs = torch.empty(total, 2, dtype=torch.int32)
    failed = library.uni4d_bin(
        count,
        *(t.data_ptr() for t in (means, depths, extents, first_pair)),
        width,
        height,
        tile_start.data_ptr(),
        pairs.data_ptr(),
    )
    if failed:
        raise MemoryError(f"no memory to sort {count} splats")
    return Binning(extents, first_pair, tile_start, pairs)


def forward(
    means: Tensor,
    conics: Tensor,
    opacities: Tensor,
    features: Tensor,  # [N, 4] red, green, blue, depth
    binning: Binning,
    width: int,
    height: int,
) -> Tensor:
    """``[5, H, W]``: the four composited features and the final transmittance."""
    out = torch.empty(5, height, width)
    load().uni4d_forward(
        *(t.data_ptr() for t in (means, conics, opacities, features)),
        *(t.data_ptr() for t in (binning.extents, binning.tile_start, binning.pairs)),
        width,
        height,
        out.data_ptr(),
        torch.get_num_threads(),
    )
    return out


def backward(
    means: Tensor,
    conics: Tensor,
    opacities: Tensor,
    features: Tensor,
    binning: Binning,
    out: Tensor,  # [5, H, W] of forward
    gradient: Tensor,  # [5, H, W] dL/dout
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of means, conics, opacities and features."""
    _, height, width = out.shape
    per_pair = torch.zeros(len(binning.pairs), 10)
    gradients = tuple(torch.empty_like(t) for t in (means, conics, opacities, features))
    load().uni4d_backward(
        len(means),
        *(t.data_ptr() for t in (means, conics, opacities, features)),
        *(t.data_ptr() for t in (binning.extents, binning.first_pair, binning.tile_start, binning.pairs)),
        width,
        height,
        *(t.data_ptr() for t in (out, gradient, per_pair, *gradients)),
        torch.get_num_threads(),
    )
    return gradients  # type: ignore[return-value]


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
        torch.get_num_threads(),
    )
    return turned, moved
