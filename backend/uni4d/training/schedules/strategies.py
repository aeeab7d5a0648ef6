"""Ways to spend a budget of gradient steps: hand-set schedules and adaptive ones, behind one interface.

Every strategy extends paths of a :class:`~uni4d.training.schedules.run.Run` and says at the end which
training it would hand over. The tree search is :mod:`uni4d.training.schedules.search`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from attrs import define

from uni4d.training.schedules.mdp import Action, Setting, chosen
from uni4d.training.schedules.run import Outcome, Point, Run
from uni4d.training.schedules.search import tree_search
from uni4d.training.schedules.tree import Spread
from uni4d_shared.errors import Uni4DError

__all__ = ["Strategy", "strategy_of"]


class Strategy(Protocol):
    """Spends the budget of a run."""

    def __call__(self, run: Run, seed: int) -> Outcome:
        """Train until the budget is spent."""
        ...


def strategy_of(name: str) -> Strategy:
    """The strategy of a name of :data:`~uni4d.training.schedules.config.STRATEGIES`."""
    known: dict[str, Strategy] = {
        "constant": constant,
        "tuned": tuned,
        "cosine": cosine,
        # The temperature is the model's own matter; its schedule is constant.
        "learned-temperature": constant,
        "random": random_actions,
        "bandit": bandit,
        "pbt": population,
        "mcts": tree_search,
    }
    if name not in known:
        raise Uni4DError("schedule-unknown", f"There is no schedule “{name}”.", f"Known: {', '.join(known)}.")
    return known[name]


def constant(run: Run, seed: int) -> Outcome:
    """The first setting to the end."""
    return _followed(run, lambda point, number, total: run.first)


def cosine(run: Run, seed: int) -> Outcome:
    """Half a cosine down to a hundredth of the first rate, over the whole budget."""

    def setting(point: Point, number: int, total: int) -> Setting:
        share = 0.5 * (1.0 + math.cos(math.pi * number / max(total - 1, 1)))
        return Setting(run.first.rate * (0.01 + 0.99 * share), run.first.temperature)

    return _followed(run, setting)


def random_actions(run: Run, seed: int) -> Outcome:
    """An action at random before every interval."""
    generator = np.random.default_rng((seed, 1))

    def setting(point: Point, number: int, total: int) -> Setting:
        return chosen(int(generator.integers(len(Action))), point.setting(run.first), run.config)

    return _followed(run, setting)


def tuned(run: Run, seed: int) -> Outcome:
    """Constant rates one by one, each with its share of the budget; the best by validation is handed over."""
    length = run.intervals_left // len(run.config.rates)
    ends = []
    for rate in run.config.rates:
        point = run.start
        for _ in range(length):
            point = run.advance(point, Setting(rate, run.first.temperature), "trial")
            if point.figures.diverged:
                break
        ends.append(point)
    best = run.best_of([point for end in ends for point in run.along(end)])
    end = next(end for end in ends if end.path[: len(best.path)] == best.path)
    return Outcome(end, best)


@define
class _Arm:
    tries: int = 0
    total: float = 0.0


def bandit(run: Run, seed: int) -> Outcome:
    """UCB1 (Auer et al. 2002) over rates, one pull an interval; rewards are the decision process's, in
    units of their running spread."""
    arms = {rate: _Arm() for rate in run.config.rates}
    spread, pulls = Spread(), list[float]()

    def setting(point: Point, number: int, total: int) -> Setting:
        if pulls:
            arm = arms[pulls[-1]]
            arm.tries, arm.total = arm.tries + 1, arm.total + point.reward
            spread.add(point.reward)

        def bound(rate: float) -> float:
            arm = arms[rate]
            if not arm.tries:
                return math.inf
            wide = run.config.exploration * spread.value * math.sqrt(math.log(len(pulls)) / arm.tries)
            return arm.total / arm.tries + wide

        pulls.append(max(arms, key=bound))
        return Setting(pulls[-1], run.first.temperature)

    return _followed(run, setting)


def population(run: Run, seed: int) -> Outcome:
    """Population based training (Jaderberg et al. 2017).

    Members train side by side from settings around the first one. Every ``ready`` intervals each of the
    lowest fifth takes the place of one of the highest (its weights and its setting), and changes the setting
    by a random action. Members that happen to agree are trained, and counted, once.
    """
    config, generator = run.config, np.random.default_rng((seed, 2))
    settings = [run.first]
    while len(settings) < config.population:
        settings.append(chosen(int(generator.integers(1, len(Action))), settings[-1], config))
    members = [run.start] * config.population
    cut = max(1, config.population // 5)
    rounds = 0
    while run.intervals_left >= config.population:
        if rounds and rounds % config.ready == 0:
            order = sorted(range(len(members)), key=lambda number: members[number].figures.score)
            for loser in order[:cut]:
                winner = order[-1 - int(generator.integers(cut))]
                members[loser] = members[winner]
                settings[loser] = chosen(int(generator.integers(1, len(Action))), settings[winner], config)
        begun = {
            number: run.begin(member, (setting,), "live", keep=1)
            for number, (member, setting) in enumerate(zip(members, settings, strict=True))
            if not member.figures.diverged
        }
        if not begun:
            break
        for number, finish in begun.items():
            members[number] = finish()[0]
        rounds += 1
    best = run.best_of([point for member in members for point in run.along(member)])
    end = next(member for member in members if member.path[: len(best.path)] == best.path)
    return Outcome(end, best)


def _followed(run: Run, setting: Callable[[Point, int, int], Setting]) -> Outcome:
    """One training to the end of the budget, its settings by ``setting(point, number, total)``."""
    point, total = run.start, run.intervals_left
    for number in range(total):
        following = run.advance(point, setting(point, number, total))
        if following.figures.diverged:
            break
        point = following
    return Outcome(point, run.best_of(run.along(point)))
