"""From a clip to another one by an edited program or from a file, and on to the fit: a real Blender and a
real backend."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness.blenders import RealBlender, find_blender

from uni4d.files import write_clip_mp4
from uni4d.pipeline.backend_process import Backend
from uni4d_shared.types import Clip

DRIVER = Path(__file__).parent / "drive_review.py"


@pytest.mark.slow
@pytest.mark.blender
def test_the_edited_program_is_what_is_fitted(
    backend: Backend, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    blender = find_blender("debian")
    write_clip_mp4(tmp_path / "video.mp4", rising_ball())
    arguments = [str(blender_deps(blender)), backend.endpoint, backend.control_endpoint, str(tmp_path)]
    output = blender.run(DRIVER, arguments, folder=tmp_path / "settings", timeout=400)
    line = next(line for line in output.splitlines() if line.startswith("REVIEWED "))
    report = json.loads(line.removeprefix("REVIEWED "))

    assert report["models"]["kinematic"] == "" and "keys" in report["models"]["remote"]
    assert report["words"] == ["bounce"]
    slide, blink = report["played"]
    assert (slide["verb"], slide["axis"], blink["verb"]) == ("slide", [0.0, 0.0, 1.0], "blink")
    assert slide["amplitude"] == pytest.approx(0.3)
    assert report["armatures"] == 0, "nothing is fitted before the user says so"
    assert "tracks[0].stop" in report["refused"], "the backend names the field that is wrong"
    assert report["kept"], "a program that is refused leaves the clip as it was"
    assert report["note"].startswith("Done")
    assert report["meshes"] == ["ARMATURE"]

    with np.load(tmp_path / "clips.npz") as clips:
        first, second = clips["first"].astype(int), clips["second"].astype(int)
    assert first.shape == second.shape
    assert np.abs(first - second).mean() > 1.0
    # The ball of the second goes up and down without being squashed.
    widths = [np.ptp(np.nonzero((frame < 200).any(axis=(0, 2)))[0]) for frame in second]
    assert max(widths) - min(widths) <= 4

    found = r"video\.mp4: background #b[2-6]c[6-9]e[4-7] .* at 0\.\d\d of its size"
    assert re.match(found, report["video"][0])
    explained = re.search(r"explains (\d+)% of", report["findings"][-1])
    assert explained is not None and int(explained[1]) > 60
    assert "red ball: video.mp4" in report["carriers"]


def rising_ball() -> Clip:
    """A red disc before a blue sky, wider than high, that goes up by half its width."""
    y, x = np.mgrid[:120, :160]
    frames = np.empty((6, 120, 160, 3), np.uint8)
    for index, frame in enumerate(frames):
        inside = (x - 80) ** 2 + (y - 64 + 6 * index) ** 2 < 32**2
        frame[:] = np.where(inside[..., None], (200, 30, 30), (180, 200, 230))
    return Clip(frames)
