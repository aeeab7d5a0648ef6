"""Monte Carlo tree search over an environment without chance.

One simulation selects a leaf by UCT, expands it by an action that was not tried there, goes on with random
actions to the horizon, and adds the discounted return to every edge on the way. Several simulations may be
on their way at once; they are counted as they start, and taken in in the order in which they started, so a
search depends on its seed and on how many run at once, never on which of them is faster.

After a decision the chosen child is the new root, with all that is known below it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from attrs import frozen

from uni4d.training.schedules.tree import Node, Spread, best_action, uct

__all__ = ["Environment", "Transition", "TreeSearch"]

State = TypeVar("State")


@frozen
class Transition(Generic[State]):
    """Where one action led."""

    state: State
    reward: float
    final: bool = False


class Environment(Protocol[State]):
    """What is searched."""

    @property
    def actions(self) -> int:
        """Actions ``0 … actions − 1`` are possible in every state that is not final."""
        ...

    def begin(self, state: State, actions: Sequence[int]) -> Callable[[], list[Transition[State]]]:
        """Start to act from ``state``; the function that is returned waits for the transitions, one per
        action, fewer when a final state comes earlier."""
        ...


@frozen
class _Simulation(Generic[State]):
    """One that is on its way."""

    path: list[Node[State]]
    """From the root to the new node."""
    result: Callable[[], list[Transition[State]]]


class TreeSearch(Generic[State]):
    """A search with a root that moves.

    Args:
        environment: What is searched.
        state: Where to begin.
        horizon: Actions from the root to the end of a simulation.
        discount: γ.
        exploration: c of :func:`~uni4d.training.schedules.tree.uct`.
        parallel: Simulations on their way at once.
    """

    def __init__(
        self,
        environment: Environment[State],
        state: State,
        *,
        horizon: int,
        discount: float = 1.0,
        exploration: float = 2.0**0.5,
        parallel: int = 1,
        seed: int = 0,
    ) -> None:
        self._environment = environment
        self._horizon, self._discount, self._exploration = horizon, discount, exploration
        self._parallel, self._seed = parallel, seed
        self._begun = 0
        self.origin: Node[State] = Node(state)
        """Where the search began."""
        self.root = self.origin
        self.spread = Spread()

    def simulate(self, count: int, proceed: Callable[[], bool] = lambda: True) -> int:
        """Up to ``count`` simulations, as long as ``proceed()``; returns how many were made."""
        under_way: deque[_Simulation[State]] = deque()
        begun = 0
        while begun < count or under_way:
            simulation = None
            if begun < count and len(under_way) < self._parallel and proceed():
                simulation = self._begin()
            if simulation is not None:
                under_way.append(simulation)
                begun += 1
            elif under_way:
                self._finish(under_way.popleft())
            else:
                break
        return begun

    def commit(self, decide: str = "mean") -> int:
        """Take the best action of the root; its child becomes the root."""
        action = best_action(self.root, decide)
        self.root.chosen = action
        self.root = self.root.children[action]
        return action

    # --- one simulation -------------------------------------------------------------------------------

    def _begin(self) -> _Simulation[State] | None:
        """Select, expand, and start to act; ``None`` when every way leads to a node that is on its way."""
        generator = np.random.default_rng((self._seed, self._begun))
        path = self._selected()
        if path is None:
            return None
        leaf = path[-1]
        left = self._horizon - (leaf.depth - self.root.depth)
        self._begun += 1
        if leaf.final or left <= 0:
            return self._counted(path, lambda: [])
        action = int(generator.choice(self._untried(leaf)))
        child: Node[State] = Node(depth=leaf.depth + 1)
        leaf.children[action] = child
        actions = [action, *generator.integers(self._environment.actions, size=left - 1).tolist()]
        state = leaf.state
        if state is None:
            raise RuntimeError("a node was expanded before its state was known")
        return self._counted([*path, child], self._environment.begin(state, actions))

    def _counted(
        self, path: list[Node[State]], result: Callable[[], list[Transition[State]]]
    ) -> _Simulation[State]:
        for node in path:
            node.pending += 1
        return _Simulation(path, result)

    def _selected(self) -> list[Node[State]] | None:
        """From the root to a node with untried actions, a final one, or one at the horizon."""
        path = [self.root]
        while True:
            node = path[-1]
            at_end = node.final or node.depth - self.root.depth >= self._horizon
            if at_end or self._untried(node):
                return path
            tried = list(node.tried.values())
            if not tried:
                return None
            path.append(max(tried, key=lambda child: uct(node, child, self._exploration, self.spread.value)))

    def _untried(self, node: Node[State]) -> list[int]:
        return [action for action in range(self._environment.actions) if action not in node.children]

    def _finish(self, simulation: _Simulation[State]) -> None:
        transitions = simulation.result()
        leaf = simulation.path[-1]
        rest = transitions
        if transitions:
            first, rest = transitions[0], transitions[1:]
            leaf.state, leaf.reward, leaf.final = first.state, first.reward, first.final
        value = 0.0
        for transition in reversed(rest):
            value = transition.reward + self._discount * value
        for node in reversed(simulation.path):
            node.pending -= 1
            node.visits += 1
            if node is self.root:
                break
            value = node.reward + self._discount * value
            node.total += value
            node.best = max(node.best, value)
            self.spread.add(value)
