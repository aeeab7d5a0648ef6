"""A fit that was interrupted goes on, and ends as if nothing had happened."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from uni4d.config import FitConfig
from uni4d.fourd import fit
from uni4d.fourd.checkpoint import Checkpoint, digest_of_tensors
from uni4d.fourd.hexplane import HexPlaneConfig, fit_hexplane
from uni4d.fourd.targets import pyramid
from uni4d.splatting import SplatParameters, splats_from_mesh
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Cancelled, Progress, silent

CONFIG = FitConfig(splats=400, nodes=12, static_iterations=10, iterations=20, look_iterations=10, seed=3)


@pytest.fixture(scope="module")
def inputs(studio: Callable[..., Any], walking: Callable[..., Any]) -> tuple[Any, ...]:
    stage = studio(size=48)
    return stage.mesh, stage.views(), stage.alignment(), stage.film(walking, 4)


@pytest.fixture(scope="module")
def uninterrupted(inputs: tuple[Any, ...]) -> FitResult:
    return fit(*inputs, CONFIG)


class Until:
    """A progress that cancels at a message, the ``times``-th time that it comes."""

    def __init__(self, words: str, times: int = 1) -> None:
        self.words, self.times = words, times
        self.messages: list[str] = []

    def __call__(self, fraction: float, message: str) -> None:
        self.messages.append(message)
        self.times -= self.words in message
        if self.times == 0:
            raise Cancelled


def interrupted(inputs: tuple[Any, ...], config: FitConfig, folder: Path, until: Until) -> None:
    with pytest.raises(Cancelled):
        fit(*inputs, config, until, Checkpoint(folder, interval=0.0))


def resumed(inputs: tuple[Any, ...], config: FitConfig, folder: Path) -> tuple[FitResult, list[str]]:
    messages: list[str] = []
    result = fit(*inputs, config, lambda _, message: messages.append(message), Checkpoint(folder, 0.0))
    return result, messages


Leave = Callable[..., None]


@pytest.fixture(scope="module")
def leave(inputs: tuple[Any, ...], tmp_path_factory: pytest.TempPathFactory) -> Leave:
    """``leave(folder, words, times=1)``: what a fit leaves that was cancelled there, made once."""
    made: dict[tuple[str, int], Path] = {}

    def copied(folder: Path, words: str, times: int = 1) -> None:
        if (words, times) not in made:
            made[words, times] = tmp_path_factory.mktemp("unfinished")
            interrupted(inputs, CONFIG, made[words, times], Until(words, times))
        shutil.copytree(made[words, times], folder, dirs_exist_ok=True)

    return copied


def assert_same(one: FitResult, other: FitResult) -> None:
    for group in ("splats", "motion"):
        mine, theirs = (getattr(found.result, group) for found in (one, other))
        for item in attrs.fields(type(mine)):
            np.testing.assert_array_equal(getattr(mine, item.name), getattr(theirs, item.name), item.name)
    for name in ("splat_faces", "splat_barycentric"):
        np.testing.assert_array_equal(getattr(one.result, name), getattr(other.result, name), name)
    assert {**one.metrics, "seconds": 0} == {**other.metrics, "seconds": 0}


@pytest.mark.parametrize(
    ("words", "times", "spared"),
    [
        ("looking at the light", 1, ["refining"]),
        ("following the nodes, frame 2", 1, ["refining", "following the nodes, frame 2"]),
        pytest.param("looking back", 2, ["following"], marks=pytest.mark.slow),
        ("settling all frames together, round 2", 1, ["following", "looking back", "round 1"]),
        ("fitting the motion", 3, ["following", "looking back", "step 2"]),  # in the first level
        pytest.param("fitting the motion", 8, ["step 8"], marks=pytest.mark.slow),  # where it ends
        ("polishing the splats", 5, ["fitting", "polishing the splats in motion, 4 of 10"]),
        pytest.param("measuring", 1, ["refining", "following", "fitting"], marks=pytest.mark.slow),
    ],
)
def test_it_goes_on_and_gives_the_same_bit_for_bit(
    inputs: tuple[Any, ...],
    uninterrupted: FitResult,
    leave: Leave,
    tmp_path: Path,
    words: str,
    times: int,
    spared: list[str],
) -> None:
    folder = tmp_path / "unfinished"
    leave(folder, words, times)
    result, messages = resumed(inputs, CONFIG, folder)
    assert_same(result, uninterrupted)
    assert not [m for m in messages if any(m.endswith(word) or m.startswith(word + " ") for word in spared)]
    assert not folder.exists(), "nothing is left of a fit that is done"


def test_one_with_fewer_splats_that_follow_goes_on_too(inputs: tuple[Any, ...], tmp_path: Path) -> None:
    config = attrs.evolve(CONFIG, following_splats=300)
    whole = fit(*inputs, config)
    interrupted(inputs, config, tmp_path, Until("following the nodes, frame 2"))
    result, messages = resumed(inputs, config, tmp_path)
    assert_same(result, whole)
    assert not [message for message in messages if message.startswith("refining")]


def test_it_may_be_interrupted_again_and_again(
    inputs: tuple[Any, ...], uninterrupted: FitResult, tmp_path: Path
) -> None:
    for _ in range(8):
        interrupted(inputs, CONFIG, tmp_path, Until("fitting the motion", 2))
    result, messages = resumed(inputs, CONFIG, tmp_path)
    assert_same(result, uninterrupted)
    assert sum("fitting the motion" in message for message in messages) == 4


def test_splats_that_came_by_splitting_are_kept_with_their_triangles(
    inputs: tuple[Any, ...], tmp_path: Path
) -> None:
    config = attrs.evolve(CONFIG, static_iterations=50, iterations=4)
    whole = fit(*inputs, config)
    assert len(whole.result.splats.means) == config.splats
    interrupted(inputs, config, tmp_path, Until("looking at the light"))
    result, messages = resumed(inputs, config, tmp_path)
    assert_same(result, whole)
    assert not [message for message in messages if message.startswith("refining")]


def test_hexplane_goes_on_too(inputs: tuple[Any, ...], tmp_path: Path) -> None:
    mesh, _, _, clip = inputs
    bound, levels = splats_from_mesh(mesh, 300, 0), pyramid(clip, clip.camera)
    small = HexPlaneConfig(resolution=8, channels=4, width=8)

    def fitted(checkpoint: Checkpoint, progress: Progress = silent) -> list[SplatParameters]:
        return fit_hexplane(bound, levels[-1:], 14, small, progress, checkpoint=checkpoint).per_frame()

    for _ in range(2):
        with pytest.raises(Cancelled):
            fitted(Checkpoint(tmp_path, 0.0), Until("fitting the planes", 5))
    until = Until("fitting the planes", 5)
    again, whole = fitted(Checkpoint(tmp_path, 0.0), until), fitted(Checkpoint())
    assert len(until.messages) == 4
    for mine, theirs in zip(again, whole, strict=True):
        assert torch.equal(mine.means, theirs.means)
        assert torch.equal(mine.log_scales, theirs.log_scales)


@pytest.mark.parametrize("changed", ["settings", "clips", "views", "mesh", "alignment"])
def test_other_inputs_start_anew_and_it_is_said(
    inputs: tuple[Any, ...], leave: Leave, tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: str
) -> None:
    mesh, views, alignment, clip = inputs
    leave(tmp_path, "fitting the motion")
    config = attrs.evolve(CONFIG, seed=4) if changed == "settings" else CONFIG
    if changed == "clips":
        frames = clip.frames.copy()
        frames[0, 0, 0, 0] ^= 1
        clip = attrs.evolve(clip, frames=frames)
    elif changed == "views":
        views = attrs.evolve(views, images=views.images[:, ::-1].copy())
    elif changed == "mesh":
        mesh = attrs.evolve(mesh, vertices=mesh.vertices * np.float32(1.01))
    elif changed == "alignment":
        alignment = attrs.evolve(alignment, key_view=1)
    until = Until("refining")
    with caplog.at_level(logging.WARNING):
        interrupted((mesh, views, alignment, clip), config, tmp_path, until)
    assert f"an unfinished fit with other {changed}; this one starts anew" in caplog.text
    assert not list(tmp_path.iterdir())


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-50] ^= 1
    path.write_bytes(content)


def write_nonsense(path: Path) -> None:
    path.write_bytes(b"\xff" * 500)


def forget_a_tensor(path: Path) -> None:
    """A well-formed file, with the right header, that lacks what it should have."""
    with safe_open(path, "pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    for name, value in tensors.items():
        if value.ndim:
            tensors[name] = value[:1].clone()
    save_file(tensors, path, {**header, "digest": digest_of_tensors(tensors)})


DAMAGES = (cut_off, flip_a_bit, write_nonsense, forget_a_tensor)
PARTS = ("splats", "nodes", "descent", "looks")


@pytest.mark.parametrize(
    ("damage", "part"),
    [  # each damage once, and every combination among the slow tests
        pytest.param(damage, part, marks=() if index % len(PARTS) == row else pytest.mark.slow)
        for index, damage in enumerate(DAMAGES)
        for row, part in enumerate(PARTS)
    ],
)
def test_damaged_files_are_ignored_and_it_is_said(
    inputs: tuple[Any, ...],
    uninterrupted: FitResult,
    leave: Leave,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
    part: str,
) -> None:
    leave(tmp_path, "polishing the splats", 5)
    path = tmp_path / f"{part}.safetensors"
    damage(path)
    with caplog.at_level(logging.WARNING):
        result, _ = resumed(inputs, CONFIG, tmp_path)
    assert f"{path} is damaged" in caplog.text
    assert_same(result, uninterrupted)


def test_a_folder_that_cannot_be_written_costs_only_the_safety(
    inputs: tuple[Any, ...],
    uninterrupted: FitResult,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        result, _ = resumed(inputs, CONFIG, tmp_path / "file" / "unfinished")
    assert caplog.text.count("will start anew") == 1
    assert_same(result, uninterrupted)


def test_the_time_of_all_runs_counts(inputs: tuple[Any, ...], tmp_path: Path) -> None:
    interrupted(inputs, CONFIG, tmp_path, Until("measuring"))
    checkpoint = Checkpoint(tmp_path, 0.0)
    again = fit(*inputs, CONFIG, checkpoint=checkpoint)
    assert again.metrics["seconds"] > 1.5 * (checkpoint.seconds - checkpoint._earlier)
