"""The tree search as a strategy (Uni4D §3.3): rollouts train for real, the live training is committed
interval by interval.

The first interval of a simulation is the edge that it adds to the tree; the rest of the rollout leaves
figures, and snapshots in case that the tree grows that way. The child that a decision chooses has been
trained already, bit for bit as the live training would be: it is adopted, and costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from uni4d.training.schedules.mcts import Transition, TreeSearch
from uni4d.training.schedules.mdp import Action, chosen
from uni4d.training.schedules.run import Outcome, Point, Run

__all__ = ["TrainingEnvironment", "search_with_tree", "tree_search"]


@frozen(eq=False)
class TrainingEnvironment:
    """A run as an environment: a state is a point, an action changes its setting and trains an interval."""

    run: Run
    actions: int = len(Action)

    def begin(self, state: Point, actions: Sequence[int]) -> Callable[[], list[Transition[Point]]]:
        setting, settings = state.setting(self.run.first), []
        for action in actions:
            setting = chosen(action, setting, self.run.config)
            settings.append(setting)
        # A known interval costs nothing, so more would often fit; what is certain to fit is enough.
        settings = settings[: max(self.run.intervals_left, 1)]
        finish = self.run.begin(state, settings, "rollout", keep=len(settings))
        return lambda: [Transition(point, point.reward, point.figures.diverged) for point in finish()]


def tree_search(run: Run, seed: int) -> Outcome:
    """Decide, commit, and go on until the budget is spent."""
    return search_with_tree(run, seed)[0]


def search_with_tree(run: Run, seed: int) -> tuple[Outcome, TreeSearch[Point]]:
    """The same, with the tree for those who want to see it."""
    config = run.config
    search = TreeSearch(
        TrainingEnvironment(run),
        run.start,
        horizon=config.horizon,
        discount=config.discount,
        exploration=config.exploration,
        parallel=run.parallel,
        seed=seed,
    )
    while run.intervals_left and not search.root.final:
        search.simulate(config.simulations, lambda: run.intervals_left > 0)
        if not search.root.tried:
            break
        search.commit(config.decide)
    while search.root.tried:  # what is left of the tree was paid for
        search.commit(config.decide)
    end = _end(search)
    explored = [point for point in run.points.values() if not point.figures.diverged]
    best = run.best_of(explored if config.keep == "explored" else run.along(end))
    if config.keep == "explored":
        end = best
    return Outcome(end, best), search


def _end(search: TreeSearch[Point]) -> Point:
    """The last committed point that did not diverge."""
    node, end = search.origin, search.origin.state
    while node.chosen is not None:
        node = node.children[node.chosen]
        if node.state is None or node.final:
            break
        end = node.state
    if end is None:
        raise RuntimeError("the origin of a search has a state")
    return end
