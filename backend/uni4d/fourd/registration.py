"""Where the nodes are in every frame: Gauss-Newton on the colours, from coarse to fine, frame after frame.

A frame starts from where the nodes were, from where they would be if they went on so, and from where the
optical flow says (a limb that moved by its own width); and from the whole object turned and shifted as one
rigid body (a full turn in 24 frames, a flight across the picture), whichever explains the frame better with
less motion. As long as a rigid body explains all, nothing else is tried; where nothing does, limbs that were
lost are turned until they are found (:mod:`uni4d.fourd.limbs`). A step solves the normal equations
of :mod:`uni4d.fourd.photometry` and :mod:`uni4d.fourd.elasticity`; five of them do what hundreds of gradient
steps do. What lights up or changes its colour would pull at the nodes: the parts take on the colours in which
they were last seen (:mod:`uni4d.fourd.colors.tints`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from uni4d.fourd.bodies.rigid_search import RigidSearch
from uni4d.fourd.checkpoint import Checkpoint, Kept
from uni4d.fourd.colors.tints import Palette, Tints
from uni4d.fourd.elasticity import Elasticity, NormalEquations
from uni4d.fourd.limbs import LimbSearch
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.sight import Seen, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.threads import side_by_side
from uni4d_shared.progress import Progress, section, silent

__all__ = ["RENDERINGS_PER_FRAME", "Registration"]

RENDERINGS_PER_FRAME = 40
"""About how many small and large pictures the search for one frame costs."""
_STEPS = (6, 6, 5, 3)
"""Gauss-Newton steps per level, coarse first."""
_DAMPING = 1e-2
_LARGEST_STEP = 0.3
"""Radians, and radii."""
_SETTLED = 3e-3
"""A step below which a level is done."""
_CONTINUED = 0.5
"""Share of the last frame's motion that is expected to go on."""
_SIMPLER = 1.25
"""Times the cost of a bent shape that a rigid one may have: it says the same with far fewer numbers."""
_COMPARED = 2
"""Levels after which the beginnings are compared."""
_LIMBS, _LIMB_LEVEL = 3, 1
"""How often a frame's lost limbs are looked for, and on which level first."""
_FLOW_STEPS = 5
_RIGID = 1e-3
"""Cost of the strain of a shape that has only been turned and shifted."""
_EXPLAINED = 1.5
_CLOSE = 0.05
"""A frame is explained when the cost per pixel is below ``_CLOSE`` and that many times what the splats at
rest have against their own photographs."""
_ALONE = 5.0
"""Times that cost a rigid shape may have as long as nothing has bent."""
_PLAUSIBLE = 2.0
"""Times the cost of an explained frame that a rigid shape may have, to be preferred as the simpler one."""
_WORSE = 1.2
"""Times the median cost from which a frame is tried again."""
_CLEARLY_BETTER = 0.6
"""Share of the cost below which the rigid guess is taken: a turn of the whole can mimic much that is not."""


@dataclass(frozen=True)
class _Guess:
    state: NodeState
    cost: float


@dataclass(frozen=True)
class _Look:
    """At a state on the finest level, and what it depends on."""

    frame: int
    state: NodeState
    tints: Tensor
    """``[G, 4]`` of the frame."""
    seen: Seen

    def shows(self, frame: int, state: NodeState, tints: Tensor) -> bool:
        return frame == self.frame and state is self.state and torch.equal(tints, self.tints)


@dataclass(frozen=True)
class _Followed:
    """How far the clip has been followed, as it is kept in a checkpoint."""

    states: list[NodeState]
    """Of the first frames."""
    tints: Tensor
    """``[T, G, 4]`` of all frames."""
    done: bool
    """All frames, looked back at."""

    def tensors(self) -> dict[str, Tensor]:
        return {
            "rotations": torch.stack([state.rotations for state in self.states]),
            "positions": torch.stack([state.positions for state in self.states]),
            "tints": self.tints,
            "done": torch.tensor(int(self.done)),
        }


