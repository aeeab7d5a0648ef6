"""The comparison of schedules: a table over the test split that goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from PIL import Image

from uni4d.encoders.protocols import TextEncoder
from uni4d.evaluation.schedule_report import write_schedule_report
from uni4d.evaluation.schedules import ScheduleComparison, ScheduleSettings, compare_schedules
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import AtmsConfig
from uni4d.training.atms import AtmsTrainConfig
from uni4d.training.loop import LoopConfig
from uni4d.training.recipe import read_recipe, shipped_recipe
from uni4d.training.schedules.config import ScheduleConfig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent

STRATEGIES = ("constant", "tuned", "learned-temperature", "mcts")
SETTINGS = ScheduleSettings(STRATEGIES, seeds=2, starts=(3e-3, 1e-5))
CONFIG = AtmsTrainConfig(
    AtmsConfig({"text": 32, "points": 12, "views": 60, "size": 9}, 16, 1, 2, 32),
    LoopConfig(batch=16, warmup=0, temperature=0.1),
    pictures=0,
    members=1,
    schedule=ScheduleConfig(budget=24, interval=2, horizon=2, simulations=2),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("schedules")


@pytest.fixture(scope="module")
def compared(world: AssetFeatures, encoder: TextEncoder, runs: Path) -> ScheduleComparison:
    return compare_schedules(world, encoder, CONFIG, SETTINGS, runs, silent)


def test_every_cell_is_measured_on_every_test_object(
    compared: ScheduleComparison, world: AssetFeatures
) -> None:
    queries = len(world.split("test"))
    for start in SETTINGS.starts:
        for strategy in STRATEGIES:
            runs = compared.of(strategy, start)
            assert [run.seed for run in runs] == [0, 1]
            assert all(len(run.ranks) == queries for run in runs)
            assert all(run.schedule["ledger"]["spent"] == 24 for run in runs)


def test_a_bad_start_is_worse_for_a_constant_rate(compared: ScheduleComparison) -> None:
    good, bad = (
        [run.schedule["rows"][-1]["loss"] for run in compared.of("constant", start)]
        for start in SETTINGS.starts
    )
    assert max(good) < min(bad)


def test_the_report_has_a_table_per_start_and_two_plots(compared: ScheduleComparison, tmp_path: Path) -> None:
    told = write_schedule_report(tmp_path, compared)
    assert len(told["cells"]) == len(STRATEGIES) * len(SETTINGS.starts)
    assert json.loads((tmp_path / "schedules.json").read_text()) == json.loads(json.dumps(told))
    page = (tmp_path / "schedules.md").read_text()
    assert page.count("| MCTS |") == 2
    for name in ("curves.png", "chosen.png"):
        with Image.open(tmp_path / name) as image:
            assert image.width > 500


def test_what_was_run_is_not_run_again(
    compared: ScheduleComparison, world: AssetFeatures, encoder: TextEncoder, runs: Path
) -> None:
    def refuse(fraction: float, message: str) -> None:
        raise Cancelled

    again = compare_schedules(world, encoder, CONFIG, SETTINGS, runs, refuse)
    assert [attrs.asdict(run) for run in again.runs] == [attrs.asdict(run) for run in compared.runs]


def test_a_library_that_is_too_small_is_said_to_be(
    world: AssetFeatures, encoder: TextEncoder, tmp_path: Path
) -> None:
    with pytest.raises(Uni4DError, match="too few objects"):
        compare_schedules(world.rows([0, 1, 2]), encoder, CONFIG, SETTINGS, tmp_path, silent)


def test_the_recipe_that_comes_with_the_command_is_valid() -> None:
    assert read_recipe(shipped_recipe("schedules"), AtmsTrainConfig).members == 1
