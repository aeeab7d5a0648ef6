"""``uni4d animate`` on files: the program that it prints can be edited and played again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import toy_asset

from blender_addon.view_files import write_views
from uni4d import cli
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.codec import read_file, write_file
from uni4d_shared.messages import AlignResult, AnimateResult
from uni4d_shared.types import Alignment, ViewSet

SETTINGS = "[animate]\nframes = 4\nsize = 64\nsplats = 600\nrefine_iterations = 0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A mesh, two photographs of it (not looked at here) and an alignment, as the stages before leave
    them."""
    cameras = orbit_rig([0.0, 0.0, 0.3], 0.45, azimuths=2, elevations=[0.3], size=64)
    nothing = np.full((2, 64, 64), np.inf)
    write_views(tmp_path / "views", ViewSet(np.zeros((2, 64, 64, 4), np.uint8), nothing, cameras))
    write_file(tmp_path / "alignment.u4d", AlignResult(Alignment(0.5, 0.5, 0.5, 1.5, 0.2, [0.5, 0.5])))
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    (tmp_path / "small.toml").write_text(SETTINGS)
    return tmp_path


def animate(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str, out: str = "clip.mp4"
) -> tuple[int, dict[str, Any]]:
    files = ("--glb", "toy.glb"), ("--views", "views"), ("--alignment", "alignment.u4d"), ("--out", out)
    named = [word for option, name in files for word in (option, str(folder / name))]
    line = ["animate", "--prompt", "a toy box is spinning", "--config", str(folder / "small.toml"), "--json"]
    code = cli.main([*line, *named, *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_an_edited_program_changes_the_clip(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = animate(folder, capsys)
    assert code == 0
    assert [track["verb"] for track in told["program"]["tracks"]] == ["spin"]
    printed = folder / "program.json"
    printed.write_text(json.dumps(told))  # all that was printed, as `> program.json` leaves it
    code, _ = animate(folder, capsys, "--program", str(printed), out="again.mp4")
    assert code == 0
    first, same = (read_file(folder / name, AnimateResult) for name in ("clip.u4d", "again.u4d"))
    assert np.array_equal(first.clip.frames, same.clip.frames), "unedited, it is the same clip"

    told["program"]["tracks"] = [{"verb": "jump"}, {"verb": "look", "start": 0.5}]
    told["program"]["duration"] = 0.5
    printed.write_text(json.dumps(told["program"]))
    code, edited = animate(folder, capsys, "--program", str(printed), out="edited.mp4")
    assert code == 0
    result = read_file(folder / "edited.u4d", AnimateResult)
    assert len(result.clip.frames) == 6, "half a second at twelve frames"
    assert [track["verb"] for track in edited["program"]["tracks"]] == ["jump", "look"]
    change = np.abs(result.clip.frames[3].astype(int) - first.clip.frames[0].astype(int)).mean()
    assert change > 1.0, "something else is seen"
    assert (folder / "edited.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cycles": -1}, "tracks[0].cycles is -1"),
        ({"verb": "moonwalk"}, "tracks[0].verb is 'moonwalk'"),
        ({"axis": [0, 0, 2]}, "tracks[0].axis"),
        ({"amplitude": "far"}, "tracks[0].amplitude"),
    ],
)
def test_a_broken_program_names_its_field(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], named: str
) -> None:
    program = {"tracks": [{"verb": "spin", **change}], "duration": 1.0}
    (folder / "broken.json").write_text(json.dumps(program))
    code, told = animate(folder, capsys, "--program", str(folder / "broken.json"))
    assert code == 1
    assert told["error"]["code"] == "program-invalid"
    assert named in told["error"]["message"]
    assert not (folder / "clip.mp4").exists()


def test_a_model_that_paints_plays_no_program(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "program.json").write_text(json.dumps({"tracks": [{"verb": "spin"}], "duration": 1.0}))
    code, told = animate(folder, capsys, "--program", str(folder / "program.json"), "--model", "wan")
    assert code == 1
    assert "animate.program" in told["error"]["message"] and "kinematic" in told["error"]["cure"]


def test_the_whole_chain_reads_a_program_before_anything_is_done(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.json").write_text(json.dumps({"tracks": [{"verb": "spin"}], "duration": 0}))
    out, program = str(folder / "run"), str(folder / "broken.json")
    line = ["generate", "a toy box", "--out", out, "--program", program, "--blender", "/bin/true", "--json"]
    assert cli.main(line) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "program-invalid" and "duration is 0" in error["message"]
    assert not (folder / "run").exists()
