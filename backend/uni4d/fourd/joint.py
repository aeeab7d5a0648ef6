"""All frames together, by Gauss-Newton: where one frame leaves open what moved, the whole clip decides.

Each step takes the exact gradient of the rendered pictures (:meth:`~uni4d.fourd.sight.Sight.pull`), the
curvature of their colours (:mod:`uni4d.fourd.photometry`), and the priors of :mod:`uni4d.fourd.relevance`,
which tie the frames to one another, and solves for all nodes of all frames at once
(:mod:`uni4d.fourd.banded`). Pictures are trusted only about the place where they were drawn; the damping is
on what they say alone, for along the lines of sight, where they say little, the priors have to move things
far. What is no gain is tried shorter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uni4d.fourd.banded import BandedEquations
from uni4d.fourd.bodies.articulated_path import articulated_path
from uni4d.fourd.bodies.rigid_path import rigid_path
from uni4d.fourd.bodies.skeleton import Skeleton
from uni4d.fourd.checkpoint import Checkpoint, Kept
from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.relevance import Relevance
from uni4d.fourd.sight import Pull, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.threads import side_by_side
from uni4d_shared.progress import Progress, section, silent

__all__ = ["RENDERINGS_PER_ROUND", "JointRegistration"]

RENDERINGS_PER_ROUND = 3
"""Pictures of a frame that one round draws: where it stands, where it goes, and the gradient."""
_DAMPING = 0.5
_LEAST_DAMPING, _MOST_DAMPING = 2.0**-20, 2.0**13
_EASED, _TIGHTENED = 0.25, 4.0
"""Powers of two, of which a checkpoint loses nothing."""
_TRIES = 8
_LARGEST_STEP, _SHORTER = 0.1, 0.5
"""Radians, and radii; and times that, if the step before was no gain: the damping does not hold back what the
priors want."""
_SOFT, _FIRM_AFTER = 8.0, 0.5
"""The priors start with floors so many times as high, which fall to their own over this share of the rounds:
what the pictures are sure of comes first."""
_SETTLED = 2e-4
"""Share of the cost; who gains less is done."""
_SIMPLER = 2.0
"""Times the pictures' cost in the end that one rigid body may have to be the answer: an edge that is drawn a
little too wide can be mended by bending, too."""
_STEPS_OF_PIECES = 3
"""Per round: they are far fewer numbers."""
_SPLATS = 3_000
"""Visible ones that stand for a frame's curvature."""
_MOST_NUMBERS = 60_000_000
"""In the blocks of one system, about half a gigabyte; longer clips are solved by windows of frames."""


@dataclass(frozen=True)
class _Place:
    """How far the rounds have come."""

    states: list[NodeState]
    rigid: list[NodeState]
    """Of the rigid body, or bodies, that they began with; else none."""
    damping: float
    done: int

    def tensors(self) -> dict[str, Tensor]:
        return {
            **_stacked(self.states, ""),
            **_stacked(self.rigid, "rigid_"),
            "damping": torch.tensor(self.damping),
            "rounds": torch.tensor(self.done),
        }


