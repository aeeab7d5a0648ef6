"""A video that nobody made for the fit: compressed, noisy, of another background, size and object."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from blender_addon.view_files import write_views
from uni4d import files
from uni4d.cli import main
from uni4d.config import Config, FitConfig
from uni4d.fourd.backdrop import on_even_ground
from uni4d.fourd.framing import camera_of
from uni4d.library.formats.gltf_writer import glb_bytes
from uni4d.pipeline import Stages
from uni4d_shared.cameras import project
from uni4d_shared.codec import write_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AlignResult, FitRequest, ReadClipRequest, ReadClipResult
from uni4d_shared.progress import Cancelled, silent
from uni4d_shared.types import Camera, Clip

SKY = np.array([0.62, 0.74, 0.86])
QUICK = "[fit]\nsplats = 1200\nnodes = 24\nstatic_iterations = 40\niterations = 60\n"


def painted(mesh: Any, vertices: np.ndarray, camera: Camera) -> np.ndarray:
    """Flat triangles from far to near over the sky: no splats, other colours, a light from above."""
    from PIL import Image, ImageDraw

    pixels, depth = project(camera, vertices)
    corners = vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    light = 0.75 + 0.25 * np.abs(normals[:, 2]) / np.linalg.norm(normals, axis=1)
    colors = mesh.vertex_colors[mesh.faces].mean(1)[:, :3] * light[:, None] * [1.0, 0.85, 0.9]
    twice = (2 * camera.width, 2 * camera.height)
    image = Image.new("RGB", twice, tuple(int(c) for c in np.round(255 * SKY)))
    draw = ImageDraw.Draw(image)
    for face in np.argsort(-depth[mesh.faces].mean(1)):
        points = [(2 * float(x), 2 * float(y)) for x, y in pixels[mesh.faces[face]]]
        draw.polygon(points, fill=tuple(int(255 * c) for c in colors[face].clip(0, 1)))
    return np.asarray(image.resize((camera.width, camera.height), Image.Resampling.BOX))


@pytest.fixture(scope="module")
def scene(studio: Callable[..., Any], walking: Callable[..., Any]) -> tuple[Any, Clip]:
    """The studio, and a wide video: stretched, smaller, off the middle, walking from mid-step."""
    stage = studio(size=64)
    key = stage.cameras[0]
    intrinsics = key.intrinsics.copy()
    intrinsics[:2] *= 0.9
    intrinsics[0, 2] += 25.0
    camera = Camera(key.world_to_camera, intrinsics, 112, 64)
    noise = np.random.default_rng(5)
    frames = []
    for frame in range(5):
        moved = walking(stage.mesh.vertices, (frame + 0.6) / 8) * np.float32([1.0, 1.06, 1.0])
        image = painted(stage.mesh, moved, camera).astype(float) + noise.normal(0.0, 2.5, (64, 112, 3))
        frames.append(image.round().clip(0, 255).astype(np.uint8))
    return stage, Clip(np.stack(frames), camera=camera)


@pytest.mark.slow
def test_a_foreign_video_is_fitted_and_told_how_well(
    scene: tuple[Any, Clip], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage, clip = scene
    write_views(tmp_path / "views", stage.views())
    write_file(tmp_path / "alignment.u4d", AlignResult(stage.alignment()))
    (tmp_path / "toy.glb").write_bytes(glb_bytes(stage.mesh))
    (tmp_path / "quick.toml").write_text(QUICK)
    files.write_clip_mp4(tmp_path / "video.mp4", clip)
    command = ["fit", "--views", str(tmp_path / "views"), "--glb", str(tmp_path / "toy.glb")]
    command += ["--alignment", str(tmp_path / "alignment.u4d"), "--clip", str(tmp_path / "video.mp4")]
    command += ["--config", str(tmp_path / "quick.toml"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"background #[0-9a-f]{6} \(from the border of the frames", said)
    share = re.search(r"The motion explains (\d+)% of the difference", said)
    assert share is not None
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    metrics = told["metrics"]
    assert "background #" in told["notes"][0] and f"explains {share[1]}%" in told["notes"][1]
    gained = metrics["psnr_foreground"] - metrics["psnr_foreground_static"]
    assert gained > 0.5
    assert int(share[1]) == pytest.approx(100 * (1 - 10 ** (-gained / 10)), abs=1.0)
    assert (tmp_path / "out" / "result.u4d").is_file()
    assert not (tmp_path / "out" / "unfinished").exists()


@pytest.fixture(scope="module")
def video(scene: tuple[Any, Clip], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    files.write_clip_mp4(path, scene[1])
    return path.read_bytes()


@pytest.fixture
def stages() -> Stages:
    return Stages(Config(fit=FitConfig(splats=1200, nodes=24, static_iterations=40, iterations=60)))


@pytest.mark.slow
def test_a_server_prepares_a_video_and_a_clip_without_a_camera_alike(
    scene: tuple[Any, Clip], video: bytes, stages: Stages
) -> None:
    """Its bytes become a clip; fitted with what was found it is the fit of the clip that lacked it."""
    stage, clip = scene
    views, alignment = stage.views(), stage.alignment()
    told: list[float] = []
    read = stages.handle(
        ReadClipRequest(video, views, alignment, "walk.mp4", fps=24.0, size=112), lambda f, _: told.append(f)
    )
    assert isinstance(read, ReadClipResult)
    assert read.clip.frames.shape == (5, 64, 112, 3) and read.clip.camera is not None
    np.testing.assert_allclose(read.clip.background, SKY, atol=2.5 / 255)
    assert re.match(r"walk\.mp4: background #[0-9a-f]{6} .*key view at 0\.\d\d of its size", read.notes[0])
    assert told == sorted(told) and len(told) > len(clip.frames)

    bare = attrs.evolve(read.clip, camera=None, background=(1.0, 1.0, 1.0))
    glb = glb_bytes(stage.mesh)
    found = [
        stages.handle(FitRequest("", views, alignment, given, glb=glb), silent) for given in (bare, read.clip)
    ]
    alike, known = found
    np.testing.assert_array_equal(alike.result.motion.translations, known.result.motion.translations)
    gained = alike.metrics["psnr_foreground"] - alike.metrics["psnr_foreground_static"]
    assert alike.metrics["explained"] == pytest.approx(1.0 - 10.0 ** (-gained / 10.0))
    assert "background #" in alike.notes[0] and alike.notes[1:] == known.notes
    assert f"explains {alike.metrics['explained']:.0%} of" in known.notes[0]


def test_a_part_of_a_video_is_taken(scene: tuple[Any, Clip], video: bytes, stages: Stages) -> None:
    """Made smaller in its proportions, from the third frame on, and every second frame of the rest."""
    views, alignment = scene[0].views(), scene[0].alignment()
    whole = stages.handle(ReadClipRequest(video, views, alignment), silent).clip
    request = ReadClipRequest(video, views, alignment, size=56, start=2 / 12)
    part = stages.handle(request, silent).clip
    assert part.frames.shape == (3, 32, 56, 3) and part.fps == 12.0
    small = whole.frames[2:].reshape(3, 32, 2, 56, 2, 3).mean(axis=(2, 4))
    assert np.abs(small - part.frames).mean() < 6.0
    sparse = stages.handle(ReadClipRequest(video, views, alignment, fps=6.0, seconds=0.3), silent).clip
    assert (len(sparse.frames), sparse.fps) == (2, 6.0)


@pytest.mark.parametrize(
    ("changed", "code", "named"),
    [
        (
            {"video": b"#EXTM3U\nfile:///etc/passwd\n"},
            "video-invalid",
            "walk.mp4 cannot be used: it is no MP4",
        ),
        ({"seconds": 0.05}, "video-invalid", "no motion"),
        ({"fps": float("nan")}, "bad-setting", "fps is nan"),
        ({"size": 4096}, "bad-setting", "32 to 2048"),
        ({"start": -1.0}, "bad-setting", "from -1 s"),
    ],
)
def test_what_cannot_be_taken_is_named(
    scene: tuple[Any, Clip], video: bytes, stages: Stages, changed: dict[str, Any], code: str, named: str
) -> None:
    request = ReadClipRequest(video, scene[0].views(), scene[0].alignment(), "walk.mp4")
    with pytest.raises(Uni4DError, match=named) as caught:
        stages.handle(attrs.evolve(request, **changed), silent)
    assert caught.value.code == code


def test_reading_can_be_cancelled(scene: tuple[Any, Clip], video: bytes, stages: Stages) -> None:
    def stop(fraction: float, message: str) -> None:
        if message == "frame 3":
            raise Cancelled

    with pytest.raises(Cancelled):
        stages.handle(ReadClipRequest(video, scene[0].views(), scene[0].alignment()), stop)


def test_a_video_that_is_too_long_says_so(scene: tuple[Any, Clip], stages: Stages, tmp_path: Path) -> None:
    files.write_clip_mp4(tmp_path / "long.mp4", Clip(np.zeros((260, 32, 32, 3), np.uint8), fps=30.0))
    request = ReadClipRequest(
        (tmp_path / "long.mp4").read_bytes(), scene[0].views(), scene[0].alignment(), fps=30.0
    )
    with pytest.raises(Uni4DError, match="260 frames at 30 a second") as caught:
        stages.handle(request, silent)
    assert caught.value.code == "video-too-large"


def test_the_background_and_the_camera_are_found(scene: tuple[Any, Clip], tmp_path: Path) -> None:
    stage, clip = scene
    files.write_clip_mp4(tmp_path / "video.mp4", clip)
    even, found = on_even_ground(files.read_clip(tmp_path / "video.mp4"))
    np.testing.assert_allclose(found.color, SKY, atol=2.5 / 255)
    shown = (even.frames != np.round(255 * np.array(found.color)).astype(np.uint8)).any(-1)
    assert not shown[:, :, :8].any(), "the noise is gone"
    assert 0.05 < shown.mean() < 0.5
    camera = camera_of(even, stage.views(), 0)
    assert camera.intrinsics[0, 0] == pytest.approx(clip.camera.intrinsics[0, 0], rel=0.06)
    np.testing.assert_allclose(camera.intrinsics[:2, 2], clip.camera.intrinsics[:2, 2], atol=3.0)


def test_a_clip_of_ours_keeps_its_camera_and_its_white(studio: Callable[..., Any], walking: Any) -> None:
    """Saved as a video, it lost both; neither is changed by being estimated."""
    stage = studio(size=64)
    clip = stage.film(walking, 3)
    even, found = on_even_ground(attrs.evolve(clip, camera=None))
    assert found.color == (1.0, 1.0, 1.0)
    camera = camera_of(even, stage.views(), 0)
    np.testing.assert_allclose(camera.intrinsics, clip.camera.intrinsics)