class Registration:
    """Follows the nodes through the clip."""

    def __init__(
        self,
        sights: list[Sight],
        elasticity: Elasticity,
        graph: NodeGraph,
        radius: float,
        floor: float,
        palette: Palette,
    ) -> None:
        """``sights``: coarse first; ``floor``: cost per observation of the splats at rest against their
        photographs; ``palette``: of the splats."""
        self.tints = Tints(palette, len(sights[0].frames[0]))
        sights = [sight.lit(self.tints) for sight in sights]
        self._sights, self._elasticity = sights, elasticity
        self._nodes, self._radius = torch.from_numpy(graph.nodes), radius
        self._steps = _STEPS[-len(sights) :]
        self._explained = _EXPLAINED * floor + _CLOSE
        self._rigid = RigidSearch(sights, radius, self._explained)
        self._limbs = LimbSearch(sights[min(_LIMB_LEVEL, len(sights) - 1)], graph)
        self._last: _Look | None = None
        self._tell: Callable[[], None] = lambda: None
        """Says how far it is, and whether to go on; several times a frame."""

    @torch.no_grad()
    def follow(self, progress: Progress = silent, checkpoint: Checkpoint | None = None) -> list[NodeState]:
        """The nodes in each of the clip's frames."""
        checkpoint = checkpoint or Checkpoint()
        count = len(self._sights[0].frames[0])
        tints = self.tints.table
        known = checkpoint.recall("nodes", self._read) or _Followed([], tints, False)
        states = known.states
        tints.copy_(known.tints)
        if known.done:
            return states
        for frame in range(len(states), count):
            message = f"following the nodes, frame {frame + 1} of {count}"
            self._tell = partial(progress, 0.8 * frame / count, message)
            states.append(self._seen(frame, states))
            checkpoint.keep("nodes", _Followed(states, tints, False).tensors, done=frame + 1 == count)
            progress(0.8 * (frame + 1) / count, message)
        self._look_back(states, section(progress, 0.8, 1.0))
        checkpoint.keep("nodes", _Followed(states, tints, True).tensors, done=True)
        return states

    def _read(self, kept: Kept) -> _Followed:
        nodes = len(self._nodes)
        rotations, positions = (
            kept.tensor("rotations", None, nodes, 4),
            kept.tensor("positions", None, nodes, 3),
        )
        done, frames = kept.number("done", 1) == 1, len(self._sights[0].frames[0])
        if len(rotations) > frames or (done and len(rotations) < frames):
            raise ValueError(f"{len(rotations)} of {frames} frames are known")
        states = [NodeState(r.clone(), p.clone()) for r, p in zip(rotations, positions, strict=True)]
        return _Followed(states, kept.like("tints", self.tints.table), done)

    def _seen(self, frame: int, earlier: list[NodeState]) -> NodeState:
        """Located, in the colours that its parts have there: those of the frame before, unless others explain
        it far better."""
        self.tints.go_on(frame)
        state = self._locate(frame, earlier)
        if self._misfit(frame, state) >= self._explained:
            cost, known = self._cost(frame, state), self.tints.table[frame].clone()
            if self._learnt(frame, state):
                again = self._locate(frame, earlier)
                self._learnt(frame, again)
                if self._cost(frame, again) < _CLEARLY_BETTER * cost:
                    return again
                self.tints.table[frame] = known
        if not self.tints.plain:
            self._learnt(frame, state)
        return state

    def _learnt(self, frame: int, state: NodeState) -> bool:
        """Take on the parts' colours as they are where ``state`` has them; whether they are others."""
        found = self._sights[-1].differences(frame, self._look(frame, state))
        splats, colors = (torch.cat(values) for values in zip(*found, strict=True))
        return self.tints.learn(frame, splats, colors)

    def _look_back(self, states: list[NodeState], progress: Progress) -> None:
        """Frames that are explained worse than most are tried again, from the frame after."""
        costs = [self._cost(frame, state) for frame, state in enumerate(states)]
        bad = _WORSE * sorted(costs)[len(costs) // 2]
        count = len(states)
        for frame in reversed(range(count - 1)):
            message = f"looking back, frame {frame + 1} of {count}"
            self._tell = partial(progress, 1.0 - (frame + 1) / count, message)
            self._tell()
            if costs[frame] > bad:
                after = states[frame + 1]
                again = self._solved(frame, after, after, range(len(self._sights))).state
                if self._cost(frame, again) < costs[frame]:
                    states[frame] = again

    def _cost(self, frame: int, state: NodeState) -> float:
        """Of the colours alone."""
        return self._sights[-1].cost(frame, self._look(frame, state))

    def _look(self, frame: int, state: NodeState) -> Seen:
        """On the finest level; what is asked for again and again is drawn once."""
        last, tints = self._last, self.tints.table[frame]
        if last is None or not last.shows(frame, state, tints):
            last = _Look(frame, state, tints.clone(), self._sights[-1].look(state, frame))
            self._last = last
        return last.seen

    def _locate(self, frame: int, earlier: list[NodeState]) -> NodeState:
        before = earlier[-1] if earlier else NodeState.rest(self._nodes)
        ahead = before.extrapolated(earlier[-2], 1.0) if len(earlier) > 1 else before
        bent: _Guess | None = None
        if self._elasticity.cost(before, before) > _RIGID:
            bent = self._bent(frame, earlier, before)
            if self._misfit(frame, bent.state) < self._explained:
                return bent.state
        whole = self._still_or(frame, before, self._rigid.located(frame, before, ahead))
        misfit = self._misfit(frame, whole)
        if misfit < self._explained * (1.0 if bent else _ALONE):
            return whole
        bent = bent or self._bent(frame, earlier, before)
        self._tell()
        again = self._solved(frame, whole, before, range(len(self._sights)))
        if again.cost < _CLEARLY_BETTER * bent.cost:
            bent = again
        simple = self._cost(frame, whole) + self._elasticity.cost(whole, before)
        plausible = misfit < _PLAUSIBLE * self._explained
        if plausible and simple < _SIMPLER * bent.cost:
            return whole
        return self._with_limbs(frame, bent, before).state

    def _still_or(self, frame: int, before: NodeState, moved: NodeState) -> NodeState:
        """``moved``, unless standing still costs less: a vase can be turned for nothing."""
        costs = [self._cost(frame, state) + self._elasticity.cost(state, before) for state in (before, moved)]
        return before if costs[0] < costs[1] else moved

    def _misfit(self, frame: int, state: NodeState) -> float:
        return self._sights[-1].misfit(frame, self._look(frame, state))

    def _bent(self, frame: int, earlier: list[NodeState], before: NodeState) -> _Guess:
        """The best of several beginnings on coarse pictures, followed to the finest: where the nodes were,
        where they would be if they went on so, and where the optical flow says."""
        guesses = [before]
        if len(earlier) > 1:
            guesses.append(before.extrapolated(earlier[-2], _CONTINUED))
        if earlier:
            guesses.append(self._flowed(frame, before))
        coarse = min(_COMPARED, len(self._sights))
        tried = self._tried(frame, guesses, before, range(coarse))
        best = min(tried, key=lambda guess: guess.cost)
        self._tell()
        return self._solved(frame, best.state, before, range(coarse, len(self._sights)))

    def _with_limbs(self, frame: int, bent: _Guess, before: NodeState) -> _Guess:
        """``bent``, with limbs turned to where ``frame`` shows them, if it is not explained without."""
        levels = len(self._sights)
        first, middle = (min(_LIMB_LEVEL + ahead, levels - 1) for ahead in (0, 2))
        if frame == 0 or self._misfit(frame, bent.state) < self._explained:
            return bent
        then = self._limbs.gains(frame - 1, before)
        for _ in range(_LIMBS):
            beginnings = self._limbs.beginnings(frame, bent.state, before, then, self._tell)
            if not beginnings:
                break
            tried = self._tried(frame, beginnings, before, range(first, middle))
            best = min(tried, key=lambda guess: guess.cost)
            self._tell()
            best = self._solved(frame, best.state, before, range(middle, levels))
            if best.cost >= bent.cost:
                break
            bent = best
            if self._misfit(frame, bent.state) < self._explained:
                break
        return bent

    def _flowed(self, frame: int, before: NodeState) -> NodeState:
        """``before``, moved as the optical flow says."""
        sight = self._sights[-1]
        targets = sight.flowed(frame, self._look(frame, before))
        state = before
        for _ in range(_FLOW_STEPS):
            equations = NormalEquations(len(self._nodes))
            sight.add_flow(equations, state, targets, sight.carried(state).means)
            self._elasticity.add(equations, state, before)
            move = equations.solved(_DAMPING)
            state = state.stepped(move.clamp(-_LARGEST_STEP, _LARGEST_STEP), self._radius)
        return state

    def _tried(
        self, frame: int, beginnings: list[NodeState], before: NodeState, levels: range
    ) -> list[_Guess]:
        return side_by_side(lambda state: self._solved(frame, state, before, levels), beginnings, self._tell)

    def _solved(self, frame: int, state: NodeState, before: NodeState, levels: range) -> _Guess:
        guess = _Guess(state, math.inf)
        for level in levels:
            guess = self._descended(frame, guess.state, before, level)
        return guess

    def _descended(self, frame: int, state: NodeState, before: NodeState, level: int) -> _Guess:
        """The best state on the way of one level's steps."""
        sight = self._sights[level]
        best, largest = _Guess(state, math.inf), math.inf
        for step in range(self._steps[level] + 1):
            seen = sight.look(state, frame)
            cost = sight.cost(frame, seen) + self._elasticity.cost(state, before)
            if cost < best.cost:
                best = _Guess(state, cost)
            if step == self._steps[level] or largest < _SETTLED:
                break
            equations = NormalEquations(len(self._nodes))
            sight.add(equations, frame, state, seen)
            self._elasticity.add(equations, state, before)
            move = equations.solved(_DAMPING)
            largest = float(move.abs().max())
            state = state.stepped(move.clamp(-_LARGEST_STEP, _LARGEST_STEP), self._radius)
        return best
