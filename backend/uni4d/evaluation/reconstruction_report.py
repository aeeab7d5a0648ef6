"""Reconstruction as a page: tables of what is measured, a plot, and pictures beside the truth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from PIL import Image, ImageDraw

from uni4d.evaluation.reconstruction import ReconstructionRun, ReconstructionSettings
from uni4d.evaluation.reconstruction_scenes import Scene

__all__ = ["TARGETS", "TITLES", "write_reconstruction_report"]

TITLES = {
    "oracle": "true motion",
    "oracle-four": "true motion, four cameras",
    "four-cameras": "four cameras",
    "hexplane-four": "four cameras, HexPlane",
    "per-frame-four": "four cameras, each frame alone",
    "one-camera": "one camera",
    "hexplane-one": "one camera, HexPlane",
    "per-frame-one": "one camera, each frame alone",
}
TARGETS = {"oracle": 40.0, "oracle-four": 40.0, "four-cameras": 36.0, "one-camera": 26.0}
"""Foreground PSNR in dB that is aimed at, shadeless."""

_COLORS = ("#525252", "#969696", "#2171b5", "#9ecae1", "#deebf7", "#cb181d", "#fc9272", "#fee0d2")
_COLUMNS = (
    ("psnr_foreground", "foreground dB", "{:.2f}"),
    ("psnr_between", "between frames", "{:.2f}"),
    ("psnr", "whole dB", "{:.2f}"),
    ("ssim", "SSIM", "{:.4f}"),
    ("trajectory", "trajectory %", "{:.2f}"),
    ("splats", "splats", "{:.0f}"),
    ("megabytes", "MB", "{:.1f}"),
    ("iterations", "steps", "{:.0f}"),
    ("seconds", "seconds", "{:.0f}"),
)
_TILE, _LINE = 200, 16


def write_reconstruction_report(
    folder: Path,
    runs: Sequence[ReconstructionRun],
    scenes: Sequence[Scene],
    settings: ReconstructionSettings,
) -> dict[str, Any]:
    """Write ``reconstruction.md``, ``reconstruction.json``, a plot and a sheet of pictures per light;
    ``folder`` also holds the runs. Returns what the JSON holds."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "settings": attrs.asdict(settings),
        "scenes": [{**attrs.asdict(scene), "motion": scene.motion.words} for scene in scenes],
        "means": [
            {"light": light, "arm": arm, **_mean([r for r in runs if (r.light, r.arm) == (light, arm)])}
            for light in settings.lights
            for arm in settings.arms
        ],
        "runs": [attrs.asdict(run) for run in runs],
    }
    (folder / "reconstruction.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    page = "\n".join(_page(runs, scenes, settings)) + "\n"
    (folder / "reconstruction.md").write_text(page, encoding="utf-8")
    for light in settings.lights:
        _draw(folder / f"psnr-{light}.png", runs, scenes, settings, light)
        _sheet(folder / f"pictures-{light}.png", folder / "runs", scenes, settings, light)
    return told


def _mean(runs: Sequence[ReconstructionRun]) -> dict[str, float]:
    return {name: float(np.mean([getattr(run, name) for run in runs])) for name, _, _ in _COLUMNS}


def _page(
    runs: Sequence[ReconstructionRun], scenes: Sequence[Scene], settings: ReconstructionSettings
) -> Iterable[str]:
    yield from ("# Reconstruction, measured", "")
    yield (
        f"Objects with known motion: {len(scenes)}; seeds: {settings.seeds}. They are seen by held-out "
        "cameras at the times of frames and between them. *Trajectory* is the mean distance of the vertices "
        "from where they truly are, in percent of the bounding box's diagonal. Baselines spend as many "
        "rendering steps as the fit of one clip."
    )
    yield from ("", "| scene | kind | what happens |", "|---|---|---|")
    for scene in scenes:
        yield f"| {scene.name} | {scene.kind} | {scene.motion.words} |"
    for light in settings.lights:
        own = [run for run in runs if run.light == light]
        yield from ("", f"## {light.capitalize()}", "")
        yield from _table(own, settings.arms)
        yield from _ahead(own, scenes, settings.arms)
        yield from ("", f"![foreground PSNR](psnr-{light}.png)", "", "### Scene by scene", "")
        yield from _by_scene(own, scenes, settings.arms, "psnr_foreground", "{:.2f}", "Foreground PSNR, dB")
        yield ""
        yield from _by_scene(own, scenes, settings.arms, "trajectory", "{:.2f}", "Trajectory error, %")
        yield from ("", f"![pictures](pictures-{light}.png)")


def _table(runs: Sequence[ReconstructionRun], arms: Sequence[str]) -> Iterable[str]:
    """A row per arm: means over scenes and seeds."""
    yield f"| | {' | '.join(title for _, title, _ in _COLUMNS)} | target dB |"
    yield "|---|" + "--:|" * (len(_COLUMNS) + 1)
    for arm in arms:
        figures = _mean([run for run in runs if run.arm == arm])
        cells = [form.format(figures[name]) for name, _, form in _COLUMNS]
        target = f"{TARGETS[arm]:.0f}" if arm in TARGETS else ""
        yield f"| {TITLES[arm]} | {' | '.join(cells)} | {target} |"


def _ahead(runs: Sequence[ReconstructionRun], scenes: Sequence[Scene], arms: Sequence[str]) -> Iterable[str]:
    """On how many scenes the fit is ahead of HexPlane."""
    for fit, other in (("four-cameras", "hexplane-four"), ("one-camera", "hexplane-one")):
        if fit not in arms or other not in arms:
            continue
        ahead = [
            scene.name
            for scene in scenes
            if np.mean(_values(runs, scene, fit, "psnr_foreground"))
            > np.mean(_values(runs, scene, other, "psnr_foreground"))
        ]
        yield from ("", f"{TITLES[fit].capitalize()}: ahead of HexPlane on {len(ahead)} of {len(scenes)}.")


def _values(runs: Sequence[ReconstructionRun], scene: Scene, arm: str, name: str) -> list[float]:
    return [getattr(run, name) for run in runs if (run.scene, run.arm) == (scene.name, arm)]


def _cell(values: Sequence[float], form: str) -> str:
    """Their mean, and with several seeds their standard deviation."""
    mean = form.format(np.mean(values))
    return mean if len(values) < 2 else f"{mean} ± {form.format(np.std(values, ddof=1))}"


def _by_scene(
    runs: Sequence[ReconstructionRun],
    scenes: Sequence[Scene],
    arms: Sequence[str],
    name: str,
    form: str,
    title: str,
) -> Iterable[str]:
    yield f"| {title} | {' | '.join(TITLES[arm] for arm in arms)} |"
    yield "|---|" + "--:|" * len(arms)
    for scene in scenes:
        cells = [_cell(_values(runs, scene, arm, name), form) for arm in arms]
        yield f"| {scene.name} | {' | '.join(cells)} |"


def _draw(
    path: Path,
    runs: Sequence[ReconstructionRun],
    scenes: Sequence[Scene],
    settings: ReconstructionSettings,
    light: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 1.3 * len(scenes), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    width = 0.8 / len(settings.arms)
    for number, arm in enumerate(settings.arms):
        heights = [
            np.mean(
                [r.psnr_foreground for r in runs if (r.scene, r.light, r.arm) == (scene.name, light, arm)]
            )
            for scene in scenes
        ]
        places = np.arange(len(scenes)) + (number - 0.5 * (len(settings.arms) - 1)) * width
        color = _COLORS[list(TITLES).index(arm)]
        axes.bar(places, heights, width, color=color, edgecolor="white", linewidth=0.4, label=TITLES[arm])
    axes.set_xticks(range(len(scenes)), [scene.name for scene in scenes], fontsize=8, rotation=20, ha="right")
    axes.set_ylabel("foreground PSNR, dB", fontsize=8)
    axes.set_ylim(bottom=10.0)
    axes.grid(visible=True, axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=7, ncols=2)
    figure.savefig(path, dpi=110, facecolor="white")


def _sheet(
    path: Path, folder: Path, scenes: Sequence[Scene], settings: ReconstructionSettings, light: str
) -> None:
    """A row per scene: the truth at a held-out camera between two frames, and each arm's picture of it."""
    columns = ["truth", *settings.arms]
    size = (_TILE * len(columns), _LINE + (_TILE + _LINE) * len(scenes))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, arm in enumerate(columns):
        draw.text((_TILE * column + 4, 2), TITLES.get(arm, arm), fill="black")
    for row, scene in enumerate(scenes):
        top = _LINE + row * (_TILE + _LINE)
        draw.text((4, top + _TILE), scene.name, fill="#555555")
        for column, arm in enumerate(columns):
            place = folder / f"{scene.name}-{light}-{settings.arms[0] if column == 0 else arm}-0"
            with Image.open(place / ("truth.png" if column == 0 else "render.png")) as picture:
                sheet.paste(picture.resize((_TILE, _TILE)), (_TILE * column, top))
    sheet.save(path)
