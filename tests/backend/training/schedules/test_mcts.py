"""Tree search where the best actions are known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from harness.schedule_worlds import Chain, Quadratic, best_return
from hypothesis import given, settings
from hypothesis import strategies as st

from uni4d.training.schedules.mcts import Transition, TreeSearch
from uni4d.training.schedules.tree import Node

GOLDEN = Path(__file__).with_name("golden_tree.json")


def followed(search: TreeSearch[Any], steps: int, simulations: int) -> list[int]:
    """The actions that are committed."""
    actions = []
    for _ in range(steps):
        search.simulate(simulations)
        actions.append(search.commit())
        if search.root.final:
            break
    return actions


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("parallel", [1, 4])
def test_the_far_reward_of_a_chain_is_found(seed: int, parallel: int) -> None:
    search = TreeSearch(Chain(), (0, 4), horizon=4, parallel=parallel, seed=seed)
    assert followed(search, 4, 80) == [1, 1, 1, 1]


def test_a_search_that_looks_one_step_ahead_takes_the_near_reward() -> None:
    search = TreeSearch(Chain(), (0, 4), horizon=1, seed=0)
    assert followed(search, 1, 20) == [0]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_schedule_of_rates_on_a_quadratic_is_found(seed: int) -> None:
    world, start = Quadratic(), (1.0, 1.0)
    search = TreeSearch(world, start, horizon=2, seed=seed)
    actions = followed(search, 2, 40)
    # Each rate is the inverse of a curvature; together they leave nothing.
    assert sorted(actions) == [1, 3]
    assert search.root.state is not None
    assert world.loss(search.root.state) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_three_rates_on_three_curvatures(seed: int) -> None:
    world, start = Quadratic((1.0, 4.0, 16.0), (0.0625, 0.1, 0.25, 0.5, 1.0)), (1.0, 1.0, 1.0)
    search = TreeSearch(world, start, horizon=3, seed=seed)
    actions = followed(search, 3, 150)
    reached = sum(transition.reward for transition in world.begin(start, actions)())
    assert reached == pytest.approx(best_return(world, start, 3), rel=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 8))
@settings(max_examples=30)
def test_parallel_and_serial_searches_agree_in_value(seed: int, parallel: int) -> None:
    world, start = Quadratic(), (1.0, 0.5)
    searches = [TreeSearch(world, start, horizon=2, parallel=count, seed=seed) for count in (1, parallel)]
    for search in searches:
        search.simulate(80)
    best = [max(child.best for child in search.root.children.values()) for search in searches]
    assert best[0] == pytest.approx(best[1])
    assert best[0] == pytest.approx(best_return(world, start, 2))
    assert searches[0].commit("best") in (1, 3)
    assert searches[1].commit("best") in (1, 3)


class _Late:
    """An environment that counts what is on its way."""

    actions = 3

    def __init__(self) -> None:
        self.under_way = 0
        self.most = 0

    def begin(self, state: int, actions: Sequence[int]) -> Callable[[], list[Transition[int]]]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)

        def finish() -> list[Transition[int]]:
            self.under_way -= 1
            return [Transition(state + action, float(action)) for action in actions]

        return finish


def test_as_many_simulations_run_at_once_as_are_allowed() -> None:
    world = _Late()
    search = TreeSearch(world, 0, horizon=3, parallel=3)
    assert search.simulate(30) == 30
    assert world.most == 3
    assert world.under_way == 0
    assert all(node.pending == 0 for node in search.origin.walk())


def test_visits_add_up() -> None:
    search = TreeSearch(Quadratic(), (1.0, 1.0), horizon=3, parallel=2)
    search.simulate(50)
    assert search.origin.visits == 50
    for node in search.origin.walk():
        below = sum(child.visits for child in node.children.values())
        # The visit that made a node ended there; the origin was there before.
        assert below == node.visits - (0 if node is search.origin else 1) or node.depth == 3


def test_what_was_learnt_below_a_decision_is_kept() -> None:
    world = Chain()
    search = TreeSearch(world, (0, 4), horizon=4, seed=1)
    search.simulate(40)
    action = search.commit()
    assert search.root is search.origin.children[action]
    assert search.root.visits > 1
    assert search.origin.chosen == action


def test_nothing_is_simulated_below_a_final_state() -> None:
    world = Chain(length=1)
    search = TreeSearch(world, (0, 1), horizon=4)
    search.simulate(20)
    assert len(world.begun) == 2  # each action once; then every way ends


def test_a_search_stops_when_it_may_not_go_on() -> None:
    left = iter([True] * 7 + [False] * 100)
    search = TreeSearch(Quadratic(), (1.0, 1.0), horizon=2)
    assert search.simulate(50, lambda: next(left)) == 7


def test_the_tree_of_a_seed_never_changes() -> None:
    """Delete the file to write it anew when the algorithm is changed on purpose."""
    search = TreeSearch(Quadratic(), (1.0, 0.5), horizon=3, discount=0.9, parallel=2, seed=7)
    search.simulate(25)
    search.commit()
    search.simulate(10)
    told = _told(search.origin)
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(told, indent=1) + "\n")
    assert told == json.loads(GOLDEN.read_text())


def _told(node: Node[Any]) -> dict[str, Any]:
    return {
        "visits": node.visits,
        "mean": round(node.mean, 9),
        "children": {str(action): _told(child) for action, child in sorted(node.children.items())},
    }
