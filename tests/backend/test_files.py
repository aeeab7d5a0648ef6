"""View sets and clips as files: what the add-on writes is read here, and what is broken is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender_addon.view_files import write_views
from uni4d import files
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Clip, ViewSet


def some_views(size: int = 24) -> ViewSet:
    rng = np.random.default_rng(0)
    cameras = orbit_rig([0, 0, 1], 1.0, azimuths=3, elevations=(0.3,), size=size)
    images = rng.integers(0, 256, (3, size, size, 4), dtype=np.uint8)
    depth = np.where(images[..., 3] > 127, 2.5, np.inf).astype(np.float32)
    return ViewSet(images, depth, cameras)


def test_a_view_set_comes_back_as_it_was(tmp_path: Path) -> None:
    views = some_views()
    write_views(tmp_path, views)
    read = files.read_views(tmp_path)
    np.testing.assert_array_equal(read.images, views.images)
    np.testing.assert_array_equal(read.depth, views.depth)
    for mine, theirs in zip(read.cameras, views.cameras, strict=True):
        np.testing.assert_allclose(mine.world_to_camera, theirs.world_to_camera, atol=1e-12)
        np.testing.assert_allclose(mine.intrinsics, theirs.intrinsics, atol=1e-12)


@pytest.mark.parametrize("broken", ["transforms.json", "depth.npz", "view_01.png"])
@pytest.mark.parametrize("how", ["missing", "garbage"])
def test_a_broken_view_set_names_the_folder_and_the_cure(tmp_path: Path, broken: str, how: str) -> None:
    write_views(tmp_path, some_views())
    if how == "missing":
        (tmp_path / broken).unlink()
    else:
        (tmp_path / broken).write_bytes(b"not what it says")
    with pytest.raises(Uni4DError, match=str(tmp_path)) as caught:
        files.read_views(tmp_path)
    assert caught.value.code == "views-unreadable"
    assert "uni4d render" in caught.value.cure


def test_a_view_set_cannot_read_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    write_views(folder, some_views())
    transforms = folder / "transforms.json"
    transforms.write_text(transforms.read_text().replace("view_01.png", "../secret.png"))
    with pytest.raises(Uni4DError, match="outside its folder"):
        files.read_views(folder)


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_an_mp4_keeps_its_frames_rate_and_nearly_its_colours(tmp_path: Path, size: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, size[1]).astype(np.uint8)
    frames = np.stack(
        [np.stack([np.roll(np.tile(ramp, (size[0], 1)), 4 * t, axis=1)] * 3, -1) for t in range(6)]
    )
    files.write_clip_mp4(tmp_path / "clip.mp4", Clip(frames, fps=12))
    clip = files.read_clip(tmp_path / "clip.mp4")
    assert len(clip.frames) == 6
    assert clip.fps == pytest.approx(12)
    difference = clip.frames[:, : size[0], : size[1]].astype(float) - frames
    assert np.abs(difference).mean() < 4


def test_a_clip_that_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"hello")
    with pytest.raises(Uni4DError, match=r"clip\.mp4"):
        files.read_clip(path)