class JointRegistration:
    """Settles the nodes of all frames but the first, which is at rest."""

    def __init__(
        self, sight: Sight, relevance: Relevance, radius: float, skeleton: Skeleton | None = None
    ) -> None:
        """``sight``: at the finest level; ``skeleton``: loose pieces that may be rigid bodies."""
        self._sight, self._relevance, self._radius = sight, relevance, radius
        self._skeleton = skeleton

    @torch.no_grad()
    def settled(
        self,
        states: list[NodeState],
        rounds: int,
        progress: Progress = silent,
        checkpoint: Checkpoint | None = None,
    ) -> list[NodeState]:
        """``states``, after at most ``rounds`` steps: from one rigid body for a start, or from rigid pieces,
        where that will do, and no further than that where the pictures are not far better explained in the
        end."""
        if len(states) < 2:
            return states
        checkpoint = checkpoint or Checkpoint()
        place = checkpoint.recall("joint", lambda kept: _read(kept, states, rounds))
        if place is None:
            rigid = self._rigid(states, rounds, section(progress, 0.0, 0.5))
            place = _Place(rigid or states, rigid, _DAMPING, 0)
        pulls = self._pulls(place.states, range(1, len(states))) if place.done < rounds else {}
        while place.done < rounds:
            progress(0.5 + 0.5 * place.done / rounds, f"settling all frames together, round {place.done + 1}")
            softness = max(_SOFT ** (1.0 - place.done / (_FIRM_AFTER * rounds)), 1.0)
            relevance = self._relevance.softened(softness)
            before = self._cost(place.states, pulls, relevance)
            place = self._round(place, pulls, relevance)
            gained = before - self._cost(place.states, pulls, relevance)
            if softness == 1.0 and gained < _SETTLED * before:
                place = replace(place, done=rounds)
            checkpoint.keep("joint", place.tensors, done=place.done == rounds)
        if not place.rigid:
            return place.states
        simple, bent = (sum(self._sight.costs(found)) for found in (place.rigid, place.states))
        return place.rigid if simple < _SIMPLER * bent else place.states

    def _rigid(self, states: list[NodeState], rounds: int, progress: Progress) -> list[NodeState]:
        """One rigid body, or rigid pieces, where that explains the clip with less; else nothing."""
        bent = sum(self._sight.costs(states)) + self._relevance.cost(states)
        found = rigid_path(self._sight, states, self._radius, bent, section(progress, 0.0, 0.4))
        if found is not None and found[1] + self._relevance.cost(found[0]) < bent:
            return found[0]
        if self._skeleton is None:
            return []
        about = self._sight, states, self._skeleton, self._relevance
        steps, own = _STEPS_OF_PIECES * rounds, section(progress, 0.4, 1.0)
        return articulated_path(*about, steps, bent, own) or []

    def _cost(self, states: list[NodeState], pulls: dict[int, Pull], relevance: Relevance) -> float:
        return sum(pull.cost for pull in pulls.values()) + relevance.cost(states)

    def _round(self, place: _Place, pulls: dict[int, Pull], relevance: Relevance) -> _Place:
        """One step of every window; ``pulls`` are kept up to date."""
        states, damping = place.states, place.damping
        for window in self._windows(states):
            states, damping = self._stepped(states, pulls, relevance, window, damping)
        return replace(place, states=states, damping=damping, done=place.done + 1)

    def _stepped(
        self,
        states: list[NodeState],
        pulls: dict[int, Pull],
        relevance: Relevance,
        window: range,
        damping: float,
    ) -> tuple[list[NodeState], float]:
        equations = self._equations(states, pulls, relevance, window)
        cost = sum(pulls[frame].cost for frame in window) + relevance.cost(states)
        for number in range(_TRIES):
            steps = equations.solved(damping)
            most = _LARGEST_STEP * _SHORTER**number
            steps = steps * min(1.0, most / float(steps.abs().max().clamp(min=1e-12)))
            tried = list(states)
            for frame, step in zip(window, steps, strict=True):
                tried[frame] = states[frame].stepped(step, self._radius)
            if self._cost_as_large(tried, pulls, window) + relevance.cost(tried) < cost:
                pulls.update(self._pulls(tried, window))
                return tried, max(damping * _EASED, _LEAST_DAMPING)
            damping = min(damping * _TIGHTENED, _MOST_DAMPING)
        return states, damping

    def _equations(
        self, states: list[NodeState], pulls: dict[int, Pull], relevance: Relevance, window: range
    ) -> BandedEquations:
        weights = relevance.weights(states)
        count = len(states[0].positions)
        equations = BandedEquations(len(window), count)

        def of(frame: int) -> tuple[NormalEquations, NormalEquations]:
            seen = NormalEquations(count)
            self._sight.add(seen, frame, states[frame], pulls[frame].seen, _SPLATS)
            seen.gradient = pulls[frame].gradient
            return seen, relevance.held(states[frame], weights)

        for number, (seen, held) in enumerate(side_by_side(of, window)):
            equations.add(number, seen, held)
        relevance.tie(equations, states, weights, window.start)
        return equations

    def _pulls(self, states: list[NodeState], frames: range) -> dict[int, Pull]:
        pulls = side_by_side(lambda frame: self._sight.pull(frame, states[frame]), frames)
        return dict(zip(frames, pulls, strict=True))

    def _cost_as_large(self, states: list[NodeState], pulls: dict[int, Pull], frames: range) -> float:
        def cost(frame: int) -> float:
            return self._sight.cost_as_large(frame, states[frame], pulls[frame].depths)

        return sum(side_by_side(cost, frames))

    def _windows(self, states: list[NodeState]) -> list[range]:
        size = (6 * len(states[0].positions)) ** 2
        most = max(_MOST_NUMBERS // size, 2)
        return [range(first, min(first + most, len(states))) for first in range(1, len(states), most)]


def _stacked(states: list[NodeState], prefix: str) -> dict[str, Tensor]:
    rotations, positions = [state.rotations for state in states], [state.positions for state in states]
    return {
        f"{prefix}rotations": torch.stack(rotations) if states else torch.zeros(0, 0, 4),
        f"{prefix}positions": torch.stack(positions) if states else torch.zeros(0, 0, 3),
    }


def _read(kept: Kept, states: list[NodeState], rounds: int) -> _Place:
    nodes = len(states[0].positions)

    def read(prefix: str, frames: int, count: int) -> list[NodeState]:
        rotations = kept.tensor(f"{prefix}rotations", frames, count, 4)
        positions = kept.tensor(f"{prefix}positions", frames, count, 3)
        return [NodeState(r.clone(), p.clone()) for r, p in zip(rotations, positions, strict=True)]

    rigid = len(kept.tensor("rigid_positions", None, None, 3)) > 0
    known = read("rigid_", len(states), nodes) if rigid else []
    damping = float(kept.tensor("damping"))
    if not _LEAST_DAMPING <= damping <= _MOST_DAMPING:
        raise ValueError(f"damping is {damping}")
    return _Place(read("", len(states), nodes), known, damping, kept.number("rounds", rounds))
