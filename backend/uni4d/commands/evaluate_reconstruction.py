"""``uni4d evaluate reconstruction``: how well moving objects are reconstructed, where the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import attrs
from attrs import define
from rich.table import Table

from uni4d.commands.common import Command
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

__all__ = ["EvaluateReconstruction"]


@define(kw_only=True)
class EvaluateReconstruction(Command):
    """Reconstruct animated furniture whose motion is known exactly, from four cameras and from one.

    Blender films the scenes (once: they stay in the cache); the fit and its baselines see the clips, and are
    measured from cameras and at times that no clip shows. Writes reconstruction.md, reconstruction.json,
    plots and pictures, and goes on where it stopped. What is configured in [fit] is what is measured.
    """

    out: Path
    """Folder for the report and the runs."""
    split: Literal["development", "test"] = "test"
    """Scenes to tune on, or those that nobody has tuned on."""
    scenes: tuple[str, ...] = ()
    """Some of the split's scenes (all by default), e.g. bear-dances lantern-glows."""
    arms: tuple[str, ...] = ()
    """Some of: oracle four-cameras hexplane-four per-frame-four one-camera hexplane-one per-frame-one (all by
    default)."""
    light: Literal["shadeless", "sun", "both"] = "shadeless"
    """shadeless: the look moves with the surface; sun: shading and shadows change as things turn."""
    seeds: int = 1
    film: bool = False
    """Only have Blender film what is missing for the arms; nothing is fitted."""
    blender: Path | None = None
    """A Blender; by default the one on the PATH. None is needed for scenes that have been filmed."""
    bpy_python: Path | None = None
    """Or a Python interpreter that has the bpy module."""
    blender_deps: Path | None = None
    """Folder with pyzmq, msgpack, attrs and cattrs for Blender's Python, where it lacks them."""

    def run(self) -> dict[str, Any]:
        from uni4d.evaluation.reconstruction import (
            LIGHTS,
            ReconstructionSettings,
            compare_reconstructions,
        )
        from uni4d.evaluation.reconstruction_arms import cameras_of
        from uni4d.evaluation.reconstruction_report import write_reconstruction_report
        from uni4d.evaluation.reconstruction_scenes import Scene, scenes_of
        from uni4d.evaluation.reconstruction_truth import Truth, film
        from uni4d.library.opened import open_library
        from uni4d.pipeline.blender import find_blender

        config, scenes = self.settings(), scenes_of(self.split, self.scenes)
        lights = LIGHTS if self.light == "both" else (self.light,)
        try:
            settings = ReconstructionSettings(lights=lights, seeds=self.seeds)
        except ValueError as error:
            raise Uni4DError("bad-setting", f"{error}.") from error
        settings = attrs.evolve(settings, arms=self.arms) if self.arms else settings
        library = open_library(config.library)

        def truth_of(scene: Scene, light: str, progress: Progress) -> Truth:
            def blender() -> Any:
                return find_blender(self.blender, self.bpy_python, self.blender_deps)

            glb = Path(library.get(scene.uid).path)
            return film(scene, glb, light, blender, progress, clips=cameras_of(settings.arms))

        with self.progress("reconstruction") as progress:
            if self.film:
                work = [(scene, light) for light in lights for scene in scenes]
                for number, (scene, light) in enumerate(work):
                    truth_of(scene, light, section(progress, number / len(work), (number + 1) / len(work)))
                return {"filmed": [scene.name for scene in scenes], "lights": list(lights)}
            runs = compare_reconstructions(
                scenes, truth_of, config.fit, settings, self.out / "runs", progress
            )
        told = write_reconstruction_report(self.out, runs, scenes, settings)
        return {**told, "report": str(self.out / "reconstruction.md")}

    def show(self, result: dict[str, Any]) -> None:
        if "filmed" in result:
            stdout.print(f"filmed: {', '.join(result['filmed'])} ({', '.join(result['lights'])})")
            return
        for light in result["settings"]["lights"]:
            table = Table(title=light, box=None, title_justify="left")
            columns = ("setting", "foreground dB", "whole dB", "SSIM", "trajectory %", "seconds")
            for column in columns:
                table.add_column(column, justify="left" if column == "setting" else "right")
            for row in result["means"]:
                if row["light"] == light:
                    shown = (row["psnr_foreground"], row["psnr"], row["ssim"], row["trajectory"])
                    table.add_row(row["arm"], *(f"{value:.3f}" for value in shown), f"{row['seconds']:.0f}")
            stdout.print(table)
        stdout.print(result["report"])
