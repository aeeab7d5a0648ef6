"""How well Blender shows the splats: its pictures beside those of the rasteriser that fitted them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from uni4d.exports.turntable import picture
from uni4d.fourd.metrics import foreground_psnr
from uni4d.pipeline.results import StageResults, frame_number
from uni4d_shared.cameras import read_transforms
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import Clip

__all__ = ["psnr_in_blender"]


def psnr_in_blender(folder: Path, results: StageResults) -> float:
    """Foreground PSNR, dB, of ``folder/renders4d/splats_*.png`` against our own pictures of the same moments,
    as :func:`~uni4d.fourd.metrics.foreground_psnr`."""
    camera = results.animate.clip.camera or read_transforms(folder / "views" / "transforms.json")[0][0]
    paths = sorted((folder / "renders4d").glob("splats_*.png"))
    shown = np.stack([_on_white(path) for path in paths])
    moments = [splats_at(results.fit.result, frame_number(path) - 1) for path in paths]
    own = np.stack([picture(splats, camera) for splats in moments])
    return foreground_psnr(torch.from_numpy(shown), Clip(own, background=(1.0, 1.0, 1.0)))


def _on_white(path: Path) -> np.ndarray:
    """``[H, W, 3]`` float32 in [0, 1]."""
    with Image.open(path) as image:
        rgba = np.asarray(image.convert("RGBA"), np.float32) / 255.0
    return rgba[..., :3] * rgba[..., 3:] + 1.0 - rgba[..., 3:]
