"""The reconstruction benchmark: motions, what is measured, resuming, the report; and Blender's pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from harness import toy_asset
from harness.blenders import RealBlender

from uni4d.config import FitConfig
from uni4d.evaluation.reconstruction import (
    ReconstructionSettings,
    compare_reconstructions,
    measure,
)
from uni4d.evaluation.reconstruction_arms import make_arm
from uni4d.evaluation.reconstruction_motions import MOTIONS, Body, Motion
from uni4d.evaluation.reconstruction_oracle import Oracle
from uni4d.evaluation.reconstruction_report import write_reconstruction_report
from uni4d.evaluation.reconstruction_scenes import SCENES, Filming, Scene, scenes_of
from uni4d.evaluation.reconstruction_truth import HeldOut, Truth, film
from uni4d.library.formats.reading import load_mesh
from uni4d.pipeline.blender import BlenderCommand
from uni4d.splatting import render, splats_from_mesh
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent
from uni4d_shared.types import Alignment, Clip, ViewSet

ADDON = Path(__file__).parents[3] / "blender_addon"
CONFIG = FitConfig(splats=400, static_iterations=6, iterations=4, look_iterations=4)
SMALL = Filming(
    size=48, azimuths=8, elevations_degrees=(15.0, 45.0, -15.0, 75.0), frames=4, held_out_frames=(2.0, 2.5)
)
RISING = Scene("toy-rises", "toy", "fly", "rigid", "development")


@pytest.fixture(scope="module")
def glb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy") / "toy.glb"
    path.write_bytes(toy_asset.glb())
    return path


@pytest.fixture
def truth(glb: Path, tmp_path: Path) -> Truth:
    """A scene that flies, filmed by our own splats instead of Blender."""
    mesh = load_mesh(glb)
    body, times = Body(mesh), np.array([0.0, 1.0, 2.0, 3.0, 2.5])
    vertices = np.stack([RISING.motion.vertices(body, u / 4) for u in times]).astype(np.float32)
    cloud = splats_from_mesh(mesh, 3_000, seed=7)

    def picture(points: Any, camera: Any) -> Any:
        carried = cloud.carried(torch.from_numpy(points))
        splats = cloud.splats.replaced(means=carried.means, quaternions=carried.quaternions)
        return render(splats, camera)

    cameras = SMALL.photographs(mesh.vertices)
    stills = [picture(mesh.vertices, camera) for camera in cameras]
    images = np.stack([torch.cat([s.image, s.alpha[..., None]], -1).clamp(0, 1).numpy() for s in stills])
    clips = []
    for camera in SMALL.clips(mesh.vertices):
        frames = np.stack([picture(points, camera).image.clamp(0, 1).numpy() for points in vertices[:4]])
        clips.append(Clip(np.rint(255 * frames), camera=camera))
    held_out = []
    for camera in SMALL.held_out(mesh.vertices):
        for moment in (2, 4):
            shown = picture(vertices[moment], camera)
            image = shown.image.clamp(0, 1).numpy()
            held_out.append(HeldOut(camera, float(times[moment]), image, shown.alpha.numpy() > 0.03))
    (tmp_path / "key").write_text("made here")
    return Truth(
        scene=RISING,
        light="shadeless",
        folder=tmp_path,
        mesh=mesh,
        views=ViewSet(np.rint(255 * images), np.stack([s.depth.numpy() for s in stills]), cameras),
        alignment=Alignment(1.0, 1.0, 1.0, 0.0, 1.0, np.full(len(cameras), 1 / len(cameras)), 0),
        clips=tuple(clips),
        held_out=tuple(held_out),
        times=times,
        vertices=vertices,
    )


def test_the_splits_are_disjoint_and_show_every_kind() -> None:
    development, test = scenes_of("development"), scenes_of("test")
    assert len(development) >= 3 and len(test) >= 6
    assert not {scene.uid for scene in development} & {scene.uid for scene in test}
    assert not {scene.motion_name for scene in development} & {scene.motion_name for scene in test}
    for split in (development, test):
        assert {scene.kind for scene in split} == {"rigid", "articulated", "soft", "light"}
    with pytest.raises(Uni4DError, match="no test scene “bear-dances”"):
        scenes_of("test", ("bear-dances",))
    assert set(SCENES) == {scene.name for scene in (*development, *test)}


@pytest.mark.parametrize("name", ["fly", "tumble", "ride", "bend", "lantern", "ribbon", "dance", "graze"])
def test_motions_start_at_rest_and_stay_in_the_picture(name: str, glb: Path) -> None:
    body, motion = Body(load_mesh(glb)), MOTIONS[name]
    np.testing.assert_allclose(motion.vertices(body, 0.0), body.rest, atol=2e-3 * body.radius)
    moved = np.stack([motion.vertices(body, u) for u in (0.11, 0.3, 0.62, 0.85)])
    assert np.abs(moved - body.rest).max() > 0.05 * body.radius
    assert np.linalg.norm(moved - body.centre, axis=-1).max() < 1.35 * body.radius


@pytest.mark.parametrize("name", ["fly", "tumble", "ride", "ribbon"])
def test_rigid_motions_keep_all_distances(name: str, glb: Path) -> None:
    body = Body(load_mesh(glb))
    for u in (0.2, 0.7):
        moved = MOTIONS[name].vertices(body, u)
        for start in (0, 5):
            before = np.linalg.norm(body.rest - body.rest[start], axis=1)
            np.testing.assert_allclose(np.linalg.norm(moved - moved[start], axis=1), before, atol=1e-9)


def test_the_oracle_is_right_and_stillness_is_not(truth: Truth) -> None:
    config = attrs.evolve(CONFIG, splats=2_000, static_iterations=30)
    oracle = measure(make_arm("oracle", truth, config, silent), truth)
    assert oracle["trajectory"] == pytest.approx(0.0, abs=1e-6)
    unmoved = attrs.evolve(truth, vertices=np.repeat(truth.mesh.vertices[None], 5, axis=0))
    still = Oracle.of(unmoved, splats_from_mesh(truth.mesh, 2_000))
    found = measure(still, truth)
    moved = np.linalg.norm(truth.vertices - truth.mesh.vertices, axis=-1).mean()
    assert found["trajectory"] == pytest.approx(100 * moved / truth.diagonal, rel=1e-4)
    for name in ("psnr", "psnr_foreground", "psnr_between", "ssim"):
        assert oracle[name] > found[name], name
    assert oracle["psnr"] > oracle["psnr_foreground"], "white corners are easy"


def test_the_oracle_learns_from_clips(truth: Truth) -> None:
    config = attrs.evolve(CONFIG, splats=1_000, static_iterations=10, look_iterations=60)
    at_rest, learnt = (make_arm(name, truth, config, silent) for name in ("oracle", "oracle-four"))
    assert isinstance(at_rest, Oracle) and isinstance(learnt, Oracle) and learnt.iterations == 60
    before, after = (measure(arm, truth) for arm in (at_rest, learnt))
    assert after["trajectory"] == pytest.approx(0.0, abs=1e-6)
    assert after["psnr_foreground"] > before["psnr_foreground"] + 0.5


@pytest.mark.slow
def test_arms_are_compared_once_and_reported(truth: Truth, tmp_path: Path) -> None:
    settings = ReconstructionSettings(arms=("oracle", "one-camera", "hexplane-one", "per-frame-four"))
    made: list[str] = []

    def compare(config: FitConfig, settings: ReconstructionSettings) -> Any:
        def say(_: float, message: str) -> None:
            made.append(message)

        made.clear()
        return compare_reconstructions(
            [RISING], lambda *_: truth, config, settings, tmp_path / "out" / "runs", say
        )

    runs = compare(CONFIG, settings)
    assert made and [run.arm for run in runs] == list(settings.arms)
    assert compare(CONFIG, settings) == runs and not made, "what is done is not done again"
    compare(attrs.evolve(CONFIG, iterations=5), attrs.evolve(settings, arms=("oracle",)))
    assert made, "another setting is another run"

    told = write_reconstruction_report(tmp_path / "out", runs, [RISING], settings)
    assert json.dumps(told, indent=1) == (tmp_path / "out/reconstruction.json").read_text()
    page = (tmp_path / "out/reconstruction.md").read_text()
    assert page.count("| toy-rises |") == 3 and "One camera: ahead of HexPlane on" in page
    for picture in ("psnr-shadeless.png", "pictures-shadeless.png"):
        assert (tmp_path / "out" / picture).stat().st_size > 1_000


def test_unknown_arms_are_named() -> None:
    with pytest.raises(Uni4DError, match="no setting “magic”"):
        ReconstructionSettings(arms=("magic",))


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.parametrize("real_blender", ["debian"], indirect=True)
def test_blender_films_what_the_formulas_say(
    real_blender: RealBlender,
    blender_deps: Callable[[RealBlender], Path],
    glb: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A box that jumps by a known way and turns orange: silhouette and colour; then nothing is left to do."""
    way = np.array([0.1, 0.0, 0.12])
    jump = Motion("jumps", lambda body, u: body.rest + u * way, lambda body, u: np.array([u]))
    monkeypatch.setitem(MOTIONS, "jump", jump)
    scene = attrs.evolve(RISING, motion_name="jump")
    filming = Filming(size=64, frames=2, held_out_frames=(1.5,))
    command = BlenderCommand(real_blender.program, real_blender.is_module, ADDON, blender_deps(real_blender))
    found = film(scene, glb, "shadeless", lambda: command, filming=filming, root=tmp_path)
    assert found.clips[0].frames.shape == (2, 64, 64, 3) and len(found.clips) == 4
    np.testing.assert_allclose(found.vertices_at(1.5), found.mesh.vertices + 0.75 * way, atol=1e-6)
    cloud = splats_from_mesh(found.mesh, 4_000)
    for held in found.held_out:
        carried = cloud.carried(torch.from_numpy(found.vertices_at(1.5).copy()))
        moved = cloud.splats.replaced(means=carried.means, quaternions=carried.quaternions)
        covered = render(moved, held.camera).alpha.numpy() > 0.5
        assert (covered & held.foreground).sum() / (covered | held.foreground).sum() > 0.85
        red, green, blue = held.image[held.foreground].mean(axis=0)
        assert red > 0.7 and green > blue, "three quarters of the way to orange"
    key, _ = found.views.images[0], found.views.depth[0]
    assert np.isfinite(found.views.depth[0][key[..., 3] >= 250]).mean() > 0.97

    def no_blender() -> BlenderCommand:
        raise AssertionError("nothing is missing")

    film(scene, glb, "shadeless", no_blender, filming=filming, root=tmp_path)
    shutil.rmtree(tmp_path / f"{scene.name}-shadeless" / "clips" / "3")
    three = film(scene, glb, "shadeless", no_blender, clips=3, filming=filming, root=tmp_path)
    assert len(three.clips) == 3, "a clip that nobody asks for may be missing"
    with pytest.raises(AssertionError, match="nothing is missing"):
        film(scene, glb, "shadeless", no_blender, filming=filming, root=tmp_path)


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.parametrize("real_blender", ["debian"], indirect=True)
def test_the_sun_shades_what_turns_away(
    real_blender: RealBlender,
    blender_deps: Callable[[RealBlender], Path],
    glb: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A box turns its front away from the sun: the front darkens, and the light does not turn along."""

    def turned(body: Body, u: float) -> Any:
        return (body.rest - body.centre) @ np.diag([1.0 - 4 * u, 1.0 - 4 * u, 1.0]) + body.centre

    monkeypatch.setitem(MOTIONS, "about-face", Motion("turns by half", turned))
    scene = attrs.evolve(RISING, motion_name="about-face")
    command = BlenderCommand(real_blender.program, real_blender.is_module, ADDON, blender_deps(real_blender))
    filming = Filming(size=40, frames=2, held_out_frames=(0.0,))
    found = film(scene, glb, "sun", lambda: command, filming=filming, root=tmp_path)
    front, _, back, _ = (clip.frames.astype(float) for clip in found.clips)
    shown = [frames[1][(frames[1] < 250).any(axis=-1)].mean() for frames in (front, back)]
    assert shown[0] > 1.2 * shown[1], "the sun stands in front, wherever the box looks"
    at_rest = [frames[0][(frames[0] < 250).any(axis=-1)].mean() for frames in (front, back)]
    np.testing.assert_allclose(shown, at_rest, rtol=0.08, err_msg="the box is the same from both sides")
