"""The point encoder learns to tell simple shapes apart, and goes on where it stopped."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from harness.made_up_world import WordVectors

from uni4d.encoders.local.points import PointNetworkConfig
from uni4d.library.clouds import Cloud
from uni4d.training.log import TrainingLog, draw_curves
from uni4d.training.loop import LoopConfig
from uni4d.training.named_pictures import picture_name
from uni4d.training.points import PointObjects, PointTrainConfig, posed, tinted
from uni4d.training.points_training import train_points
from uni4d.training.recipe import read_recipe
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

SHAPES = {"ball": (1, 1, 1), "pole": (0.1, 1, 0.1), "plate": (1, 0.05, 1), "beam": (1, 0.2, 0.2)}


def shapes(count: int, seed: int) -> PointObjects:
    generator = np.random.default_rng(seed)
    names, clouds = [], []
    for number in range(count):
        name = list(SHAPES)[number % len(SHAPES)]
        points = generator.normal(size=(300, 3))
        points = points / np.linalg.norm(points, axis=1, keepdims=True) * np.array(SHAPES[name])
        clouds.append(Cloud(points.astype(np.float32), generator.random((300, 3)).astype(np.float32)))
        names.append(name)
    looks = np.array(
        [[list(SHAPES).index(name) == place for place in range(8)] for name in names], np.float32
    )
    return PointObjects(tuple(names), clouds, looks[:, None])


CONFIG = PointTrainConfig(
    PointNetworkConfig(groups=8, neighbours=12, width=32, layers=1, heads=2),
    LoopConfig(steps=30, batch=16, learning_rate=3e-3, warmup=3, validate_every=10, save_every=10),
    (128, 200),
)


@pytest.mark.slow
def test_shapes_are_learnt_and_the_training_can_go_on(tmp_path: Path) -> None:
    log = TrainingLog(tmp_path / "log.jsonl")
    parts = (shapes(48, 0), shapes(12, 1), WordVectors(), CONFIG, 0, silent)
    train_points(*parts, folder=tmp_path, record=lambda row: log.write({"run": "points", **row}))
    rows = log.rows()
    assert [row["step"] for row in rows] == [10, 20, 30]
    assert float(rows[-1]["validation_accuracy"]) > 0.6  # chance is 1/4
    draw_curves(rows, tmp_path / "curves.png", "points")
    assert (tmp_path / "curves.png").stat().st_size > 5_000
    # A finished training does nothing more.
    train_points(*parts, folder=tmp_path, record=lambda row: pytest.fail("it trained again"))


def test_poses_stay_upright_in_the_unit_ball() -> None:
    torch.manual_seed(0)
    column = torch.zeros(16, 200, 3)
    column[..., 1] = torch.linspace(-1, 1, 200)
    moved = posed(column)
    assert torch.allclose(moved.norm(dim=2).amax(dim=1), torch.ones(16), atol=1e-5)
    direction = torch.nn.functional.normalize(moved[:, -1] - moved[:, 0], dim=1)
    assert float(direction[:, 1].min()) > 0.9


def test_grey_objects_have_no_colour() -> None:
    torch.manual_seed(0)
    colors = torch.rand(40, 10, 3)
    assert torch.all(tinted(colors, 1.0) == 0.5)
    changed = tinted(colors, 0.0)
    assert float(changed.min()) >= 0.0
    assert float(changed.max()) <= 1.0
    assert not torch.allclose(changed, colors)


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("1f9f8", "teddy bear"),
        ("1f1eb-1f1f7", ""),  # a national flag
        ("1f44d-1f3fd", ""),  # a skin tone
        ("110000", ""),  # past the last code point
        ("office_chair", "office chair"),
    ],
)
def test_names_of_icons(stem: str, name: str) -> None:
    assert picture_name(stem) == name


def test_a_recipe_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("text_weight = 0.5\n[loop]\nsteps = 7\n")
    config = read_recipe(path, PointTrainConfig)
    expected = PointTrainConfig()
    expected = attrs.evolve(expected, text_weight=0.5, loop=attrs.evolve(expected.loop, steps=7))
    assert config == expected


@pytest.mark.parametrize(
    ("text", "word"),
    [("[loop]\nstepz = 7\n", "stepz"), ("[loop]\nbatch = 0\n", "batch"), ("steps", "recipe.toml")],
)
def test_a_recipe_with_a_mistake_is_refused_by_name(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(Uni4DError) as caught:
        read_recipe(path, PointTrainConfig)
    assert caught.value.code == "bad-setting"
    assert word in caught.value.message
