"""The clip as the motion of rigid bodies that hang on one another, where a mesh comes in loose pieces
(:mod:`uni4d.fourd.bodies.skeleton`): far fewer numbers than those of all nodes, which the pictures tell more
surely. Whether it was one, the costs of both say (:mod:`uni4d.fourd.relevance`).

A piece that was lost in some frames stays lost, for it lies where nothing pulls it back. So frames that are
explained worse than others are tried again, with one piece after the other hanging on its parent as it does
in the frame after them, or before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch

from uni4d.fourd.bodies.body_descent import BodyDescent
from uni4d.fourd.bodies.skeleton import Skeleton
from uni4d.fourd.relevance import Relevance
from uni4d.fourd.sight import Sight
from uni4d.fourd.states import NodeState
from uni4d_shared.progress import Progress, section, silent

__all__ = ["articulated_path"]

_DAMPING, _LITTLE = 0.5, 2.0**-7
"""To begin with, and where only some frames are off."""
_SOFT, _FIRM_AFTER = 4.0, 0.5
"""The priors start with floors so many times as high, which fall to their own over this share of the rounds:
what the pictures are sure of comes first."""
_HOPELESS, _GIVEN_UP = 1.5, 6
"""Times the cost of bending from which rigid pieces are given up at once, and rounds after which they are if
they do not cost less."""
_SETTLED = 2e-4
"""Share of the cost; who gains less is done."""
_WORSE = 1.3
"""Times the median cost from which a frame is tried again."""
_SEARCHES, _TRIED, _STEPS = 8, 3, 4
"""How often pieces are looked for; how many that may have been lost are settled, by how many steps."""
_ELSEWHERE = 0.1
"""Radians, and radii, by which a piece must have hung otherwise …"""
_BETTER = 0.9995
"""… and the share of the cost that must be left when it hangs as before."""
_MOST_NUMBERS = 60_000_000
"""In the blocks of one system, about half a gigabyte; longer clips are left to the nodes."""


@torch.no_grad()
def articulated_path(
    sight: Sight,
    states: list[NodeState],
    skeleton: Skeleton,
    relevance: Relevance,
    rounds: int,
    most: float,
    progress: Progress = silent,
) -> list[NodeState] | None:
    """The motion of rigid bodies nearest to ``states``, the first of which is given, settled in at most
    ``rounds`` steps, and half as many where lost pieces were found; ``None`` if it costs more than ``most``,
    as soon as that is clear. ``sight``: at the finest level."""
    numbers = 3 * len(states) * (6 * skeleton.bodies) ** 2
    if min(skeleton.bodies, len(states)) < 2 or rounds < 1 or numbers > _MOST_NUMBERS:
        return None
    path = _Path(sight, skeleton, relevance)
    rigid = [states[0], *(skeleton.stiffened(state) for state in states[1:])]
    if sum(sight.costs(rigid)) > _HOPELESS * most:
        return None
    settled = path.settled(rigid, rounds, most, section(progress, 0.0, 0.6))
    if settled is None:
        return None
    found = path.repaired(settled, section(progress, 0.6, 0.8))
    if found is not settled:
        settled = path.polished(found, rounds // 2, section(progress, 0.8, 1.0))
    return settled if sum(sight.costs(settled)) + relevance.cost(settled) < most else None


@dataclass
class _Tale:
    """Says how far it is."""

    progress: Progress
    message: str
    share: float = 0.0

    def __call__(self) -> None:
        self.progress(self.share, self.message)


@dataclass(frozen=True)
class _Path:
    sight: Sight
    skeleton: Skeleton
    relevance: Relevance

    def settled(
        self, states: list[NodeState], rounds: int, most: float, progress: Progress
    ) -> list[NodeState] | None:
        tell = _Tale(progress, "trying the pieces as rigid bodies")
        descent = self._descent(states, range(1, len(states)), _DAMPING, tell)
        for number in range(rounds):
            tell.share = number / rounds
            softness = max(_SOFT ** (1.0 - number / (_FIRM_AFTER * rounds)), 1.0)
            gained = descent.step(self.relevance.softened(softness))
            if number == _GIVEN_UP and descent.cost(self.relevance) > most:
                return None
            if softness == 1.0 and gained < _SETTLED:
                break
        return descent.states

    def polished(self, states: list[NodeState], rounds: int, progress: Progress) -> list[NodeState]:
        tell = _Tale(progress, "settling the pieces that were lost")
        descent = self._descent(states, range(1, len(states)), _LITTLE, tell)
        for number in range(rounds):
            tell.share = number / rounds
            if descent.step(self.relevance) < _SETTLED:
                break
        return descent.states

    def repaired(self, states: list[NodeState], progress: Progress) -> list[NodeState]:
        """``states``, or others where pieces had been lost."""
        tell, pictures = _Tale(progress, "looking for lost pieces"), self.sight.costs(states)
        for number in range(_SEARCHES):
            tell.share = number / _SEARCHES
            better = self._better(states, pictures, tell)
            if better is None:
                break
            states, pictures = better
        return states

    def _better(
        self, states: list[NodeState], pictures: list[float], tell: _Tale
    ) -> tuple[list[NodeState], list[float]] | None:
        """The first that costs less with one piece hung otherwise; with what its pictures cost."""
        most = _BETTER * (sum(pictures) + self.relevance.cost(states))
        for run, beside in _worse(pictures):
            for hung in self._hung(states, run, beside, tell):
                descent = self._descent(hung, run, _LITTLE, tell)
                for _ in range(_STEPS):
                    descent.step(self.relevance)
                found = list(pictures)
                found[run.start : run.stop] = descent.pictures
                if sum(found) + self.relevance.cost(descent.states) < most:
                    return descent.states, found
        return None

    def _hung(self, states: list[NodeState], run: range, beside: int, tell: _Tale) -> list[list[NodeState]]:
        """``states``, with one piece hanging in ``run`` as in the frame ``beside``: those whose pictures cost
        least as they are."""
        found: list[tuple[float, list[NodeState]]] = []
        for body in self.skeleton.order[1:]:
            tell()
            hung = list(states)
            for frame in run:
                hung[frame] = self.skeleton.hung_as(states[frame], body, states[beside])
            moves = [hung[frame].steps_from(states[frame], self.skeleton.radius) for frame in run]
            if max(float(move.abs().max()) for move in moves) > _ELSEWHERE:
                looks = ((frame, self.sight.look(hung[frame], frame)) for frame in run)
                found.append((sum(self.sight.cost(*look) for look in looks), hung))
        return [hung for _, hung in sorted(found, key=lambda one: one[0])[:_TRIED]]

    def _descent(self, states: list[NodeState], frames: range, damping: float, tell: _Tale) -> BodyDescent:
        return BodyDescent(self.sight, self.skeleton, states, frames, damping, tell)


def _worse(costs: list[float]) -> Iterator[tuple[range, int]]:
    """Runs of frames that are explained worse than others, with the frame after, and with the one before."""
    bad = _WORSE * sorted(costs)[len(costs) // 2]
    for worse, group in groupby(range(len(costs)), lambda frame: costs[frame] > bad and frame > 0):
        if worse:
            frames = list(group)
            run = range(frames[0], frames[-1] + 1)
            yield from ((run, beside) for beside in (run.stop, run.start - 1) if beside < len(costs))
