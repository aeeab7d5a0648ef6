"""Rigid bodies, settled in several frames at once on the exact gradient of the pictures and the priors.

As for one rigid body (:mod:`uni4d.fourd.bodies.rigid_path`), the curvature of a frame's colours is only where
the descent begins, and exact gradients correct it from step to step. The damping may become next to nothing:
along the lines of sight the pictures say a hundred times less than across, so that a damping by a hundredth
of their curvature already stops all that has to move there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from uni4d.fourd.bodies.body_equations import BodyEquations, projected
from uni4d.fourd.bodies.rigid_path import corrected
from uni4d.fourd.bodies.skeleton import Skeleton
from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.relevance import Relevance
from uni4d.fourd.sight import Pull, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.threads import side_by_side

__all__ = ["BodyDescent"]

_LEAST_DAMPING, _MOST_DAMPING = 2.0**-24, 2.0**13
_EASED, _TIGHTENED, _TAKEN_UP = 2.0**-4, 4.0, 2.0**-13
"""After a step that was a gain; after one that was none, which raises it to at least the third."""
_TRIES = 6
_LARGEST_STEP, _SHORTER = 0.25, 0.5
"""Radians, and radii; and times that, if the step before was no gain."""
_SPLATS = 3_000
"""Visible ones that stand for a frame's curvature."""


class BodyDescent:
    """``states`` of all frames, of which ``frames`` are unknown."""

    def __init__(
        self,
        sight: Sight,
        skeleton: Skeleton,
        states: Sequence[NodeState],
        frames: range,
        damping: float,
        tell: Callable[[], None],
    ) -> None:
        """``states`` of rigid bodies; ``sight``: at the finest level; ``tell`` is called before every picture
        that takes long, and may raise to stop."""
        self._sight, self._skeleton, self._frames = sight, skeleton, frames
        self._damping, self._tell = damping, tell
        self.states = list(states)
        self._look()
        self._curvature = side_by_side(self._of_colors, frames)

    @property
    def pictures(self) -> list[float]:
        """What the picture of each unknown frame costs."""
        return [pull.cost for pull in self._pulls]

    def cost(self, relevance: Relevance) -> float:
        """Of the pictures of the unknown frames, and of the priors of all."""
        return sum(self.pictures) + relevance.cost(self.states)

    def step(self, relevance: Relevance) -> float:
        """One step; returns the share of the cost that it gained, 0 if no gain was to be found."""
        equations, cost = self._equations(relevance), self.cost(relevance)
        for number in range(_TRIES):
            steps = equations.solved(self._damping)
            if steps is not None:
                most = _LARGEST_STEP * _SHORTER**number
                steps = steps * min(1.0, most / float(steps.abs().max().clamp(min=1e-12)))
                tried = self._stepped(steps)
                reached = self._cost_as_large(tried) + relevance.cost(tried)
                if reached < cost:
                    self._damping = max(self._damping * _EASED, _LEAST_DAMPING)
                    self._go_on(tried, steps)
                    return 1.0 - reached / cost
            self._damping = min(max(self._damping, _TAKEN_UP) * _TIGHTENED, _MOST_DAMPING)
        return 0.0

    def _equations(self, relevance: Relevance) -> BodyEquations:
        weights = relevance.weights(self.states)
        equations = BodyEquations(self._moves)
        for index, frame in enumerate(self._frames):
            held = relevance.held(self.states[frame], weights)
            equations.add(index, self._curvature[index], self._gradient(index), held)
        relevance.tie(equations, self.states, weights, self._frames.start)
        return equations

    def _stepped(self, steps: Tensor) -> list[NodeState]:
        tried = list(self.states)
        for frame, step in zip(self._frames, steps.float(), strict=True):
            tried[frame] = self._skeleton.stepped(tried[frame], step.reshape(-1, 6))
        return tried

    def _cost_as_large(self, states: list[NodeState]) -> float:
        """Of the pictures, of splats that look as large as they do now."""

        def cost(frame: int) -> float:
            pull = self._pulls[frame - self._frames.start]
            return self._sight.cost_as_large(frame, states[frame], pull.depths)

        return sum(side_by_side(cost, self._frames, self._tell))

    def _go_on(self, states: list[NodeState], steps: Tensor) -> None:
        """To ``states``, which ``steps`` led to, and correct the curvature on the way."""
        before = [self._gradient(index) for index in range(len(self._frames))]
        self.states = states
        self._look()
        for index, step in enumerate(steps):
            change = self._gradient(index) - before[index]
            self._curvature[index] = corrected(self._curvature[index], step, change)

    def _look(self) -> None:
        def pull(frame: int) -> Pull:
            return self._sight.pull(frame, self.states[frame])

        self._pulls = side_by_side(pull, self._frames, self._tell)
        self._moves = [self._skeleton.moves(self.states[frame]) for frame in self._frames]

    def _gradient(self, index: int) -> Tensor:
        """``[6 B]``"""
        return self._moves[index].T @ self._pulls[index].gradient.double().reshape(-1)

    def _of_colors(self, frame: int) -> Tensor:
        """``[6 B, 6 B]``"""
        index = frame - self._frames.start
        seen = NormalEquations(len(self._skeleton.body))
        self._sight.add(seen, frame, self.states[frame], self._pulls[index].seen, _SPLATS)
        return projected(seen, self._moves[index])
