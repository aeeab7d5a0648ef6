"""Which model a name stands for, and what of the settings it heeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.toy_asset import glb

from uni4d.config import AnimateConfig, Config, VideoConfig, load_config
from uni4d.pipeline.stages import Stages
from uni4d.video import models
from uni4d.video.diffusers import DiffusersVideo
from uni4d.video.models import Kinematic, check_settings, video_model
from uni4d.video.remote import RemoteVideo
from uni4d.video.scene import Animated, Scene
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import VideoModelsRequest
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Clip, Query


def test_each_name_stands_for_a_model() -> None:
    config = VideoConfig()
    assert isinstance(video_model("kinematic", config), Kinematic)
    assert isinstance(video_model("remote", config), RemoteVideo)
    for name in ("cogvideox", "cogvideox15", "wan", "ltx"):
        model = video_model(name, config)
        assert isinstance(model, DiffusersVideo)
        assert model.config is getattr(config, name)
    with pytest.raises(Uni4DError, match="no video model “sora”") as caught:
        video_model("sora", config)
    assert caught.value.code == "video-model-unknown"
    assert "cogvideox" in caught.value.cure


def test_the_profiles_have_their_own_default(tmp_path: Path) -> None:
    assert load_config().animate.model == "kinematic"
    assert load_config(profile="gpu").animate.model == "cogvideox"
    file = tmp_path / "uni4d.toml"
    file.write_text(
        '[animate]\nmodel = "ltx"\nseed = 4\n[video.ltx]\nsteps = 30\nadapter = "~/a.safetensors"\n'
    )
    config = load_config(file, "gpu")
    assert (config.animate.model, config.animate.seed) == ("ltx", 4)
    assert config.video.ltx.steps == 30
    assert config.video.ltx.width == 704
    assert config.video.ltx.adapter == Path("~/a.safetensors").expanduser()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[video.wan]\noffload = "some"\n', "offload"),
        ("[video.wan]\nframe = 5\n", "frame"),
        ("[video.sora]\nframes = 5\n", "sora"),
        ("[video.remote]\nseconds = 7\n", "seconds"),
        ("animate = 3\n", "animate"),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "uni4d.toml"
    file.write_text(text)
    with pytest.raises(Uni4DError, match=named) as caught:
        load_config(file, "gpu")
    assert caught.value.code == "bad-setting"


def test_settings_that_a_model_would_ignore_are_refused() -> None:
    check_settings("kinematic", {"frames": 12, "seed": 1})
    check_settings("wan", {"model": "wan", "seed": 1})
    with pytest.raises(Uni4DError, match=r"does not heed animate\.frames, animate\.speed") as caught:
        check_settings("wan", {"model": "wan", "speed": 2.0, "frames": 12})
    assert "[video.wan]" in caught.value.cure


def test_the_kinematic_generator_goes_through_the_same_door(scene: Scene) -> None:
    quick = AnimateConfig(frames=3, fps=3.0, size=32, splats=200, refine_iterations=1)
    stages = Stages(Config(animate=quick))
    query = Query("a toy box is spinning", "a toy box", "spinning")
    made = stages.animate(query, "", scene.views, scene.alignment, silent, glb=glb(), settings={"seed": 1})
    assert made.clip.frames.shape == (3, 32, 32, 3)
    assert made.clip.description == "kinematic: spin"
    assert [track["verb"] for track in made.program["tracks"]] == ["spin"]


def test_the_stage_asks_the_model_that_the_request_names(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Recorded:
        def __init__(self, name: str) -> None:
            self.name = name

        def animate(self, scene: Scene, config: AnimateConfig, progress: Progress = silent) -> Animated:
            clip = Clip(np.zeros((2, 4, 4, 3), np.uint8), description=f"{self.name}, seed {config.seed}")
            return Animated(clip, {"tracks": [], "notes": []})

    def make(name: str, *_: object) -> Recorded:
        made.append(name)
        return Recorded(name)

    monkeypatch.setattr(models, "video_model", make)
    stages = Stages(Config(animate=AnimateConfig(model="wan", seed=3)))

    def description(**settings: object) -> str:
        arguments = (scene.query, "", scene.views, scene.alignment, silent)
        return stages.animate(*arguments, settings=settings).clip.description

    assert description() == "wan, seed 3"
    assert description(seed=4) == "wan, seed 4"
    assert description(model="ltx") == "ltx, seed 3"
    assert made == ["wan", "ltx"], "a model stays loaded until another is wanted"
    with pytest.raises(Uni4DError, match="does not heed"):
        description(frames=5)


def test_the_panel_is_told_what_each_model_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without CUDA or keys, by the very errors that a request would end with; the kinematic one lacks
    nothing."""
    for name in ("KLING_API_KEY", "KLING_ACCESS_KEY", "KLING_SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    config = Config()
    result = Stages(config).handle(VideoModelsRequest(), silent)
    known = {model.name: model for model in result.models}
    assert result.default == "kinematic"
    assert list(known) == list(models.MODELS)
    assert (known["kinematic"].problem, known["kinematic"].takes_program) == ("", True)
    assert "CUDA" in known["wan"].problem and "Wan 2.2" in known["wan"].problem and known["wan"].cure
    assert "keys" in known["remote"].problem
    assert [name for name, model in known.items() if model.takes_seed] == [
        *("cogvideox", "cogvideox15", "wan", "ltx")
    ]
    monkeypatch.setenv("KLING_API_KEY", "a-token")
    known = {model.name: model for model in models.describe_models(config.video)}
    assert known["remote"].problem == ""
