"""``uni4d export``: a fitted result as files for other programs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from attrs import define, field

from uni4d.commands.common import Command
from uni4d.terminal import stdout
from uni4d_shared.codec import ProtocolError, decode_value, read_frames, read_header
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Progress
from uni4d_shared.types import Gaussians4D

__all__ = ["Export"]

Format = Literal[
    "ply",
    "ply-deltas",
    "splat",
    "gltf-splats",
    "gltf-splats-frames",
    "glb-skin",
    "glb-morph",
    "usd",
    "mp4",
]


@define(kw_only=True)
class Export(Command):
    """Write a fitted result for other programs, e.g. --result fit/result.u4d --format ply mp4 --out files/.

    ply: one Gaussian PLY for each frame. ply-deltas: one PLY and what changes, compact. splat: 32 bytes each.
    gltf-splats, gltf-splats-frames: GLB with KHR_gaussian_splatting, of one moment or of every frame.
    glb-skin, glb-morph: the animated mesh with its own textures. usd: the same, by Blender. mp4: a turntable.
    backend/docs/exports.md tells more.
    """

    result: Path
    """What uni4d fit wrote (result.u4d), or stages/fit.u4d of a run's folder."""
    format: tuple[Format, ...]
    """One or more formats."""
    out: Path
    """Folder for the files."""
    glb: Path | None = None
    """The mesh that was fitted, for the animated meshes …"""
    uid: str = ""
    """… or the library asset."""
    frame: int | None = None
    """The frame, from 1, that splat and gltf-splats show; the rest pose without it."""
    size: int = 512
    """Width and height of the turntable, in pixels."""
    background: tuple[float, float, float] = field(default=(1.0, 1.0, 1.0))
    """The turntable's background: red, green and blue from 0 to 1."""
    blender: Path | None = None
    """A Blender that has USD; by default the one on the PATH."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    blender_deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for Blender's Python, where it lacks them."""

    def run(self) -> dict[str, Any]:
        from uni4d.exports.export import NEED_MESH, ExportOptions, export

        if self.uid and self.glb:
            raise Uni4DError("bad-request", "Only one of --uid and --glb can be given.")
        result = _read_result(self.result)
        needs_mesh = any(name in NEED_MESH for name in self.format)
        options = ExportOptions(
            glb=self._mesh() if needs_mesh else None,
            frame=self.frame,
            size=self.size,
            background=self.background,
            to_usd=partial(self._to_usd, fps=result.fps),
        )
        with self.progress("export") as progress:
            written = export(result, self.format, self.out, options, progress)
        files = {
            name: {
                "paths": [str(path) for path in paths],
                "bytes": sum(path.stat().st_size for path in paths),
            }
            for name, paths in written.items()
        }
        return {"out": str(self.out), "files": files}

    def _mesh(self) -> Path | None:
        if not self.uid:
            return self.glb
        from uni4d.pipeline import Stages

        return Path(Stages(self.settings()).asset(self.uid).path)

    def _to_usd(self, glb: Path, path: Path, progress: Progress, *, fps: float) -> None:
        from uni4d.pipeline.blender import find_blender, run_headless

        run_headless(
            find_blender(self.blender, self.bpy_python, self.blender_deps),
            ["usd", "--glb", str(glb), "--out", str(path), "--fps", str(fps)],
            log_path=glb.with_suffix(".log"),
            expected=[path],
            report=lambda _, fraction, message: progress(fraction, message),
        )

    def show(self, result: dict[str, Any]) -> None:
        for name, files in result["files"].items():
            paths = files["paths"]
            where = paths[0] if len(paths) == 1 else f"{len(paths)} files: {paths[0]} …"
            stdout.print(f"{name:18} {files['bytes'] / 1e6:8.2f} MB  {where}")


def _read_result(path: Path) -> Gaussians4D:
    """The 4D Gaussians in a ``.u4d`` file, by themselves or as what the fit answered."""
    cure = "Give what uni4d fit wrote (result.u4d), or stages/fit.u4d of a run's folder."
    if not path.is_file():
        raise Uni4DError("file-unreadable", f"{path}: no such file.", cure)
    try:
        frames = read_frames(path)
        if read_header(frames).type == Gaussians4D.__name__:
            gaussians: Gaussians4D = decode_value(frames, Gaussians4D)
            return gaussians
        fitted: FitResult = decode_value(frames, FitResult)
    except ProtocolError as error:
        raise Uni4DError("file-unreadable", f"{path}: {error.message}.", error.cure or cure) from error
    return fitted.result
