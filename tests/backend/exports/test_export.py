"""``uni4d export``: every format by name, into one folder, or a sentence that says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from harness import toy_asset

from uni4d import cli, files
from uni4d.exports import turntable
from uni4d.exports.export import FORMATS, ExportOptions, export
from uni4d.exports.writing import written
from uni4d_shared.cameras import project
from uni4d_shared.codec import write_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Cancelled
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.splats import read_ply, read_splat

RESULT = toy_asset.result(200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_file(tmp_path / "result.u4d", FitResult(RESULT, {"psnr_foreground": 30.0}))
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    return tmp_path


def _run(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    options = ("--result", str(folder / "result.u4d"), "--out", str(folder / "out"), "--json")
    code = cli.main(["export", *options, *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_the_command_writes_all_formats_in_one_go(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = [name for name in FORMATS if name != "usd"]
    glb = ("--glb", str(folder / "toy.glb"))
    code, told = _run(folder, capsys, "--format", *formats, *glb, "--frame", "4", "--size", "64")
    assert code == 0
    assert list(told["files"]) == formats
    for name, entry in told["files"].items():
        paths = [Path(path) for path in entry["paths"]]
        assert all(path.is_file() for path in paths), name
        assert entry["bytes"] == sum(path.stat().st_size for path in paths) > 0
    assert len(told["files"]["ply"]["paths"]) == len(told["files"]["gltf-splats-frames"]["paths"]) == 8
    shown = splats_at(RESULT, 3)
    assert np.allclose(read_splat(folder / "out" / "splats.splat").means, shown.means, atol=1e-6)
    assert np.allclose(read_ply(folder / "out" / "ply" / "frame_0004.ply").means, shown.means, atol=1e-6)
    assert not list((folder / "out").rglob(".*")), "nothing half-written is left"


def test_a_result_by_itself_is_read_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_file(tmp_path / "result.u4d", RESULT)
    code, told = _run(tmp_path, capsys, "--format", "splat")
    assert code == 0
    assert read_splat(Path(told["files"]["splat"]["paths"][0])).means.tolist() == RESULT.splats.means.tolist()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format", "glb-skin"], "glb-skin: the mesh that was fitted is needed"),
        (["--format", "splat", "--frame", "9"], "--frame 9: there are frames 1 to 8"),
        (["--format", "mp4", "--size", "65"], "--size 65: an even number"),
        (["--format", "glb-skin", "--glb", "a.glb", "--uid", "b"], "Only one of --uid and --glb"),
        (["--format", "glb-morph", "--glb", "nowhere.glb"], "nowhere.glb cannot be read"),
        (["--format", "splat", "--result", "nowhere.u4d"], "nowhere.u4d: no such file"),
    ],
)
def test_what_is_missing_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    code, told = _run(folder, capsys, *arguments)
    assert code == 1
    assert reason in told["error"]["message"]
    assert told["error"]["cure"] or "frames 1 to 8" in reason or "Only one" in reason or "--size" in reason


def test_a_file_that_is_no_result_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_file(folder / "result.u4d", RESULT.splats)
    code, told = _run(folder, capsys, "--format", "splat")
    assert code == 1
    assert "result.u4d: expected a FitResult, got a Splats" in told["error"]["message"]


def test_a_result_without_splats_is_refused(tmp_path: Path) -> None:
    fields = attrs.fields_dict(type(RESULT.splats))
    none = attrs.evolve(RESULT.splats, **{name: getattr(RESULT.splats, name)[:0] for name in fields})
    empty = attrs.evolve(RESULT, splats=none, splat_faces=np.zeros(0), splat_barycentric=np.zeros((0, 3)))
    with pytest.raises(Uni4DError, match="8 frames and 0 splats"):
        export(empty, ["gltf-splats"], tmp_path)


def test_a_cancel_leaves_whole_files_only(tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if fraction >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        export(RESULT, ["ply"], tmp_path, ExportOptions(), stop)
    assert [path.name for path in sorted((tmp_path / "ply").iterdir())] == [
        f"frame_{number:04d}.ply" for number in range(1, 5)
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_and_a_forbidden_folder_are_said_so(tmp_path: Path) -> None:
    target = tmp_path / "here" / "a.ply"
    with pytest.raises(Uni4DError, match="the disk is full") as caught, written(target) as path:
        path.write_bytes(b"the first part")
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"the rest")
    assert caught.value.code == "disk-full"
    assert list(target.parent.iterdir()) == []
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Uni4DError, match=r"splats\.splat: Not a directory") as caught:
        export(RESULT, ["splat"], tmp_path / "file" / "a.ply")
    assert caught.value.code == "cannot-write"


def test_the_turntable_circles_the_moving_splats(tmp_path: Path) -> None:
    count = turntable.write_turntable(tmp_path / "a.mp4", RESULT, size=96, background=(0.0, 1.0, 0.0))
    clip = files.read_clip(tmp_path / "a.mp4")
    cameras = turntable.turntable_cameras(RESULT, 96)
    assert len(clip.frames) == count == len(cameras) == 48  # six times eight frames: four seconds
    assert clip.fps == RESULT.fps
    for index in (0, 11, 30):
        image = clip.frames[index].astype(int)
        object_mask = image[..., 1] < 200  # the toy is red and blue before green
        rows, columns = np.nonzero(object_mask)
        places, _ = project(cameras[index], vertices_at(RESULT, index % 8))
        assert np.all((places > 0) & (places < 96)), "the whole object is in the picture"
        assert np.allclose([columns.mean(), rows.mean()], places.mean(axis=0), atol=5)
