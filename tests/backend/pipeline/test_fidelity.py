"""Pictures that Blender made of the splats, beside our own of the same moments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from harness import toy_asset
from PIL import Image

from uni4d.exports.turntable import picture, turntable_cameras
from uni4d.pipeline.fidelity import psnr_in_blender
from uni4d.pipeline.results import StageResults
from uni4d_shared.cameras import write_transforms
from uni4d_shared.messages import AnimateResult, FitResult
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import Clip

RESULT = toy_asset.result()
CAMERA = turntable_cameras(RESULT, 96)[0]


def results(folder: Path, own_camera: bool) -> StageResults:
    """Of a run whose clip has a camera of its own, or that of the first photograph."""
    (folder / "views").mkdir(exist_ok=True)
    other = evolve(CAMERA, intrinsics=CAMERA.intrinsics * [[0.5], [0.5], [1.0]])
    write_transforms(folder / "views" / "transforms.json", [other if own_camera else CAMERA], ["view.png"])
    clip = Clip(np.zeros((7, 96, 96, 3), np.uint8), camera=CAMERA if own_camera else None)
    nothing: Any = None
    return StageResults(nothing, nothing, AnimateResult(clip, {}), FitResult(RESULT, {}))


@pytest.mark.parametrize("own_camera", [True, False])
def test_equal_pictures_are_equal_and_paler_ones_are_as_far_as_they_are(
    tmp_path: Path, own_camera: bool
) -> None:
    folder = tmp_path / "renders4d"
    folder.mkdir()
    run = results(tmp_path, own_camera)
    for added, wanted in ((0, 99.0), (8, 20.0 * np.log10(255.0 / 8.0))):
        for frame in (1, 4):
            own = picture(splats_at(RESULT, frame - 1), CAMERA).astype(int)
            shown = np.concatenate([own - added, np.full((96, 96, 1), 255)], axis=2).clip(0, 255)
            Image.fromarray(shown.astype(np.uint8)).save(folder / f"splats_{frame:04d}.png")
        assert psnr_in_blender(tmp_path, run) == pytest.approx(wanted, abs=0.3)


def test_pictures_without_a_background_are_seen_on_white(tmp_path: Path) -> None:
    (tmp_path / "renders4d").mkdir()
    rgba = np.zeros((96, 96, 4), np.uint8)
    Image.fromarray(rgba).save(tmp_path / "renders4d" / "splats_0001.png")
    clear = psnr_in_blender(tmp_path, results(tmp_path, True))
    rgba[:] = 255
    Image.fromarray(rgba).save(tmp_path / "renders4d" / "splats_0001.png")
    assert psnr_in_blender(tmp_path, results(tmp_path, True)) == clear
