"""The search tree: nodes, what they are worth, and the arithmetic of choosing among them.

    UCT(v') = Q(v') / N(v') + c σ √( ln(N(v) + O(v)) / (N(v') + O(v')) )

Q sums the returns that went through an edge, N counts them, O counts simulations on their way that have not
returned yet (WU-UCT, Liu et al. 2020), which keeps parallel simulations apart; σ is the running spread of
returns, highest minus lowest, so that c has one meaning whatever the scale of rewards: UCB1 (Auer et al.
2002) asks for returns in [0, 1]. In units of their standard deviation a search would give up a branch whose
reward lies deep before a rollout has met it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["Node", "Spread", "best_action", "uct"]

State = TypeVar("State")


@define(eq=False)
class Node(Generic[State]):
    """One state with the edge that leads to it."""

    state: State | None = None
    """``None`` while the simulation that expands it is on its way."""
    reward: float = 0.0
    """Of the edge that leads here."""
    final: bool = False
    """Nothing comes after it."""
    depth: int = 0
    """Edges from the origin of the tree."""
    visits: int = 0
    """N"""
    total: float = 0.0
    """Q: the sum of discounted returns from the edge that leads here."""
    best: float = -math.inf
    """The highest of them."""
    pending: int = 0
    """O"""
    children: dict[int, Node[State]] = field(factory=dict)
    """By action."""
    chosen: int | None = None
    """The action that was committed here."""

    @property
    def mean(self) -> float:
        return self.total / self.visits if self.visits else 0.0

    @property
    def tried(self) -> dict[int, Node[State]]:
        """Children that have been visited."""
        return {action: child for action, child in self.children.items() if child.visits}

    def walk(self) -> Iterator[Node[State]]:
        """This node and all below it."""
        yield self
        for action in sorted(self.children):
            yield from self.children[action].walk()


@define
class Spread:
    """How far apart the returns lie that have been seen."""

    lowest: float = math.inf
    highest: float = -math.inf

    def add(self, value: float) -> None:
        self.lowest, self.highest = min(self.lowest, value), max(self.highest, value)

    @property
    def value(self) -> float:
        """1 as long as all returns are equal: then visits alone tell children apart."""
        return self.highest - self.lowest if self.highest > self.lowest else 1.0


def uct(parent: Node[State], child: Node[State], exploration: float, spread: float) -> float:
    """The formula above; ``child`` must have been visited."""
    tried = child.visits + child.pending
    around = max(parent.visits + parent.pending, 1)
    return child.mean + exploration * spread * math.sqrt(math.log(around) / tried)


def best_action(node: Node[State], decide: str) -> int:
    """The action to commit: by ``mean`` return, ``visits``, or the ``best`` single return.

    Ties go to more visits, a higher mean, and then to the first action.
    """
    tried = node.tried
    if not tried:
        raise ValueError("no child was visited")

    def key(action: int) -> tuple[float, float, float, int]:
        child = tried[action]
        first = {"mean": child.mean, "visits": float(child.visits), "best": child.best}[decide]
        return (first, float(child.visits), child.mean, -action)

    return max(tried, key=key)
