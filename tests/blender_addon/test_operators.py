"""The panel's operators, driven from a script in real Blenders without a window."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import toy_asset
from harness.blenders import RealBlender
from harness.toy_backend import ToyBackend

from uni4d_shared.messages import (
    AlignRequest,
    AnimateRequest,
    FitRequest,
    Message,
    ReadClipRequest,
    SearchRequest,
)

DRIVER = Path(__file__).parent / "drive_operators.py"


def test_from_search_to_the_animated_object(
    real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    with ToyBackend(toy_asset.answer) as backend:
        arguments = [str(blender_deps(real_blender)), backend.endpoint, backend.control_endpoint]
        output = real_blender.run(DRIVER, arguments, folder=tmp_path, timeout=120)
    line = next(line for line in output.splitlines() if line.startswith("DRIVEN "))
    report = json.loads(line.removeprefix("DRIVEN "))

    assert "no connection" in report["unconnected"] and "Press Connect" in report["unconnected"]
    assert "prompt is empty" in report["empty"]
    for step in ("connect", "search", "more", "choose", "import", "generate"):
        assert report[step] == "FINISHED", f"{step}: {report[step]}"
    searches = [type(request).__name__ for request in backend.requests]
    assert searches.count("SearchRequest") == 4, "Generate uses the search that was shown"
    more = backend.requests[1]
    assert isinstance(more, SearchRequest)
    assert (more.prompt, more.like) == ("a toy box is dancing", "toy-2")
    assert "Crate" in report["tooltip"] and "CC0, by Nobody" in report["tooltip"]
    assert all(getattr(request, "uid", "toy-1") == "toy-1" for request in backend.requests), "the chosen hit"
    assert report["parent"] == "ARMATURE"
    assert report["place"] == pytest.approx([2.0, 0.0, 0.0]), "the object stays where the artist put it"
    assert report["scenes"] == ["Scene"], "the photographs' own scene is gone"
    ends_unchanged, previewed, preview_end = report["range"]
    assert ends_unchanged and previewed
    assert preview_end == 1 + round(7 * 24 / 12), "eight frames at 12 per second in a scene of 24"
    assert report["splats"] == 1
    assert report["note"].startswith("Done")
    assert report["left"] == [] and not report["property_left"]
    check_review(report["review"], [one for one in backend.requests if isinstance(one, AnimateRequest)])
    check_own_video(report["review"]["video"], backend.requests)


def check_review(report: dict[str, Any], clips: list[AnimateRequest]) -> None:
    """What happened between the clip and the fit."""
    for step in ("generate", "add", "up", "again", "vary", "reset", "painted", "fit", "taken_up", "offline"):
        assert report[step] == "FINISHED", f"{step}: {report[step]}"
    assert report["waits"] and "fit it" in report["note"], "nothing is placed before the user says so"
    assert report["shown"] == [["dance", 1.0, "UP"]]
    _, first, again, varied, painted, taken_up = clips
    assert first.settings == {}, "the words say what happens"
    assert [track["verb"] for track in again.settings["program"]["tracks"]] == ["spin", "dance"]
    spin, dance = again.settings["program"]["tracks"]
    assert spin["cycles"] == pytest.approx(8 / 12 / 0.25), "0.25 s each in a clip of eight frames"
    assert spin["axis"] == [0.0, 0.0, -1.0]
    assert spin["amplitude"] == pytest.approx(report["angle"]) == pytest.approx(6.28319, abs=1e-4)
    assert (dance["cycles"], dance["part"], dance["stop"]) == (1.0, "whole", 1.0)
    assert np.array_equal(again.views.images, first.views.images), "nothing was photographed again"
    assert report["remade"] == ["spin", "jump"]
    assert "no motion" in report["empty"]
    spin, jump = varied.settings["program"]["tracks"]
    assert spin["amplitude"] == pytest.approx(6.28319, abs=1e-4), "a whole turn stays whole"
    assert 0.7 * 0.55 <= jump["amplitude"] <= 1.25 * 0.55 and jump["amplitude"] != pytest.approx(0.55)
    assert report["kept"] == ["spin", "jump"], "the clip's own program comes back"
    assert painted.settings == {"model": "wan"} and painted.seed == 7
    assert report["still"] == ["spin", "jump"], "another model's clip takes no program away"
    assert "It needs CUDA. Use another machine." in report["lacking"], "before anything is photographed"
    assert report["placed"] == 1
    assert [track["verb"] for track in taken_up.settings["program"]["tracks"]] == ["spin", "jump"]
    assert report["left"] == ["jump"], "without a backend the program can be edited"
    assert "no connection" in report["nobody"]


def check_own_video(report: dict[str, Any], requests: list[Message]) -> None:
    """A file in the clip's place, of an object that was photographed and of one that was not."""
    for step in ("use", "fit", "at_once"):
        assert report[step] == "FINISHED", f"{step}: {report[step]}"
    assert "walk.mp4: No such file" in report["missing"] and "MP4" in report["missing"]
    assert "fit it" in report["note"] and report["waits"], "nothing is placed before the user says so"
    assert report["described"] == "0.7 s, 8 frames, walk.mp4", "not what the prompt says"
    assert report["notes"] == ["walk.mp4: background #c8d2e6"]
    assert report["findings"] == ["The motion explains 97% of it."]
    assert report["placed"] == 2
    assert sum("walk.mp4" in name for name in report["armatures"]) == 2, report["armatures"]
    first, second = (one for one in requests if isinstance(one, ReadClipRequest))
    assert (first.video, first.name, first.fps, first.start) == (b"a film", "walk.mp4", 8.0, 0.5)
    aligned = [one for one in requests if isinstance(one, AlignRequest)]
    assert np.array_equal(first.views.images, aligned[-3].views.images), "nothing was photographed again"
    assert np.array_equal(second.views.images, aligned[-2].views.images)
    fitted = [one for one in requests if isinstance(one, FitRequest)]
    assert fitted[-2].clip.description == "walk.mp4" and fitted[-2].clip.camera is not None
