"""Clips by Blender: the moved mesh, photographed from the key view."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from harness import toy_asset
from harness.blenders import find_blender
from uni4d_setup import blenders

from uni4d.config import BlenderConfig, Config
from uni4d.library.formats.reading import load_mesh
from uni4d.pipeline.filming import film_mesh
from uni4d.pipeline.stages import Stages
from uni4d.video.body import Body
from uni4d.video.kinematic import animate
from uni4d.video.motions import points_at
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent
from uni4d_shared.types import Alignment, Camera, Query, ViewSet

SIZE, FRAMES = 64, 3
CONFIG = attrs.evolve(Config().animate, frames=FRAMES, size=SIZE, renderer="blender")


@pytest.fixture
def views() -> ViewSet:
    """Two places to stand; the pictures are not looked at."""
    cameras = orbit_rig([0.0, 0.0, 0.3], 0.45, azimuths=2, elevations=[0.3], size=SIZE, margin=2.0)
    nothing = np.full((2, SIZE, SIZE), np.inf)
    return ViewSet(np.zeros((2, SIZE, SIZE, 4), np.uint8), nothing, cameras)


def alignment() -> Alignment:
    return Alignment(0.5, 0.5, 0.5, 1.5, 0.2, [0.3, 0.7], 1)


def outline(points: np.ndarray, camera: Camera) -> np.ndarray:
    """``[4]`` the box around points in the picture, pixels."""
    seen = (points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]) @ camera.intrinsics.T
    pixels = seen[:, :2] / seen[:, 2:]
    return np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])


@pytest.mark.slow
@pytest.mark.blender
def test_blender_shows_the_mesh_where_the_program_puts_it(tmp_path: Path, views: ViewSet) -> None:
    program = find_blender("debian").program
    settings = BlenderConfig(
        program=program, deps=blenders.dependencies(blenders.examine(program).python), engine="workbench"
    )
    glb = tmp_path / "toy.glb"
    glb.write_bytes(toy_asset.glb())
    mesh = load_mesh(glb)
    loose = [np.concatenate([rows, rows[:2]]) for rows in (mesh.vertices, mesh.normals, mesh.uv)]
    mesh = attrs.evolve(mesh, vertices=loose[0], normals=loose[1], uv=loose[2])  # no triangle uses two
    clip, played = animate(
        mesh,
        views,
        alignment(),
        Query("a toy jumps", "a toy", "jumps"),
        CONFIG,
        film_mesh=lambda *told: film_mesh(*told[:3], settings, told[3]),
    )
    assert clip.frames.shape == (FRAMES, SIZE, SIZE, 3)
    body = Body.from_mesh(mesh.vertices, mesh.faces)
    for frame in range(FRAMES):
        moved = points_at(mesh.vertices.astype(np.float64), body, played, played.duration * frame / FRAMES)
        rows, columns = np.nonzero((clip.frames[frame] < 250).any(axis=-1))
        shown = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(shown, outline(moved, clip.camera), atol=1.6)
    assert np.abs(np.diff(clip.frames.astype(int), axis=0)).max() > 100, "it moves"


def test_what_changes_colours_is_not_filmed_by_blender(tmp_path: Path, views: ViewSet) -> None:
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    mesh = load_mesh(tmp_path / "toy.glb")

    def never(*_: object) -> np.ndarray:
        raise AssertionError

    query = Query("a lamp lights up", "a lamp", "lights up")
    with pytest.raises(Uni4DError, match="lighting up changes its colours") as caught:
        animate(mesh, views, alignment(), query, CONFIG, film_mesh=never)
    assert caught.value.code == "renderer-unsuited"


def test_without_a_blender_the_error_says_so(
    tmp_path: Path, views: ViewSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stages = Stages(Config())
    with pytest.raises(Uni4DError) as caught:
        stages.animate(
            Query("a toy spins", "a toy", "spins"),
            "",
            views,
            alignment(),
            silent,
            glb=toy_asset.glb(),
            settings={"renderer": "blender", "frames": 2},
        )
    assert caught.value.code == "blender-missing"
