"""How well is a moving object reconstructed? Scenes whose motion is known exactly, seen where no fit has
looked: from held-out cameras, at times between frames too.

**Pictures.** PSNR over the whole picture and over the foreground (the truth's silhouette, grown by two
pixels, so that a silhouette in the wrong place costs on both sides), and SSIM; means over held-out pictures.

**Trajectories.** How far the vertices are from where they truly are, the mean over vertices and times, in
percent of the diagonal of the bounding box at rest.

A finished run stays on disk and is made again only when the scene, the settings or the code of the fit have
changed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from PIL import Image

from uni4d.config import FitConfig
from uni4d.evaluation.reconstruction_arms import ARMS, Moving, make_arm
from uni4d.evaluation.reconstruction_scenes import Scene
from uni4d.evaluation.reconstruction_truth import HeldOut, Truth
from uni4d.splatting.image_losses import dilated, dissimilarity, psnr
from uni4d.splatting.rasterise import rasterise
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Splats

__all__ = [
    "LIGHTS",
    "ReconstructionRun",
    "ReconstructionSettings",
    "compare_reconstructions",
    "measure",
    "shown_picture",
]

Array = NDArray[Any]

LIGHTS = ("shadeless", "sun")

_DILATION = 2
_FINER = 2
"""Results are drawn that many times as wide and averaged, as the truth is."""
_CEILING = 99.0


@frozen
class ReconstructionSettings:
    """What to compare."""

    arms: tuple[str, ...] = tuple(ARMS)
    lights: tuple[str, ...] = ("shadeless",)
    seeds: int = field(default=1, validator=validators.ge(1))

    def __attrs_post_init__(self) -> None:
        for kind, given, known in (("setting", self.arms, tuple(ARMS)), ("light", self.lights, LIGHTS)):
            unknown = [name for name in given if name not in known]
            if unknown:
                raise Uni4DError(
                    "bad-setting", f"There is no {kind} “{unknown[0]}”.", f"Known: {', '.join(known)}."
                )


@frozen
class ReconstructionRun:
    """One scene by one arm, measured."""

    scene: str
    light: str
    arm: str
    seed: int
    psnr: float
    """dB, whole pictures."""
    psnr_foreground: float
    psnr_at_frames: float
    """dB, foreground, of the pictures at the times of frames …"""
    psnr_between: float
    """… and between frames."""
    ssim: float
    trajectory: float
    """Mean vertex error, percent of the diagonal."""
    splats: int
    megabytes: float
    iterations: int
    seconds: float


def compare_reconstructions(
    scenes: Sequence[Scene],
    truth_of: Callable[[Scene, str, Progress], Truth],
    config: FitConfig,
    settings: ReconstructionSettings,
    folder: Path,
    progress: Progress,
) -> list[ReconstructionRun]:
    """Make what is missing in ``folder``. ``truth_of`` films a scene in a light, unless it has been."""
    work = [(scene, light) for light in settings.lights for scene in scenes]
    runs = []
    for number, (scene, light) in enumerate(work):
        part = section(progress, number / len(work), (number + 1) / len(work))
        truth = truth_of(scene, light, section(part, 0.0, 0.2))
        pieces = list(_pieces(truth, config, settings, folder))
        for index, piece in enumerate(pieces):
            own = section(part, 0.2 + 0.8 * index / len(pieces), 0.2 + 0.8 * (index + 1) / len(pieces))
            runs.append(_made(piece, truth, own))
    return runs


def measure(moving: Moving, truth: Truth) -> dict[str, float]:
    """The figures of :class:`ReconstructionRun` that are measured on pictures and vertices."""
    rows = np.array([_likeness(moving.splats_at(held.time), held) for held in truth.held_out])
    between = np.array([held.between for held in truth.held_out])
    errors = [
        np.linalg.norm(moving.vertices_at(float(moment)) - truth.vertices_at(float(moment)), axis=1).mean()
        for moment in truth.times
    ]
    return {
        "psnr": float(rows[:, 0].mean()),
        "psnr_foreground": float(rows[:, 1].mean()),
        "psnr_at_frames": float(rows[~between, 1].mean()),
        "psnr_between": float(rows[between, 1].mean()),
        "ssim": float(rows[:, 2].mean()),
        "trajectory": 100.0 * float(np.mean(errors)) / truth.diagonal,
    }


def shown_picture(truth: Truth) -> HeldOut:
    """The held-out picture that reports show: the first one between frames of the second camera."""
    between = [held for held in truth.held_out if held.between]
    return between[len(between) // 3]


@frozen
class _Piece:
    """One run to make."""

    arm: str
    config: FitConfig
    folder: Path
    about: str
    """Everything that decides what comes out."""


def _pieces(
    truth: Truth, config: FitConfig, settings: ReconstructionSettings, folder: Path
) -> Iterator[_Piece]:
    for seed in range(settings.seeds):
        seeded = attrs.evolve(config, seed=config.seed + seed)
        for arm in settings.arms:
            key = (truth.folder / "key").read_text(encoding="utf-8")
            about = json.dumps([key, attrs.asdict(seeded), _code()], sort_keys=True)
            place = folder / f"{truth.scene.name}-{truth.light}-{arm}-{seed}"
            yield _Piece(arm, seeded, place, about)


def _made(piece: _Piece, truth: Truth, progress: Progress) -> ReconstructionRun:
    file = piece.folder / "result.json"
    if file.exists():
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.pop("about") == piece.about:
            return cattrs.structure(told, ReconstructionRun)
    name = f"{truth.scene.name}, {piece.arm}"

    def report(fraction: float, message: str) -> None:
        progress(0.95 * fraction, f"{name}: {message}")

    began = time.perf_counter()
    moving = make_arm(piece.arm, truth, piece.config, report)
    seconds = time.perf_counter() - began
    report(1.0, "measuring")
    figures = measure(moving, truth)
    run = ReconstructionRun(
        scene=truth.scene.name,
        light=truth.light,
        arm=piece.arm,
        seed=piece.config.seed,
        splats=len(moving.splats_at(0.0).means),
        megabytes=moving.megabytes,
        iterations=moving.iterations,
        seconds=seconds,
        **figures,
    )
    piece.folder.mkdir(parents=True, exist_ok=True)
    held = shown_picture(truth)
    _save(piece.folder / "truth.png", held.image)
    _save(piece.folder / "render.png", _drawn(moving.splats_at(held.time), held).numpy())
    file.write_text(json.dumps({"about": piece.about, **attrs.asdict(run)}), encoding="utf-8")
    return run


@torch.inference_mode()
def _likeness(splats: Splats, held: HeldOut) -> tuple[float, float, float]:
    """PSNR, foreground PSNR, SSIM."""
    image, target = _drawn(splats, held), torch.from_numpy(held.image)
    mask = dilated(torch.from_numpy(held.foreground), _DILATION)
    return (
        min(psnr(image, target), _CEILING),
        min(psnr(image, target, mask), _CEILING),
        1.0 - 2.0 * float(dissimilarity(image, target)),
    )


@torch.inference_mode()
def _drawn(splats: Splats, held: HeldOut) -> torch.Tensor:
    rendered = rasterise(
        torch.from_numpy(splats.means),
        torch.from_numpy(splats.quaternions),
        torch.from_numpy(splats.scales),
        torch.from_numpy(splats.opacities),
        torch.from_numpy(splats.colors),
        held.camera,
        (1.0, 1.0, 1.0),
        finer=_FINER,
    )
    return rendered.image.clamp(0.0, 1.0)


def _save(path: Path, image: Array) -> None:
    Image.fromarray(np.rint(255.0 * image).astype(np.uint8)).save(path)


@cache
def _code() -> str:
    """A hash of what the figures depend on."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for name in ("fourd", "splatting"):
        for path in sorted((package / name).rglob("*")):
            if path.suffix in (".py", ".c", ".h"):
                digest.update(path.read_bytes())
    digest.update((Path(__file__).parent / "reconstruction_arms.py").read_bytes())
    return digest.hexdigest()
