"""``uni4d render``, ``align``, ``animate`` and ``fit``: each stage alone, on files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
from attrs import define

from uni4d import files
from uni4d.commands.common import Command
from uni4d.pipeline import Stages
from uni4d.terminal import stdout
from uni4d_shared.codec import read_file, write_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AlignResult
from uni4d_shared.progress import section

__all__ = ["Align", "Animate", "Fit", "Render"]


@define(kw_only=True)
class Render(Command):
    """Photograph a mesh from all sides with Blender, e.g. uni4d render --glb bear.glb --out views/."""

    glb: Path
    """The mesh."""
    out: Path
    """Folder for view_00.png …, transforms.json and depth.npz."""
    blender: Path | None = None
    """A Blender; by default the one on the PATH."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    blender_deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for Blender's Python, where it lacks them."""
    engine: str = "auto"
    """auto, cycles, workbench or eevee."""

    def run(self) -> dict[str, Any]:
        from uni4d.pipeline.blender import find_blender, render_arguments, run_headless

        if not self.glb.is_file():
            raise Uni4DError("mesh-unreadable", f"{self.glb}: no such file.", "Check --glb.")
        command = find_blender(self.blender, self.bpy_python, self.blender_deps)
        self.out.mkdir(parents=True, exist_ok=True)
        with self.progress("render") as progress:
            run_headless(
                command,
                [
                    *("render", "--glb", str(self.glb), "--out", str(self.out)),
                    *render_arguments(self.settings().render, self.engine),
                ],
                log_path=self.out / "blender.log",
                expected=[self.out / "transforms.json", self.out / "depth.npz"],
                report=lambda _, fraction, message: progress(fraction, message),
            )
        return {"out": str(self.out), "views": len(files.read_views(self.out).images)}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['views']} views in {result['out']}")


@define(kw_only=True)
class _OnViews(Command):
    """Options of the stages that start from photographs."""

    views: Path
    """Folder of photographs, as uni4d render writes it."""
    uid: str = ""
    """The library asset that they show …"""
    glb: Path | None = None
    """… or its mesh file."""

    def mesh_bytes(self) -> bytes:
        if bool(self.uid) == bool(self.glb):
            raise Uni4DError("bad-request", "Exactly one of --uid and --glb is needed.")
        if self.glb is None:
            return b""
        try:
            return self.glb.read_bytes()
        except OSError as error:
            raise Uni4DError("mesh-unreadable", f"{self.glb}: {error}.", "Check --glb.") from error


@define(kw_only=True)
class Align(_OnViews):
    """Measure how well a text, an asset and its photographs agree."""

    prompt: str
    """The whole prompt."""
    out: Path | None = None
    """Where to keep the result (.u4d) for uni4d animate and uni4d fit."""

    def run(self) -> dict[str, Any]:
        from uni4d.retrieval.query import parse

        views = files.read_views(self.views)
        with self.progress("align") as progress:
            result = Stages(self.settings()).align(
                parse(self.prompt), self.uid, views, progress, glb=self.mesh_bytes()
            )
        if self.out is not None:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.out, result)
        alignment = result.alignment
        return {
            **attrs.asdict(alignment),
            "view_weights": alignment.view_weights.tolist(),
            "tokens": list(alignment.tokens.shape),
        }

    def show(self, result: dict[str, Any]) -> None:
        for name, value in result.items():
            stdout.print(f"{name:12} {value}")


@define(kw_only=True)
class Animate(_OnViews):
    """Make a clip of the asset doing what the prompt says, e.g. --prompt "a bear is dancing".

    The kinematic generator (the default) moves the mesh itself, offline and without a GPU. The other models
    paint a video from the photograph: cogvideox, cogvideox15, wan and ltx on a CUDA device, once their
    weights are there; remote at a service, with its keys in the environment. Each has a table of settings,
    e.g. [video.wan]; backend/docs/video.md tells more.
    """

    prompt: str
    """The whole prompt."""
    alignment: Path
    """What uni4d align --out wrote: which views count, and where the clip starts."""
    out: Path
    """The MP4 to write; beside it a lossless .u4d that uni4d fit takes too."""
    program: Path | None = None
    """A motion program (JSON) to play instead of what the prompt says: what --json printed, edited."""
    seed: int | None = None
    """Instead of the configured one."""
    model: str | None = None
    """kinematic, cogvideox, cogvideox15, wan, ltx or remote, instead of the configured one."""

    def run(self) -> dict[str, Any]:
        from uni4d.retrieval.query import parse

        stages, views, glb = Stages(self.settings()), files.read_views(self.views), self.mesh_bytes()
        alignment = read_file(self.alignment, AlignResult).alignment
        with self.progress("animate") as progress:
            result = stages.animate(
                *(parse(self.prompt), self.uid, views, alignment, progress),
                glb=glb,
                settings=_played(self.program) | _given(seed=self.seed, model=self.model),
            )
        self.out.parent.mkdir(parents=True, exist_ok=True)
        files.write_clip_mp4(self.out, result.clip)
        write_file(self.out.with_suffix(".u4d"), result)
        lossless = str(self.out.with_suffix(".u4d"))
        return {"clip": str(self.out), "lossless": lossless, "program": result.program}

    def show(self, result: dict[str, Any]) -> None:
        stdout.print(f"{result['clip']}: {result['program']}")


@define(kw_only=True)
class Fit(_OnViews):
    """Fit 4D Gaussians to a clip; writes result.u4d and splats/frame_0001.ply … into --out.

    When it is interrupted, the same command goes on where it stopped (--out keeps the folder unfinished until
    then), and ends with the same result.
    """

    alignment: Path
    """What uni4d align --out wrote."""
    clip: list[Path]
    """An MP4, or the .u4d that uni4d animate wrote; several .u4d of one motion from several cameras."""
    out: Path
    """Folder for the result."""
    seed: int | None = None
    """Instead of the configured one."""
    iterations: int | None = None
    """Steps of the joint fit, instead of the configured number."""
    deformation: str | None = None
    """nodes or hexplane, instead of the configured one."""

    def run(self) -> dict[str, Any]:
        from uni4d_shared.splats import write_ply_sequence

        stages, views, glb = Stages(self.settings()), files.read_views(self.views), self.mesh_bytes()
        alignment = read_file(self.alignment, AlignResult).alignment
        clips = [files.read_clip(path) for path in self.clip]
        _make_folder(self.out)
        with self.progress("fit") as progress:
            result = stages.fit(
                *(self.uid, views, alignment, clips, section(progress, 0.0, 0.95)),
                glb=glb,
                settings=_given(seed=self.seed, iterations=self.iterations, deformation=self.deformation),
                checkpoint=self.out / "unfinished",
            )
            write_file(self.out / "result.u4d", result)
            write_ply_sequence(self.out / "splats", result.result, section(progress, 0.95, 1.0))
        return {"out": str(self.out), "metrics": result.metrics, "notes": list(result.notes)}

    def show(self, result: dict[str, Any]) -> None:
        for name, value in result["metrics"].items():
            stdout.print(f"{name:26} {value:.4g}")
        for note in result["notes"]:
            stdout.print(note)
        stdout.print(f"→ {result['out']}")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Uni4DError("out-unwritable", f"{path}: {error}.", "Name another folder with --out.") from error


def _played(program: Path | None) -> dict[str, Any]:
    """The setting that plays the motion program of a file."""
    if program is None:
        return {}
    from uni4d.video.program import read_program

    return {"program": read_program(program).to_dict()}


def _given(**options: int | str | None) -> dict[str, Any]:
    """The options that were given; the others are for the configuration to say."""
    return {name: value for name, value in options.items() if value is not None}
