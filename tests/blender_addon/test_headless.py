"""``headless.py`` in real Blenders: photographs, the whole chain's files, skipping, clear errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from harness import toy_asset
from harness.blenders import BLENDERS, RealBlender
from harness.toy_backend import ToyBackend
from PIL import Image

from uni4d_shared.cameras import project, read_transforms
from uni4d_shared.codec import read_file
from uni4d_shared.messages import AnimateRequest, FitResult, SearchResult

HEADLESS = Path(__file__).parents[2] / "blender_addon" / "headless.py"
Run = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def run(real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path) -> Run:
    """``run(*arguments, fails=False)``: the events that ``headless.py`` reports."""

    def start(*arguments: str, fails: bool = False) -> list[dict[str, Any]]:
        line = [*arguments, "--deps", str(blender_deps(real_blender))]
        try:
            output = real_blender.run(HEADLESS, line, folder=tmp_path / "settings", timeout=120)
        except AssertionError as error:  # the harness says so when the exit code is not 0
            assert fails, str(error)
            output = str(error)
        else:
            assert not fails, "it should have failed"
        lines = [line.removeprefix("UNI4D ") for line in output.splitlines() if line.startswith("UNI4D ")]
        return [json.loads(line) for line in lines]

    return start


@pytest.fixture
def glb(tmp_path: Path) -> Path:
    path = tmp_path / "toy.glb"
    path.write_bytes(toy_asset.glb())
    return path


def error_of(events: list[dict[str, Any]]) -> dict[str, str]:
    error: dict[str, str] = events[-1]["error"]
    return error


def read_image(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_photographs_agree_with_the_cameras(run: Run, glb: Path, tmp_path: Path) -> None:
    """Silhouette and depth of a convex object, against its exactly projected vertices."""
    events = run("render", "--glb", str(glb), "--out", str(tmp_path), "--azimuths", "2", "--samples", "16")
    assert events[-1]["fraction"] == 1.0
    cameras, names = read_transforms(tmp_path / "transforms.json")
    depths = np.load(tmp_path / "depth.npz")["depth"]
    assert len(names) == len(cameras) == len(depths) == 4
    vertices = toy_asset.result().mesh.vertices
    for camera, name, depth in zip(cameras, names, depths, strict=True):
        image = read_image(tmp_path / name)
        mask = image[..., 3] > 127
        places, distances = project(camera, vertices)
        rows, columns = np.nonzero(mask)
        for found, exact in ((columns, places[:, 0]), (rows, places[:, 1])):
            assert abs(found.min() - exact.min()) <= 1.0
            assert abs(found.max() + 1 - exact.max()) <= 1.0
        assert np.mean(mask != np.isfinite(depth)) < 2e-3
        assert depth[np.isfinite(depth)].min() == pytest.approx(distances.min(), abs=2e-3)
        hull = trimesh.convex.convex_hull(vertices)
        rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], axis=1)
        local = (rays @ np.linalg.inv(camera.intrinsics).T) * depth[rows, columns, None]
        inside = np.isfinite(local).all(axis=1)
        world = (local[inside] - camera.world_to_camera[:3, 3]) @ camera.world_to_camera[:3, :3]
        _, away, _ = trimesh.proximity.closest_point_naive(hull, world[::97])
        assert away.max() < 1e-4  # every measured depth is on the surface
        colors = image[mask][:, :3].mean(axis=0)
        assert colors[0] > 60 and colors[2] > 60 and colors[1] < 100  # its texture: red and blue


def test_the_chain_leaves_its_files_and_skips_what_is_done(run: Run, tmp_path: Path) -> None:
    with ToyBackend(toy_asset.answer) as backend:
        arguments = [
            *("generate", "--prompt", "a toy box is dancing", "--out", str(tmp_path / "out")),
            *("--endpoint", backend.endpoint, "--control", backend.control_endpoint),
            *("--size", "96", "--azimuths", "2", "--samples", "8"),
        ]
        events = run(*arguments)
        first = len(backend.requests)
        again = run(*arguments)
    out = tmp_path / "out"
    stages = [event["stage"] for event in events]
    assert list(dict.fromkeys(stages)) == [
        *("connect", "search", "fetch", "import", "views", "alignment", "animate", "fit", "place", "files")
    ]
    assert first == 5
    assert len(backend.requests) == first, "nothing was asked twice"
    assert again[-1] == {"stage": "files", "fraction": 1.0, "message": "done"}

    assert read_file(out / "stages/search.u4d", SearchResult).hits[0].name == "Toy box"
    assert read_file(out / "stages/fit.u4d", FitResult).metrics["psnr_foreground"] == 30.0
    assert (out / "glb/toy-0.glb").read_bytes()[:4] == b"glTF"
    assert (out / "scene.blend").stat().st_size > 10_000
    notes = json.loads((out / "blender.json").read_text())
    assert {"views", "fit", "place", "files"} <= notes["seconds"].keys()

    kinds = ("mesh", "splats")
    for kind in kinds:
        frames = [read_image(path) for path in sorted((out / "renders4d").glob(f"{kind}_*.png"))]
        assert len(frames) == 6
        assert all((frame[..., 3] > 127).mean() > 0.02 for frame in frames), f"{kind}: something is seen"
        change = np.abs(frames[0].astype(int) - frames[2].astype(int)).mean()
        assert change > 1.0, f"{kind}: it moves"
    mesh, cloud = (
        read_image(out / f"renders4d/{kind}_0001.png")[..., 3] > 127 for kind in ("mesh", "splats")
    )
    assert (mesh & cloud).sum() / (mesh | cloud).sum() > 0.75, "mesh and splats are in the same place"

    exported = trimesh.load(out / "animated.glb", process=False)
    assert sum(len(part.faces) for part in exported.geometry.values()) == len(toy_asset.result().mesh.faces)
    raw = (out / "animated.glb").read_bytes()
    header = json.loads(raw[20 : 20 + int.from_bytes(raw[12:16], "little")])
    assert len(header["skins"][0]["joints"]) == 5
    assert header["animations"][0]["channels"]


def test_workbench_shows_the_splats_in_their_colours(run: Run, tmp_path: Path) -> None:
    """Red below and blue above, as the mesh is, though that engine knows no shaders."""
    with ToyBackend(toy_asset.answer) as backend:
        run(
            *("generate", "--prompt", "a toy box is dancing", "--out", str(tmp_path)),
            *("--endpoint", backend.endpoint, "--control", backend.control_endpoint),
            *("--size", "96", "--azimuths", "2", "--engine", "workbench"),
        )
    mesh, splats = (read_image(tmp_path / f"renders4d/{kind}_0002.png") for kind in ("mesh", "splats"))
    solid = (mesh[..., 3] > 250) & (splats[..., 3] > 250)
    assert solid.sum() > 500
    differences = np.abs(mesh[solid][:, :3].astype(int) - splats[solid][:, :3])
    assert np.median(differences) < 25
    notes = json.loads((tmp_path / "blender.json").read_text())
    assert (notes["engine"], notes["splat_engine"]) == ("workbench", "cycles")


@pytest.mark.long
@pytest.mark.parametrize("real_blender", BLENDERS[:1], indirect=True)
def test_a_list_of_prompts_with_a_program_of_its_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "turn.json").write_text(json.dumps({"program": {"tracks": [{"verb": "spin"}]}}))
    items: list[Any] = [
        "a toy box is dancing",
        {"prompt": "a toy box is dancing", "name": "turning", "program": "turn.json", "seed": 3},
        {"prompt": "a toy box is dancing", "name": "nothing", "uid": "no-such-toy"},
    ]
    (tmp_path / "list.json").write_text(json.dumps(items))
    with ToyBackend(toy_asset.answer) as backend:
        arguments = [
            *("generate", "--list", str(tmp_path / "list.json"), "--out", str(tmp_path / "out")),
            *("--endpoint", backend.endpoint, "--control", backend.control_endpoint),
            *("--size", "64", "--azimuths", "2", "--elevations", "20", "--engine", "workbench"),
        ]
        error = error_of(run(*arguments, fails=True))
    assert error["code"] == "no-hit" and error["message"].startswith("1 of 3 items failed")
    first, second = (request for request in backend.requests if isinstance(request, AnimateRequest))
    assert (first.settings, first.seed) == ({}, 0)
    assert (second.settings, second.seed) == ({"program": {"tracks": [{"verb": "spin"}]}}, 3)
    sizes = [
        (tmp_path / "out" / name / "scene.blend").stat().st_size
        for name in ("a-toy-box-is-dancing", "turning")
    ]
    assert max(sizes) < 1.2 * min(sizes), "the second scene holds nothing of the first"

    items[1]["seed"] = "three"
    (tmp_path / "list.json").write_text(json.dumps(items))
    error = error_of(run(*arguments, fails=True))
    assert error["code"] == "list-invalid" and "item 2: seed is 'three'" in error["message"]


def test_a_broken_mesh_is_named(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.glb"
    path.write_bytes(b"glTF but not really")
    error = error_of(run("render", "--glb", str(path), "--out", str(tmp_path), fails=True))
    assert error["code"] == "mesh-unreadable"
    assert "broken.glb" in error["message"]
    assert error["cure"]


def test_no_backend_is_said_within_seconds(
    run: Run, tmp_path: Path, free_ports: Callable[[int], list[int]]
) -> None:
    work, control = (f"tcp://127.0.0.1:{port}" for port in free_ports(2))
    where = ("--endpoint", work, "--control", control, "--out", str(tmp_path))
    error = error_of(run("generate", "--prompt", "a dog is walking", *where, fails=True))
    assert error["code"] == "no-backend"
    assert "uni4d serve" in error["cure"]
