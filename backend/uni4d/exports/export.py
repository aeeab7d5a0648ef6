"""A result in the formats that were asked for, one after the other, into one folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from uni4d.exports.animated_mesh import morphing_glb, skinned_glb
from uni4d.exports.deltas import write_deltas
from uni4d.exports.source_mesh import read_source_mesh
from uni4d.exports.splat_glb import splat_glb
from uni4d.exports.turntable import write_turntable
from uni4d.exports.writing import written
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.skinning import splats_at
from uni4d_shared.splats import write_ply, write_splat
from uni4d_shared.types import Gaussians4D, Splats

__all__ = ["FORMATS", "NEED_MESH", "ExportOptions", "export"]

ConvertToUsd = Callable[[Path, Path, Progress], None]
"""Writes the animated GLB (first path) as USD (second path)."""


@frozen
class ExportOptions:
    """What the formats can be told."""

    glb: Path | None = None
    """The mesh that was fitted; :data:`NEED_MESH` need it."""
    frame: int | None = None
    """The frame (from 1) that files of one moment show; rest without it."""
    size: int = 512
    """Pixels of the turntable's sides."""
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """sRGB, behind the turntable."""
    to_usd: ConvertToUsd | None = None
    """How USD is made: by a Blender that has it."""


_Writer = Callable[[Gaussians4D, Path, ExportOptions, Progress], list[Path]]


def export(
    result: Gaussians4D,
    formats: Sequence[str],
    folder: Path,
    options: ExportOptions | None = None,
    progress: Progress = silent,
) -> dict[str, list[Path]]:
    """Write ``result`` in ``formats`` (names of :data:`FORMATS`) into ``folder``; the files of each."""
    options = options or ExportOptions()
    _check(result, formats, options)
    files = {}
    for index, name in enumerate(dict.fromkeys(formats)):
        share = section(progress, index / len(formats), (index + 1) / len(formats))
        files[name] = FORMATS[name](result, folder, options, share)
    progress(1.0, "done")
    return files


def _check(result: Gaussians4D, formats: Sequence[str], options: ExportOptions) -> None:
    if unknown := [name for name in formats if name not in FORMATS]:
        raise Uni4DError(
            "bad-request", f"There is no format {', '.join(unknown)}.", f"Choose from {', '.join(FORMATS)}."
        )
    if not formats:
        raise Uni4DError("bad-request", "No format was named.", f"Choose from {', '.join(FORMATS)}.")
    frames = len(result.motion.rotations)
    if not frames or not len(result.splats.means):
        raise Uni4DError(
            "nothing-to-export",
            f"The result has {frames} frames and {len(result.splats.means)} splats.",
            "Fit it again.",
        )
    if options.frame is not None and not 1 <= options.frame <= frames:
        raise Uni4DError("bad-request", f"--frame {options.frame}: there are frames 1 to {frames}.")
    if options.size < 16 or options.size % 2:
        raise Uni4DError("bad-request", f"--size {options.size}: an even number, at least 16, is needed.")
    if options.glb is None and (wanting := [name for name in formats if name in NEED_MESH]):
        raise Uni4DError(
            "bad-request",
            f"{', '.join(wanting)}: the mesh that was fitted is needed, for its materials.",
            "Name it with --glb or --uid.",
        )


def _moment(result: Gaussians4D, options: ExportOptions) -> Splats:
    return result.splats if options.frame is None else splats_at(result, options.frame - 1)


def _ply(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    def write(path: Path, splats: Splats) -> None:
        write_ply(path, splats)

    return _numbered(result, folder / "ply", ".ply", write, progress)


def _ply_deltas(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    return write_deltas(folder / "ply_deltas", result, progress)


def _splat(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    with written(folder / "splats.splat") as path:
        write_splat(path, _moment(result, options))
    return [folder / "splats.splat"]


def _splat_glb(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    return [_write(folder / "splats.glb", splat_glb(_moment(result, options)))]


def _splat_glbs(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    def write(path: Path, splats: Splats) -> None:
        path.write_bytes(splat_glb(splats))

    return _numbered(result, folder / "splats_glb", ".glb", write, progress)


def _numbered(
    result: Gaussians4D,
    folder: Path,
    suffix: str,
    write: Callable[[Path, Splats], None],
    progress: Progress,
) -> list[Path]:
    """``frame_0001`` … in ``folder``, one for each frame of the motion."""
    count = len(result.motion.rotations)
    paths = [folder / f"frame_{frame + 1:04d}{suffix}" for frame in range(count)]
    for frame, path in enumerate(paths):
        progress(frame / count, f"frame {frame + 1} of {count}")
        with written(path) as temporary:
            write(temporary, splats_at(result, frame))
    return paths


def _glb_skin(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    progress(0.0, "skin")
    return [_write(folder / "animated_skin.glb", _skinned(result, options))]


def _skinned(result: Gaussians4D, options: ExportOptions) -> bytes:
    return skinned_glb(read_source_mesh(_mesh_path(options), result), result)


def _glb_morph(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    source = read_source_mesh(_mesh_path(options), result)
    return [_write(folder / "animated_morph.glb", morphing_glb(source, result, progress))]


def _usd(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    if options.to_usd is None:
        raise Uni4DError("blender-missing", "USD is written by Blender.", "Name one with --blender.")
    progress(0.0, "Blender writes USD")
    with tempfile.TemporaryDirectory() as temporary, written(folder / "animated.usdc") as path:
        glb = Path(temporary) / "animated.glb"
        glb.write_bytes(_skinned(result, options))
        options.to_usd(glb, path, progress)
    return [folder / "animated.usdc"]


def _mp4(result: Gaussians4D, folder: Path, options: ExportOptions, progress: Progress) -> list[Path]:
    path = folder / "turntable.mp4"
    write_turntable(path, result, size=options.size, background=options.background, progress=progress)
    return [path]


def _mesh_path(options: ExportOptions) -> Path:
    assert options.glb is not None  # noqa: S101  (_check has seen to it)
    return options.glb


def _write(path: Path, data: bytes) -> Path:
    with written(path) as temporary:
        temporary.write_bytes(data)
    return path


FORMATS: dict[str, _Writer] = {
    "ply": _ply,
    "ply-deltas": _ply_deltas,
    "splat": _splat,
    "gltf-splats": _splat_glb,
    "gltf-splats-frames": _splat_glbs,
    "glb-skin": _glb_skin,
    "glb-morph": _glb_morph,
    "usd": _usd,
    "mp4": _mp4,
}
"""The formats by name, and what writes each."""
NEED_MESH = ("glb-skin", "glb-morph", "usd")
"""The formats that need the mesh file."""
