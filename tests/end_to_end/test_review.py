"""From a clip to another one by an edited program, and on to the fit: a real Blender and a real backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness.blenders import RealBlender, find_blender

from uni4d.pipeline.backend_process import Backend

DRIVER = Path(__file__).parent / "drive_review.py"


@pytest.mark.slow
@pytest.mark.blender
def test_the_edited_program_is_what_is_fitted(
    backend: Backend, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    blender = find_blender("debian")
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
