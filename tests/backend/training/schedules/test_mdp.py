"""The decision process: actions within bounds, and rewards by hand."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Action, Figures, Setting, chosen, observed, reward_of

CONFIG = ScheduleConfig(
    accuracy_weight=2.0,
    loss_weight=0.5,
    gradient_weight=0.01,
    overfit_weight=0.1,
    overfit_margin=0.2,
)
BEFORE = Figures(0.30, 2.5, 0.50, 1.0, 0.0, 0.4)
AFTER = Figures(0.32, 2.3, 0.60, 0.8, 3.0, 0.5)


def test_the_reward_is_what_the_formula_says() -> None:
    # 2 · 0.02 + 0.5 · 0.2 − 0.01 · 3 − 0.1 · (0.60 − 0.32 − 0.2)
    assert reward_of(BEFORE, AFTER, CONFIG) == pytest.approx(0.04 + 0.1 - 0.03 - 0.008)


def test_no_penalty_below_the_margin() -> None:
    after = attrs.evolve(AFTER, train_accuracy=0.5, gradient_excess=0.0)
    assert reward_of(BEFORE, after, CONFIG) == pytest.approx(0.14)


def test_a_training_that_diverged_gets_the_floor() -> None:
    for after in (attrs.evolve(AFTER, diverged=True), attrs.evolve(AFTER, loss=math.nan)):
        assert reward_of(BEFORE, after, CONFIG) == CONFIG.floor


@pytest.mark.parametrize(
    ("action", "rate", "temperature"),
    [
        (Action.NO_CHANGE, 1e-3, 0.1),
        (Action.LR_UP, 1.5e-3, 0.1),
        (Action.LR_DOWN, 1e-3 / 1.5, 0.1),
        (Action.TEMP_UP, 1e-3, 0.11),
        (Action.TEMP_DOWN, 1e-3, 0.1 / 1.1),
    ],
)
def test_actions(action: Action, rate: float, temperature: float) -> None:
    setting = chosen(action, Setting(1e-3, 0.1), ScheduleConfig())
    assert setting.rate == pytest.approx(rate)
    assert setting.temperature == pytest.approx(temperature)


@given(st.lists(st.integers(0, 4), max_size=200))
def test_no_sequence_of_actions_leaves_the_bounds(actions: list[int]) -> None:
    config, setting = ScheduleConfig(), Setting(2e-3, 0.1)
    for action in actions:
        setting = chosen(action, setting, config)
        assert config.lowest_rate <= setting.rate <= config.highest_rate
        assert config.lowest_temperature <= setting.temperature <= config.highest_temperature


def test_the_state_is_the_one_of_the_paper() -> None:
    state = observed(Setting(1e-3, 0.1), 2.5, BEFORE, AFTER, 0.05)
    assert attrs.astuple(state) == (1e-3, 2.5, 0.1, 0.32, 0.30, 2.5, 0.50, 1.0, 0.05)
