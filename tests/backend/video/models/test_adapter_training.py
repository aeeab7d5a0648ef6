"""``uni4d train adapter`` on tiny random pipelines of the true classes, from a folder of clips to a clip that
the adapter changed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from harness.tiny_videos import BUILDERS, SIZE, tiny_config
from safetensors import safe_open
from safetensors.torch import load_file

from uni4d import cli, files
from uni4d.alignment.weights import weights_hash
from uni4d.config import AnimateConfig, DiffusionConfig
from uni4d.training import adapter as adapter_training
from uni4d.training.adapter import AdapterTrainConfig, train_adapter, video_config
from uni4d.training.adapter_clips import find_clips
from uni4d.training.loop import LoopConfig
from uni4d.video.diffusers import DiffusersVideo, load
from uni4d.video.scene import Scene
from uni4d_shared.codec import write_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AlignResult, AnimateResult, SearchResult
from uni4d_shared.progress import Cancelled, silent
from uni4d_shared.types import Alignment, Clip, Query

THINGS = ("a bear", "a white bear", "a lamp", "a red bear")
WIDTH = 12
LOOP = LoopConfig(
    steps=12, batch=3, accumulate=3, learning_rate=0.05, warmup=0, validate_every=4, save_every=4
)


def aligned(number: int, width: int = WIDTH) -> AlignResult:
    tokens = np.random.default_rng(number).normal(size=(3, width)).astype(np.float32)
    return AlignResult(Alignment(0.5, 0.5, 0.5, 1.5, 0.2, [1.0], tokens=tokens))


def moving(number: int) -> Clip:
    """A coloured square that crosses the picture, in a way of its own."""
    frames = np.full((36, SIZE, SIZE, 3), 255, np.uint8)
    for time_, frame in enumerate(frames):
        left = (time_ * (number + 1)) % (SIZE - 8)
        frame[8 * (number % 3) : 8 * (number % 3) + 12, left : left + 8] = (60 * number, 200, 40)
    return Clip(frames, 24.0)


def put_clip(folder: Path, number: int) -> None:
    """Three files of one name."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"clip-{number}"
    write_file(folder / f"{name}.u4d", AnimateResult(moving(number), {"tracks": []}))
    write_file(folder / f"{name}.alignment.u4d", aligned(number))
    (folder / f"{name}.txt").write_text(f"{THINGS[number]} is dancing\n")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    for number in range(len(THINGS)):
        put_clip(folder, number)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``weights(name)``: the tiny pipeline as ``save_pretrained`` writes it."""
    base = tmp_path_factory.mktemp("weights")

    def folder(name: str) -> Path:
        if not (base / name).exists():
            BUILDERS[name]().save_pretrained(base / name)
        return base / name

    return folder


def settings_file(folder: Path, name: str, config: DiffusionConfig) -> Path:
    """The TOML table of ``config``."""
    lines = [f"[video.{name}]"]
    for field in ("device", "precision", "vae_precision", "offload", "width", "height", "frames", "fps"):
        lines.append(f"{field} = {json.dumps(getattr(config, field))}")
    file = folder / "settings.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def train(
    name: str, clips: Path, out: Path, config: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, dict[str, Any]]:
    line = ["train", "adapter", "--video-model", name, "--clips", str(clips), "--out", str(out)]
    code = cli.main([*line, "--config", str(config), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_from_clips_to_an_adapter_that_changes_the_frames(
    name: str,
    clips: Path,
    weights: Callable[[str], Path],
    scene: Scene,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    video = tiny_config(name, weights=str(weights(name)))
    config = settings_file(tmp_path, name, video)
    (tmp_path / "recipe.toml").write_text(
        "[loop]\nsteps = 20\nbatch = 3\naccumulate = 3\nlearning_rate = 0.1\nwarmup = 0\nvalidate_every = 5\n"
    )
    options = ("--model", str(weights(name)), "--recipe", str(tmp_path / "recipe.toml"))
    code, told = train(name, clips, tmp_path / "out", config, capsys, *options)
    assert code == 0, told
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 15, 20]
    assert abs(rows[-1]["validation_gate"]) > 0.1
    assert len({row["validation_loss_without"] for row in rows}) == 1
    assert (tmp_path / "out" / "curves.png").stat().st_size > 5_000

    file = Path(told["weights"])
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    assert (about["family"], about["token_width"], about["text_width"]) == (name, "12", "16")
    assert about["alignment"] == weights_hash()

    # The file is what a setting of the video model takes, and it changes the clip.
    scene = attrs.evolve(scene, tokens=aligned(0).alignment.tokens)
    assert told["setting"] == f"video.{name}.adapter"
    stock = DiffusersVideo(name, video).animate(scene, AnimateConfig(seed=5)).clip.frames
    adapted = DiffusersVideo(name, attrs.evolve(video, adapter=file))
    assert (adapted.animate(scene, AnimateConfig(seed=5)).clip.frames != stock).any()
    if name == "wan":
        with pytest.raises(Uni4DError, match="trained for wan, not for ltx"):
            other = tiny_config("ltx", weights=str(weights("ltx")), adapter=file)
            DiffusersVideo("ltx", other).animate(scene, AnimateConfig())


def trained(name: str, clips: Path, weights: Path, folder: Path, loop: LoopConfig = LOOP, **how: Any) -> Any:
    config = AdapterTrainConfig(loop=loop, held_share=0.3, noise_levels=2)
    loaded = load(name, video_config(tiny_config(name, weights=str(weights)), name))
    progress = how.pop("progress", silent)
    return train_adapter(loaded, find_clips(clips), config, 3, progress, folder=folder, **how)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_the_loss_goes_down_and_only_the_adapter_learns(
    name: str, clips: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    loop = attrs.evolve(LOOP, steps=30, learning_rate=0.1, validate_every=30)
    config = AdapterTrainConfig(loop=loop, held_share=0.3)
    loaded = load(name, video_config(tiny_config(name, weights=str(weights(name))), name))
    before = {key: value.clone() for key, value in loaded.pipeline.transformer.state_dict().items()}
    found = find_clips(clips)
    adapter = train_adapter(loaded, found, config, 3, silent, folder=tmp_path / "out")
    assert adapter.opened
    # With the same noise before and after: a random time alone makes more difference than an adapter.
    known = adapter_training.encoded_clips(loaded, found, silent)
    task = adapter_training.AdapterTask(loaded, known, known, noise_levels=8)
    with torch.inference_mode():
        assert task.validate(adapter)["loss"] < task.validate(task.new_model())["loss"]
    after = loaded.pipeline.transformer.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wan", "cogvideox15"])
def test_a_cancelled_training_goes_on_to_the_same_bits(
    name: str, clips: Path, weights: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = trained(name, clips, weights(name), tmp_path / "whole")

    def stop(fraction: float, message: str) -> None:
        if message.startswith("step 6/"):
            raise Cancelled

    with pytest.raises(Cancelled):
        trained(name, clips, weights(name), tmp_path / "halves", progress=stop)
    seen: list[dict[str, float]] = []
    again = trained(name, clips, weights(name), tmp_path / "halves", record=seen.append)
    assert [row["step"] for row in seen] == [8, 12], "it went on from the state of step 4"
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    states = [load_file(tmp_path / folder / "state.safetensors") for folder in ("whole", "halves")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    with pytest.raises(Uni4DError, match="clips") as caught:
        put_clip(clips, 0)
        (clips / "clip-0.txt").write_text("a bear is a bear\n")
        trained(name, clips, weights(name), tmp_path / "halves")
    assert caught.value.code == "checkpoint-differs"


@pytest.mark.slow
def test_computing_activations_twice_changes_no_gradient(
    clips: Path, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = trained("ltx", clips, weights("ltx"), tmp_path / "twice")
    original = AdapterTrainConfig
    monkeypatch.setattr(
        f"{__name__}.AdapterTrainConfig", lambda **given: original(**given, checkpointing=False)
    )
    once = trained("ltx", clips, weights("ltx"), tmp_path / "once")
    for one, other in zip(once.state_dict().values(), twice.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.slow
def test_objects_are_held_out_with_all_their_clips(
    clips: Path, weights: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(clips, tmp_path / "more")
    shutil.move(tmp_path / "more", clips / "again")  # a second clip of each
    seen: dict[str, list[str]] = {}

    class Watched(adapter_training.AdapterTask):
        def __init__(self, loaded: Any, learnt: Any, held: Any, levels: int) -> None:
            seen["learnt"], seen["held"] = ([clip.thing for clip in some] for some in (learnt, held))
            super().__init__(loaded, learnt, held, levels)

    monkeypatch.setattr(adapter_training, "AdapterTask", Watched)
    trained("ltx", clips, weights("ltx"), tmp_path / "out", attrs.evolve(LOOP, steps=1))
    assert len(seen["learnt"]) == 6 and len(seen["held"]) == 2
    assert not set(seen["learnt"]) & set(seen["held"])


# --- what is missing or does not fit ------------------------------------------------------------------------


def error_of(capsys: pytest.CaptureFixture[str], *line: str) -> dict[str, str]:
    assert cli.main(["train", "adapter", *line, "--json"]) == 1
    error: dict[str, str] = json.loads(capsys.readouterr().out)["error"]
    assert error["cure"]
    return error


def test_without_cuda_or_weights_it_says_so_at_once(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = ["--video-model", "wan", "--clips", str(clips), "--out", str(tmp_path / "out")]
    started = time.monotonic()
    assert error_of(capsys, *line)["code"] == "gpu-missing"
    config = settings_file(tmp_path, "wan", tiny_config("wan"))
    missing = error_of(capsys, *line, "--config", str(config), "--model", str(tmp_path / "none"))
    assert missing["code"] == "weights-missing" and "none" in missing["message"]
    assert time.monotonic() - started < 2.0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "named"), [({"offload": "group"}, "offload"), ({"precision": "fp16"}, "fp16")]
)
def test_settings_without_a_gradient_are_refused(change: dict[str, str], named: str) -> None:
    with pytest.raises(Uni4DError, match=named) as caught:
        video_config(tiny_config("wan", **change), "wan")
    assert caught.value.code == "bad-setting"


@pytest.mark.parametrize(
    ("damage", "code", "named"),
    [
        (lambda clips: (clips / "clip-1.txt").unlink(), "clip-incomplete", "clip-1.txt"),
        (lambda clips: (clips / "clip-1.txt").write_text(" \n"), "clip-incomplete", "clip-1"),
        (lambda clips: (clips / "clip-2.alignment.u4d").unlink(), "clip-incomplete", "clip-2.alignment.u4d"),
        (
            lambda clips: write_file(clips / "clip-2.alignment.u4d", aligned(2, width=10)),
            "clips-differ",
            "10 and 12",
        ),
        (
            lambda clips: write_file(
                clips / "clip-2.alignment.u4d", AlignResult(Alignment(0.5, 0.5, 0.5, 1.5, 0.2, [1.0]))
            ),
            "conditioning-missing",
            "clip-2",
        ),
        (lambda clips: [path.unlink() for path in clips.iterdir()], "clips-missing", "holds no clips"),
    ],
)
def test_a_folder_with_a_fault_names_the_file(
    damage: Callable[[Path], object], code: str, named: str, clips: Path
) -> None:
    damage(clips)
    with pytest.raises(Uni4DError) as caught:
        find_clips(clips)
    assert caught.value.code == code and named in caught.value.message
    assert caught.value.cure


# --- what lies in a folder ----------------------------------------------------------------------------------


def test_runs_of_generate_and_videos_are_clips_too(clips: Path) -> None:
    stages = clips / "runs" / "bear" / "stages"
    stages.mkdir(parents=True)
    write_file(stages / "search.u4d", SearchResult(Query("a bear waves", "a bear", "waves"), (), ()))
    write_file(stages / "alignment.u4d", aligned(7))
    write_file(stages / "animate.u4d", AnimateResult(moving(1), {}))
    (clips / "runs" / "bear" / "clip.mp4").write_bytes(b"made from stages/animate.u4d")
    files.write_clip_mp4(clips / "film.mp4", moving(2))
    write_file(clips / "film.alignment.u4d", aligned(8))
    (clips / "film.txt").write_text("a lamp\nis falling\n")
    files.write_clip_mp4(clips / "clip-0.mp4", moving(0))  # as uni4d animate leaves it beside the .u4d

    found = {clip.name: clip for clip in find_clips(clips)}
    assert set(found) == {"clip-0", "clip-1", "clip-2", "clip-3", "film", "runs/bear"}
    assert found["runs/bear"].prompt == "a bear waves"
    assert found["film"].prompt == "a lamp is falling"
    np.testing.assert_array_equal(found["runs/bear"].tokens, aligned(7).alignment.tokens)
    assert found["clip-0"].path.suffix == ".u4d"
