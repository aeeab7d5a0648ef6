"""A moving splat cloud as one PLY and what changes: ``canonical.ply`` at rest and ``deltas.npz``.

``deltas.npz`` (a zip archive of ``.npy`` files, little-endian) holds for T frames and N splats, in the PLY's
order:

==================  ==================  ===============================================================
``version``         int32               1
``fps``             float32             frames a second
``positions``       uint16 [T, N, 3]    p below, as differences: of each frame from the one before it
``position_low``    float32 [3]         metres
``position_step``   float32 [3]         metres
``turns``           uint16 [T, N, 3]    v below, as differences of frames too
``color_basis``     float16 [R, N, 3]   only where colours change
``color_weights``   float32 [T, R]      only where colours change
==================  ==================  ===============================================================

To decode, add up ``positions`` and ``turns`` along the frames modulo 2¹⁶. At frame t a splat has moved from
its canonical place by ``position_low + position_step · p``, and turned by the rotation vector ``π v / 32767``
(axis times angle, world axes), v read as a signed number. Its harmonics turn with it. Its colour is the
canonical one plus Σ_r ``color_weights[t, r] · color_basis[r]``, cut to [0, 1]. Scale and opacity stay.
Differences are stored because they are small numbers, which deflate packs well.

The errors are at most half a step: 1/131070 of the motion's extent along each axis, and 0.0001 radians.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from uni4d.exports.writing import written
from uni4d_shared.conventions import matrix_from_quaternion, multiply_quaternions
from uni4d_shared.errors import Uni4DError
from uni4d_shared.harmonics import rotate
from uni4d_shared.progress import Progress, silent
from uni4d_shared.skinning import splats_at
from uni4d_shared.splats import read_ply, write_ply
from uni4d_shared.types import Array, ColorMotion, Gaussians4D, Splats

__all__ = ["SplatSequence", "read_deltas", "write_deltas"]

_VERSION = 1
_TURN_STEP = np.pi / 32767
_FIELDS = ("fps", "positions", "position_low", "position_step", "turns")


@frozen(eq=False)
class SplatSequence:
    """A canonical cloud and its motion, frame by frame; see :func:`read_deltas`."""

    canonical: Splats
    fps: float
    shifts: Array
    """``[T, N, 3]`` float32 metres from the canonical places."""
    turns: Array
    """``[T, N, 3]`` float32 rotation vectors."""
    color_motion: ColorMotion | None = None

    def __len__(self) -> int:
        return len(self.shifts)

    def splats_at(self, frame: int) -> Splats:
        """The cloud at ``frame``."""
        turn = _quaternion(self.turns[frame].astype(np.float64))
        colors = self.canonical.colors
        if self.color_motion is not None:
            change = np.tensordot(self.color_motion.weights[frame], self.color_motion.basis, axes=1)
            colors = np.clip(colors + change, 0.0, 1.0)
        return evolve(
            self.canonical,
            means=self.canonical.means + self.shifts[frame],
            quaternions=multiply_quaternions(turn, self.canonical.quaternions),
            colors=colors,
            harmonics=rotate(self.canonical.harmonics, matrix_from_quaternion(turn)),
        )


def write_deltas(folder: Path, result: Gaussians4D, progress: Progress = silent) -> list[Path]:
    """Write ``canonical.ply`` and ``deltas.npz`` into ``folder``; their paths."""
    paths = [folder / "canonical.ply", folder / "deltas.npz"]
    with written(paths[0]) as path:
        write_ply(path, result.splats)
    count = len(result.motion.rotations)
    shifts = np.empty((count, len(result.splats.means), 3), np.float32)
    turns = np.empty_like(shifts)
    undo = result.splats.quaternions * np.array([1.0, -1.0, -1.0, -1.0])
    for frame in range(count):
        progress(0.8 * frame / count, f"motion of frame {frame + 1} of {count}")
        splats = splats_at(result, frame)
        shifts[frame] = splats.means - result.splats.means
        turns[frame] = _rotation_vector(multiply_quaternions(splats.quaternions, undo))
    progress(0.8, "packing")
    low = shifts.min(axis=(0, 1)) if shifts.size else np.zeros(3, np.float32)
    high = shifts.max(axis=(0, 1)) if shifts.size else np.zeros(3, np.float32)
    step = np.maximum((high - low) / 65535.0, 1e-12).astype(np.float32)
    arrays: dict[str, Any] = {
        "version": np.int32(_VERSION),
        "fps": np.float32(result.fps),
        "positions": _differences(np.clip(np.rint((shifts - low) / step), 0, 65535)),
        "position_low": low,
        "position_step": step,
        "turns": _differences(np.rint(turns / _TURN_STEP)),
    }
    if result.color_motion is not None:
        arrays["color_basis"] = result.color_motion.basis.astype(np.float16)
        arrays["color_weights"] = result.color_motion.weights
    with written(paths[1]) as path:
        np.savez_compressed(path, **arrays)
    progress(1.0, "deltas")
    return paths


def read_deltas(folder: Path) -> SplatSequence:
    """Read what :func:`write_deltas` wrote; ``Uni4DError("splats-unreadable")`` names what is wrong."""
    canonical, path = read_ply(folder / "canonical.ply"), folder / "deltas.npz"
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, str(error)) from error
    if int(arrays.get("version", 0)) != _VERSION:
        raise _unreadable(path, f"its version is {arrays.get('version', 'not given')}, expected {_VERSION}")
    if missing := [name for name in _FIELDS if name not in arrays]:
        raise _unreadable(path, f"it has no {', '.join(missing)}")
    shape = (len(arrays["positions"]), len(canonical.means), 3)
    if arrays["positions"].shape != shape or arrays["turns"].shape != shape:
        raise _unreadable(path, f"its motion is not for the {len(canonical.means)} splats of canonical.ply")
    places = np.cumsum(arrays["positions"], axis=0, dtype=np.uint16).astype(np.float32)
    turns = np.cumsum(arrays["turns"], axis=0, dtype=np.uint16).view(np.int16)
    colors = None
    if "color_basis" in arrays:
        colors = ColorMotion(arrays["color_basis"], arrays["color_weights"])
    return SplatSequence(
        canonical,
        float(arrays["fps"]),
        arrays["position_low"] + arrays["position_step"] * places,
        (turns * _TURN_STEP).astype(np.float32),
        colors,
    )


def _differences(numbers: Array) -> Array:
    """``numbers`` (whole, ``[T, …]``) as uint16 differences along the first axis, modulo 2¹⁶."""
    whole = numbers.astype(np.int64).astype(np.uint16)
    differences = whole.copy()
    differences[1:] -= whole[:-1]
    return differences


def _rotation_vector(quaternions: Array) -> Array:
    """Axis times angle, at most π, of unit quaternions ``[N, 4]``."""
    q = np.where(quaternions[:, :1] < 0, -quaternions, quaternions).astype(np.float64)
    sine = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[:, :1])
    return q[:, 1:] * np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)


def _quaternion(vectors: Array) -> Array:
    """Unit quaternions ``[N, 4]`` of rotation vectors ``[N, 3]``."""
    angle = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.concatenate([np.cos(0.5 * angle), 0.5 * vectors * np.sinc(angle / (2.0 * np.pi))], axis=1)


def _unreadable(path: Path, reason: str) -> Uni4DError:
    return Uni4DError("splats-unreadable", f"{path} cannot be read: {reason}.", "Export it again.")
