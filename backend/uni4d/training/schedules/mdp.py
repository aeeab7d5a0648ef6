"""Training as a Markov decision process (Uni4D §3.3): states, actions, rewards.

Every ``interval`` steps the agent sees how training goes and chooses one of five actions, which multiply or
divide the learning rate or the temperature, within bounds. The reward of the interval that ends at t is

    R_t = α (A_t − A_{t−1}) + β (L_{t−1} − L_t) − P_t
    P_t = λ_g Σ_k max(0, ‖g_k‖₂ − G) + λ_o max(0, A_train,t − A_t − δ)

A and L are accuracy and loss on the validation split, A_train the accuracy on as many training items, and
‖g_k‖ the gradient's norm at step k of the interval, before it is clipped.
"""

from __future__ import annotations

import math
from enum import IntEnum

from attrs import frozen

from uni4d.training.schedules.config import ScheduleConfig

__all__ = ["Action", "Figures", "MdpState", "Setting", "chosen", "observed", "reward_of"]


class Action(IntEnum):
    """What can be done between two intervals."""

    NO_CHANGE = 0
    LR_UP = 1
    LR_DOWN = 2
    TEMP_UP = 3
    TEMP_DOWN = 4


@frozen
class Setting:
    """What an interval is trained with."""

    rate: float
    """The learning rate, before the warm-up's factor."""
    temperature: float


@frozen
class Figures:
    """What is measured at the end of an interval."""

    accuracy: float
    """A, by the configured metric."""
    loss: float
    train_accuracy: float
    train_loss: float
    gradient_excess: float
    """Σ_k max(0, ‖g_k‖ − G) over the steps of the interval."""
    score: float
    """Mean reciprocal rank on the validation split: what weights are chosen by."""
    diverged: bool = False
    """A loss was not finite."""


@frozen
class MdpState:
    """s_t, as the paper lists it."""

    learning_rate: float
    epoch: float
    temperature: float
    accuracy: float
    previous_accuracy: float
    previous_loss: float
    previous_train_accuracy: float
    previous_train_loss: float
    mean_reward: float


def chosen(action: int, setting: Setting, config: ScheduleConfig) -> Setting:
    """The setting after ``action``, within bounds."""
    rate, temperature = setting.rate, setting.temperature
    if action == Action.LR_UP:
        rate *= config.rate_factor
    elif action == Action.LR_DOWN:
        rate /= config.rate_factor
    elif action == Action.TEMP_UP:
        temperature *= config.temperature_factor
    elif action == Action.TEMP_DOWN:
        temperature /= config.temperature_factor
    return Setting(
        min(max(rate, config.lowest_rate), config.highest_rate),
        min(max(temperature, config.lowest_temperature), config.highest_temperature),
    )


def reward_of(before: Figures, after: Figures, config: ScheduleConfig) -> float:
    """R_t of the interval between two measurements; the floor when it diverged."""
    if after.diverged or not math.isfinite(after.loss):
        return config.floor
    penalty = config.gradient_weight * after.gradient_excess
    penalty += config.overfit_weight * max(0.0, after.train_accuracy - after.accuracy - config.overfit_margin)
    gain = config.accuracy_weight * (after.accuracy - before.accuracy)
    gain += config.loss_weight * (before.loss - after.loss)
    return max(gain - penalty, config.floor)


def observed(setting: Setting, epoch: float, before: Figures, after: Figures, mean_reward: float) -> MdpState:
    """s_t from the present setting and the last two measurements."""
    return MdpState(
        setting.rate,
        epoch,
        setting.temperature,
        after.accuracy,
        before.accuracy,
        before.loss,
        before.train_accuracy,
        before.train_loss,
        mean_reward,
    )
