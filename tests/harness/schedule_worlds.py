"""Environments whose best actions are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from attrs import field, frozen

from uni4d.training.schedules.mcts import Transition

__all__ = ["Chain", "Quadratic", "best_return"]


@frozen
class Chain:
    """A chain that is walked to the right: a step to the left is paid at once, the far end is worth more.

    States are ``(place, moves left)``; action 1 goes right, 0 left.
    """

    length: int = 4
    actions: int = 2
    begun: list[int] = field(factory=list)

    def begin(
        self, state: tuple[int, int], actions: Sequence[int]
    ) -> Callable[[], list[Transition[tuple[int, int]]]]:
        self.begun.append(len(actions))
        transitions = []
        place, left = state
        for action in actions:
            if left == 0:
                break
            place, left = (place + 1 if action else max(place - 1, 0)), left - 1
            reward = 1.0 if place == self.length else 0.02 if not action else 0.0
            final = place == self.length or left == 0
            transitions.append(Transition((place, left), reward, final))
            if final:
                break
        return lambda: transitions


@frozen
class Quadratic:
    """Gradient descent on ½ Σ h_i x_i² with curvatures h; an action sets the rate of the next step.

    The best rates are known: with as many steps as there are curvatures, the inverse curvatures in any
    order bring the loss to zero (each removes its own coordinate exactly), and no constant rate does. The
    reward is the logarithm by which the loss falls, so that returns add up to the whole fall.
    """

    curvatures: tuple[float, ...] = (1.0, 4.0)
    rates: tuple[float, ...] = (0.05, 0.25, 0.4, 1.0)

    @property
    def actions(self) -> int:
        return len(self.rates)

    def begin(
        self, state: tuple[float, ...], actions: Sequence[int]
    ) -> Callable[[], list[Transition[tuple[float, ...]]]]:
        transitions = []
        for action in actions:
            before, rate = self.loss(state), self.rates[action]
            state = tuple(
                place * (1.0 - rate * curvature)
                for place, curvature in zip(state, self.curvatures, strict=True)
            )
            transitions.append(Transition(state, before - self.loss(state)))
        return lambda: transitions

    def loss(self, state: tuple[float, ...]) -> float:
        return 0.5 * sum(h * x * x for h, x in zip(self.curvatures, state, strict=True))


def best_return(world: Quadratic, state: tuple[float, ...], steps: int) -> float:
    """The highest sum of rewards, by trying everything."""
    returns = []
    for actions in product(range(world.actions), repeat=steps):
        returns.append(sum(transition.reward for transition in world.begin(state, actions)()))
    return max(returns)
