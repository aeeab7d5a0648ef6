"""``uni4d train clips`` on a library of boxes: what it leaves can train an adapter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness.sample_meshes import CUBE, write_cube

from uni4d import cli, files
from uni4d.config import LibraryConfig
from uni4d.library.build import build_library
from uni4d.library.formats.reading import load_mesh
from uni4d.library.photographs import photograph, photographs_from
from uni4d.training.adapter_clips import find_clips
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.progress import silent

NAMES = ("teddy_bear", "grand_piano", "desk_lamp", "wheelchair", "wooden_chair", "toy_car", "big_box", "cat")
SETTINGS = """
[library]
source = "folder"
path = "{path}"
root = "{root}"
[render]
size = 48
azimuths = 2
[animate]
splats = 400
refine_iterations = 2
[video.wan]
frames = 9
fps = 8.0
width = 96
height = 64
"""


@pytest.fixture(scope="module")
def meshes(tmp_path_factory: pytest.TempPathFactory) -> LibraryConfig:
    """A folder of meshes of which no library has been built yet."""
    folder = tmp_path_factory.mktemp("meshes")
    for number, name in enumerate(NAMES, start=1):
        write_cube(folder, name)
        (folder / f"{name}.obj").write_text(CUBE.replace("v 1 ", f"v {number} "))
    return LibraryConfig(source="folder", path=folder, root=tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def library(meshes: LibraryConfig) -> LibraryConfig:
    build_library(meshes, silent)
    return meshes


def make(
    library: LibraryConfig, folder: Path, count: int, capsys: pytest.CaptureFixture[str], *options: str
) -> list[str]:
    config = folder.parent / "settings.toml"
    config.write_text(SETTINGS.format(path=library.path, root=library.root))
    line = ["train", "clips", "--out", str(folder), "--count", str(count), "--config", str(config), "--json"]
    assert cli.main([*line, *options]) == 0
    made: list[str] = json.loads(capsys.readouterr().out)["clips"]
    return made


@pytest.mark.slow
def test_clips_are_made_for_a_model_and_made_once(
    library: LibraryConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    first = make(library, folder, 2, capsys, "--for-model", "wan")
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    more = make(library, folder, 3, capsys, "--for-model", "wan")
    assert more[:2] == first
    assert {name: (folder / name).stat().st_mtime_ns for name in times} == times, "nothing is made again"

    clips = find_clips(folder)
    assert [clip.path.name for clip in clips] == more
    train = build_library(library, silent).features().split("train")
    shown = {name.split("-", 1)[1].rsplit("-", 1)[0] for name in more}
    assert shown <= set(train.uids)
    for clip in clips:
        assert clip.prompt.startswith("a ") and " is " in clip.prompt
        assert clip.tokens.shape[1] == 384 and len(clip.tokens) >= 3
        film = files.read_clip(clip.path)
        assert film.frames.shape == (9, 64, 64, 3) and film.fps == 8.0
        assert (film.frames[0] != film.frames[4]).any(), f"{clip.prompt}: nothing moves"


def test_photographs_without_blender_have_depth_and_cameras(meshes: LibraryConfig) -> None:
    mesh = load_mesh(Path(meshes.path or "") / "cat.obj")
    centre, radius = bounding_sphere(mesh.vertices)
    cameras = orbit_rig(centre, radius, azimuths=3, elevations=[0.3], size=64)
    views = photographs_from(mesh, cameras)
    assert views.images.shape == (3, 64, 64, 4)
    for image, depth, camera in zip(views.images, views.depth, views.cameras, strict=True):
        distance = np.linalg.norm(np.linalg.inv(camera.world_to_camera)[:3, 3] - centre)
        assert distance - radius < depth[32, 32] < distance, "the near side of the middle"
        assert image[32, 32, 3] == 255 and image[0, 0, 3] == 0
        assert np.isinf(depth[0, 0])
    assert photograph(mesh, 2).shape == (2, 224, 224, 4)
