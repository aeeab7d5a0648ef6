"""The arithmetic of the tree, by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uni4d.training.schedules.tree import Node, Spread, best_action, uct


def test_uct_is_what_the_formula_says() -> None:
    parent = Node[str]("s", visits=10, pending=2)
    child = Node[str]("t", visits=3, total=1.5, pending=1)
    # 1.5 / 3 + √2 · 0.2 · √(ln 12 / 4)
    assert uct(parent, child, math.sqrt(2.0), 0.2) == pytest.approx(0.5 + 0.22293, abs=1e-5)


def test_a_simulation_on_its_way_makes_its_branch_less_attractive() -> None:
    parent = Node[str]("s", visits=4)
    child = Node[str]("t", visits=2, total=1.0)
    before = uct(parent, child, 1.0, 1.0)
    parent.pending, child.pending = 1, 1
    assert uct(parent, child, 1.0, 1.0) < before


@given(st.lists(st.floats(-100.0, 100.0), min_size=1, max_size=40))
def test_the_spread_is_that_of_the_returns(values: list[float]) -> None:
    spread = Spread()
    for value in values:
        spread.add(value)
    assert spread.value == (max(values) - min(values) or 1.0)


def test_decisions_by_mean_visits_and_best_single_return() -> None:
    node = Node[str]("s")
    node.children = {
        0: Node("a", visits=9, total=4.5, best=0.6),
        1: Node("b", visits=2, total=1.8, best=0.95),
        2: Node("c", visits=3, total=0.9, best=1.0),
        3: Node("d"),
    }
    assert best_action(node, "visits") == 0
    assert best_action(node, "mean") == 1
    assert best_action(node, "best") == 2


def test_ties_go_to_the_first_action() -> None:
    node = Node[str]("s", children={1: Node("b", visits=1), 0: Node("a", visits=1)})
    assert best_action(node, "mean") == 0


def test_nothing_can_be_decided_before_anything_was_tried() -> None:
    with pytest.raises(ValueError, match="no child was visited"):
        best_action(Node[str]("s", children={0: Node("a")}), "mean")
