"""How well splats of the static stage look from cameras that they were not refined on.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/static_splats.py "teddy bear" "desk lamp" \
        [--splats 10000 30000] [--iterations 150 600] [--size 400] [--blender-deps FOLDER]

Takes each mesh from the built library by its words (or a GLB by its path), has Blender photograph it from two
rigs, refines on the one and prints for the other the foreground PSNR in dB (mean over views, the silhouette
dilated by two pixels, on white; in brackets for each elevation), before and after, and the CPU seconds. The
photographs stay in ``--out`` and are taken again only when they are not there. They are taken ``--finer``
times as large and averaged: Workbench smooths edges with eight samples, and that alone caps what can be
reached.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.config import RenderConfig
from uni4d.files import read_views
from uni4d.library.formats.reading import load_mesh
from uni4d.pipeline.blender import find_blender, render_arguments, run_headless
from uni4d.splatting import BoundSplats, render, splats_from_mesh
from uni4d.splatting.image_losses import dilated, psnr
from uni4d.splatting.static import refine_on_views
from uni4d_shared.cameras import scaled
from uni4d_shared.progress import silent
from uni4d_shared.types import ViewSet

_TRAINING = (12, (15.0, 45.0))
_HELD_OUT = (5, (5.0, 30.0, 60.0))
"""Azimuths per ring, and the rings' elevations in degrees."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of the static stage")
    parser.add_argument("meshes", nargs="+", help="words, or paths of GLB files")
    parser.add_argument("--splats", type=int, nargs="+", default=[10_000])
    parser.add_argument("--iterations", type=int, nargs="+", default=[150])
    parser.add_argument("--size", type=int, default=400)
    parser.add_argument("--finer", type=int, default=2)
    parser.add_argument("--engine", default="workbench", help="workbench is without shading")
    parser.add_argument("--low-pass", type=float, default=0.1)
    parser.add_argument("--plain", action="store_true", help="without antialiasing")
    parser.add_argument("--blender-deps", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/static_splats"))
    options = parser.parse_args()
    write = sys.stdout.write
    write(f"{'mesh':20} {'splats':>7} {'steps':>6} {'start':>6} {'held out':>8} {'seconds':>14}\n")
    for words in options.meshes:
        glb = Path(words) if words.endswith(".glb") else _found(words)
        mesh = load_mesh(glb)
        seen, held_out = (_photographs(glb, rig, options) for rig in (_TRAINING, _HELD_OUT))
        for count in options.splats:
            started = time.process_time()
            start = splats_from_mesh(mesh, count)
            placing = time.process_time() - started
            before = _quality(start, held_out, options)
            for iterations in options.iterations:
                started = time.process_time()
                drawn = {"low_pass": options.low_pass, "antialiased": not options.plain}
                refined = refine_on_views(start, seen, iterations, **drawn)
                seconds = time.process_time() - started
                after = _quality(refined, held_out, options)
                rings = after.reshape(len(_HELD_OUT[1]), -1).mean(axis=1)
                write(
                    f"{glb.stem[:20] if words.endswith('.glb') else words:20} {count:7d} {iterations:6d} "
                    f"{before.mean():6.2f} {after.mean():8.2f} {placing:5.1f} +{seconds:6.1f} s  "
                    f"({', '.join(f'{value:.1f}' for value in rings)})\n"
                )
                sys.stdout.flush()


def _found(words: str) -> Path:
    from uni4d.config import load_config
    from uni4d.pipeline.stages import Stages

    stages = Stages(load_config())
    return Path(stages.asset(stages.search(words, 1, silent).hits[0].uid).path)


def _photographs(glb: Path, rig: tuple[int, tuple[float, ...]], options: argparse.Namespace) -> ViewSet:
    size = options.finer * options.size
    name = f"{glb.stem}-{options.engine}-{size}-{rig[0]}x{len(rig[1])}"
    folder = options.out / name
    if not (folder / "transforms.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        settings = RenderConfig(size=size, azimuths=rig[0], elevations_degrees=rig[1])
        run_headless(
            find_blender(deps=options.blender_deps),
            ["render", "--glb", str(glb), "--out", str(folder), *render_arguments(settings, options.engine)],
            log_path=folder / "blender.log",
            expected=[folder / "transforms.json", folder / "depth.npz"],
            report=lambda *_: None,
        )
    return _averaged(read_views(folder), options.finer)


def _averaged(views: ViewSet, factor: int) -> ViewSet:
    """Each square of pixels as one; colours count by their alpha, and a depth is known if all are."""
    count, height, width = views.images.shape[0], *(side // factor for side in views.images.shape[1:3])
    rgba = views.images.astype(np.float64) / 255.0
    rgba[..., :3] *= rgba[..., 3:]
    rgba = rgba.reshape(count, height, factor, width, factor, 4).mean(axis=(2, 4))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
    return ViewSet(
        np.rint(255.0 * rgba.clip(0.0, 1.0)).astype(np.uint8),
        views.depth.reshape(count, height, factor, width, factor).mean(axis=(2, 4)).astype(np.float32),
        tuple(scaled(camera, width) for camera in views.cameras),
    )


@torch.no_grad()
def _quality(bound: BoundSplats, views: ViewSet, options: argparse.Namespace) -> NDArray[np.float64]:
    """``[V]`` dB."""
    values = []
    for image, camera in zip(views.images, views.cameras, strict=True):
        rgba = torch.from_numpy(image.astype(np.float32) / 255.0)
        target = rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]
        shown = render(
            *(bound.splats, camera), low_pass=options.low_pass, antialiased=not options.plain
        ).image
        foreground = dilated(((target - 1.0).abs() > 8 / 255).any(dim=-1), 2)
        values.append(psnr(shown, target, foreground))
    return np.array(values)


if __name__ == "__main__":
    main()
