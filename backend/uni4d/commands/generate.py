"""``uni4d generate``: the whole chain for one prompt, with a real Blender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import tyro
from attrs import define

from uni4d.commands.common import Command
from uni4d.config import Config, ServeConfig
from uni4d.terminal import StageBars, stdout

__all__ = ["Generate"]


@define(kw_only=True)
class Generate(Command):
    """From a sentence to an animated 3D asset: search, photograph, align, animate, fit, place in Blender.

    Leaves scene.blend, animated.glb, splats/, clip.mp4, views/, sheet.png and report.json in the output
    folder. Run it again to go on where it stopped.
    """

    prompt: tyro.conf.Positional[str]
    out: Path | None = None
    """Output folder; by default out/<the prompt's words>."""
    blender: Path | None = None
    """A Blender; by default the one on the PATH. It films the clip too where [animate] renderer says so."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    blender_deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for Blender's Python, where it lacks them."""
    engine: str = "auto"
    """auto, cycles, workbench or eevee."""
    model: str | None = None
    """kinematic, cogvideox, cogvideox15, wan, ltx or remote, instead of the configured video model."""
    program: Path | None = None
    """A motion program (JSON) to play instead of what the prompt says: what uni4d animate --json printed."""
    endpoint: str | None = None
    """The work socket of a server that runs already; by default one is started for this run."""
    control_endpoint: str = ServeConfig().control_endpoint
    """The control socket of that server."""

    def run(self) -> dict[str, Any]:
        from uni4d.pipeline.backend_process import Backend
        from uni4d.pipeline.blender import find_blender
        from uni4d.pipeline.generate import generate, slug

        backend = Backend(self.endpoint, self.control_endpoint) if self.endpoint else None
        config = self.settings()
        arguments = (
            self.prompt,
            self.out or Path("out") / slug(self.prompt),
            find_blender(self.blender, self.bpy_python, self.blender_deps),
            config,
        )
        # What is wrong with these is said before anything is done.
        self._check_motion(config, on_this_machine=backend is None)
        options: dict[str, Any] = {"engine": self.engine, "backend": backend, "settings": self.config}
        options |= {"program": self.program, "model": self.model}
        if self.json:
            return generate(*arguments, _quiet, **options)
        with StageBars.shown() as bars:
            return generate(*arguments, bars.report, **options)

    def settings(self) -> Config:
        config = super().settings()
        if self.blender is None and self.bpy_python is None:
            return config
        filming = attrs.evolve(
            config.blender,
            program=self.blender,
            bpy_python=self.bpy_python,
            deps=self.blender_deps,
            engine=config.blender.engine if self.engine == "auto" else self.engine,
        )
        return attrs.evolve(config, blender=filming)

    def _check_motion(self, config: Config, on_this_machine: bool) -> None:
        """The video model's name, what it lacks if it is to run here, and the program that it shall play."""
        from uni4d.video.models import check_settings, video_model
        from uni4d.video.program import read_program

        name = self.model or config.animate.model
        model = video_model(name, config.video)
        if self.program is not None:
            read_program(self.program)
            check_settings(name, {"program": self.program})
        if on_this_machine:
            model.check()

    def show(self, result: dict[str, Any]) -> None:
        from uni4d.alignment.three_level import said_alignment

        metrics, asset = result["fit"], result["asset"]
        stdout.print(f"asset      {asset['name']} ({asset['licence']}, {asset['author']})")
        verbs = ", ".join(track["verb"] for track in result["motion"]["tracks"])
        if verbs:
            stdout.print(f"motion     {verbs}")
        for note in result["motion"]["notes"]:
            stdout.print(f"           {note}")
        stdout.print(f"alignment  {said_alignment(result['alignment'])}")
        stdout.print(f"fit        {metrics['psnr_foreground']:.1f} dB foreground")
        stdout.print(f"time       {result['seconds']:.0f} s")
        stdout.print(f"look at    {result['folder']}/sheet.png")


def _quiet(stage: str, fraction: float, message: str) -> None:
    """With --json there are no bars."""
