"""What strains and what moves, learnt over the whole clip: automatic relevance determination (MacKay 1994,
Tipping 2001).

A piece of wood keeps its shape in every frame, a hinge bends in many; feet stand, arms swing. So a residual
r_tj of C numbers (the stretch of edge j in frame t, its bend, the velocity or the acceleration of node j) is
normal with a variance that belongs to j for all of the clip, and which is not known. With the variance that
fits best put in, and never less than a floor s², its cost is, up to constants,

    C T log(1 + m_j / s²),      m_j = mean over t and the C numbers of r_tj².

The logarithm wants most of the m_j to be nothing at all and lets the few others be: rigid parts between loose
hinges, if the clip can be explained by them, and a body that is soft everywhere where it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from uni4d.fourd.elasticity import Elasticity, NormalEquations, Strain
from uni4d.fourd.states import NodeState

__all__ = ["Floors", "Relevance", "Weights"]


_PIXELS = 150.0


@dataclass(frozen=True)
class Floors:
    """Standard deviations below which nothing is told apart from none at all, where the object's radius is
    ``_PIXELS`` pixels of the clip, and weights of the priors."""

    stretch: float = 0.001
    bend: float = 0.005
    """radians"""
    move: float = 0.001
    """radii per frame"""
    turn: float = 0.004
    """radians per frame"""
    jerk: float = 0.002
    """radii per frame, from one frame to the next"""
    twist: float = 0.008
    """radians per frame, from one frame to the next"""
    bending: float = 0.5
    """Weight of the bends beside the stretches: they say much the same."""
    moving: float = 0.5
    """Weight of the velocities beside the accelerations."""

    @classmethod
    def seen_at(cls, pixels: float) -> Floors:
        """Of an object with a radius of ``pixels``: small pictures tell less apart."""
        return cls().raised(_PIXELS / pixels)

    def raised(self, times: float) -> Floors:
        """All deviations ``times`` as large: small differences cost less."""
        names = ("stretch", "bend", "move", "turn", "jerk", "twist")
        return replace(self, **{name: times * getattr(self, name) for name in names})


class Weights(NamedTuple):
    """Inverse variances."""

    stretch: Tensor  # [2 E]
    bend: Tensor  # [2 E]
    moves: Tensor  # [K, 6]
    jerks: Tensor  # [K, 6]


class TiedFrames(Protocol):
    """Equations of several frames, such as :class:`~uni4d.fourd.banded.BandedEquations`."""

    def tie(self, first: int, coefficients: Sequence[float], weights: Tensor, residuals: Tensor) -> None:
        """Add ½ Σ w (Σ_s c_s δ_{first + s} + r)² over the nodes."""


class Relevance:
    """The priors of one clip's motion."""

    def __init__(self, elasticity: Elasticity, radius: float, floors: Floors | None = None) -> None:
        self._elasticity, self._radius = elasticity, radius
        self._floors = floors or Floors()

    def softened(self, times: float) -> Relevance:
        """With floors ``times`` as high."""
        return Relevance(self._elasticity, self._radius, self._floors.raised(times))

    def cost(self, states: Sequence[NodeState]) -> float:
        """Of all frames; the first is given."""
        return sum(cost for cost, _ in self._groups(self._strains(states), self._moves(states)))

    def weights(self, states: Sequence[NodeState]) -> Weights:
        """Of the squares that touch the cost at ``states`` and lie above it elsewhere."""
        groups = self._groups(self._strains(states), self._moves(states))
        stretch, bend, *paths = (weights for _, weights in groups)
        turn, move, twist, jerk = (weights[:, None].expand(-1, 3) for weights in paths)
        return Weights(stretch, bend, torch.cat([turn, move], dim=1), torch.cat([twist, jerk], dim=1))

    def held(self, state: NodeState, weights: Weights) -> NormalEquations:
        """The strain of one frame."""
        equations = NormalEquations(len(state.positions))
        strain = self._elasticity.strain(state)
        self._elasticity.add_strain(equations, state, strain, weights.stretch, weights.bend)
        return equations

    def tie(self, equations: TiedFrames, states: Sequence[NodeState], weights: Weights, first: int) -> None:
        """Tie the frames of ``equations``, the first of which is the clip's frame ``first``."""
        moves = self._moves(states)
        for frame, step in enumerate(moves):
            equations.tie(frame - first, (-1.0, 1.0), weights.moves, step)
        for frame, change in enumerate(moves[1:] - moves[:-1]):
            equations.tie(frame - first, (1.0, -2.0, 1.0), weights.jerks, change)

    def _strains(self, states: Sequence[NodeState]) -> Strain:
        """``[T − 1, 2 E, 3]`` each."""
        return self._elasticity.strain(NodeState.stacked(states[1:]))

    def _moves(self, states: Sequence[NodeState]) -> Tensor:
        """``[T − 1, K, 6]``"""
        return NodeState.stacked(states[1:]).steps_from(NodeState.stacked(states[:-1]), self._radius)

    def _groups(self, strains: Strain, moves: Tensor) -> list[tuple[float, Tensor]]:
        """Cost and weights of stretch, bend, turns, moves, twists and jerks."""
        floors, jerks = self._floors, moves[1:] - moves[:-1]
        return [
            _group(strains.stretch, floors.stretch, 1.0),
            _group(strains.bend, floors.bend, floors.bending),
            _group(moves[..., :3], floors.turn, floors.moving),
            _group(moves[..., 3:], floors.move, floors.moving),
            _group(jerks[..., :3], floors.twist, 1.0),
            _group(jerks[..., 3:], floors.jerk, 1.0),
        ]


def _group(residuals: Tensor, floor: float, share: float) -> tuple[float, Tensor]:
    """Cost, and inverse variances ``[J]``, of residuals ``[T, J, C]`` with one variance for each j."""
    frames, _, numbers = residuals.shape
    if frames == 0:
        return 0.0, torch.zeros(residuals.shape[1])
    means = residuals.square().mean(dim=(0, 2))
    cost = share * frames * numbers * float(torch.log1p(means / floor**2).sum())
    return cost, share / (floor**2 + means)
