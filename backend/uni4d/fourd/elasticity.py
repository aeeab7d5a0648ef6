"""What holds the nodes together, as the normal equations of a Gauss-Newton step.

For every edge k→l of the node graph, of length L, that holds the place c together (:mod:`uni4d.fourd.ties`),

    e_kl = (R_k (c − n_k) + p_k − R_l (c − n_l) − p_l) / L
    θ_kl = log(R_k R_lᵀ)                   neighbours turn alike

Within a piece, c is n_l: as rigid as possible (Sorkine & Alexa 2007; Sumner et al. 2007). At a joint it is
both ends' place, and turning about it stretches nothing. Both are under Cauchy's cost, so that an object may
break where the frames leave no other way; and so is how far every node went since the frame before: of all
motions that explain a frame, the one that moves the fewest nodes. That is what decides about depth, of which
one camera sees little.

Unknown are 6 numbers per node: a rotation vector that turns it further, and a shift in radii of the object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from uni4d.fourd.rotations import conjugate, cross_matrices, logarithm
from uni4d.fourd.states import NodeState
from uni4d.fourd.ties import Ties
from uni4d.splatting import kernels, native
from uni4d.splatting.binding import multiply_quaternions
from uni4d.splatting.projection import rotation_matrices

__all__ = ["Elasticity", "NormalEquations", "Stiffness", "Strain"]


@dataclass(frozen=True)
class Stiffness:
    """Standard deviations of what is assumed, and from where on a deviation counts as a break."""

    stretch: float = 0.06
    """of e"""
    break_stretch: float = 1.0
    bend: float = 0.2
    """of θ, radians"""
    break_bend: float = 2.0
    """Breaks that come cheaper lose small parts, such as eyes, inside large ones."""
    move: float = 0.005
    """radii per frame"""
    turn: float = 0.02
    """radians per frame"""
    rest: float = 0.5
    """Weight of a node's own motion beside the two above."""


class Strain(NamedTuple):
    """Of all edges of the graph, each seen from either end."""

    stretch: Tensor
    """e, ``[..., 2 E, 3]``"""
    bend: Tensor
    """θ, ``[..., 2 E, 3]`` radians"""


class NormalEquations:
    """½ δᵀ H δ + gᵀ δ over ``K`` nodes of 6 unknowns each."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.hessian = torch.zeros(nodes * nodes, 6, 6)
        """Block of nodes (k, l) at k K + l."""
        self.gradient = torch.zeros(nodes, 6)

    def add_pairs(self, residuals: Tensor, weights: Tensor, ends: Tensor, slopes: Tensor) -> None:
        """Residuals ``[E, R]`` with ``weights`` ``[E, R]``, each of which depends on two nodes ``[E, 2]`` by
        ``slopes`` ``[E, R, 12]``, six numbers of one node and six of the other."""
        weighted = (slopes * weights[:, :, None]).transpose(1, 2)
        pull = weighted @ residuals[:, :, None]
        self.gradient.index_add_(0, ends.flatten(), pull.reshape(-1, 6))
        blocks = (weighted @ slopes).reshape(-1, 2, 6, 2, 6).transpose(2, 3)
        pairs = ends[:, :, None] * self.nodes + ends[:, None, :]
        self.hessian.index_add_(0, pairs.flatten(), blocks.reshape(-1, 6, 6))

    def dense(self) -> Tensor:
        """H as one matrix ``[6 K, 6 K]``, a copy."""
        blocks = self.hessian.reshape(self.nodes, self.nodes, 6, 6).transpose(1, 2)
        whole = blocks.clone(memory_format=torch.contiguous_format)
        return whole.reshape(6 * self.nodes, 6 * self.nodes)

    def solved(self, damping: float) -> Tensor:
        """``[K, 6]``: the step, with ``damping`` times the diagonal added (Levenberg & Marquardt)."""
        dense = self.dense()
        diagonal = dense.diagonal()
        diagonal += damping * diagonal + 1e-4 * diagonal.mean()
        factor = torch.linalg.cholesky(dense)
        return -torch.cholesky_solve(self.gradient.reshape(-1, 1), factor).reshape(self.nodes, 6)


class Elasticity:
    """The priors of one node graph."""

    def __init__(self, ties: Ties, radius: float, stiffness: Stiffness) -> None:
        self._ties, self._radius, self._stiffness = ties, radius, stiffness
        self._ends, self._arms = ties.ends, torch.stack([ties.arms, ties.other_arms])

    def add(self, equations: NormalEquations, state: NodeState, before: NodeState) -> None:
        """Add the priors' share, linearised at ``state``; ``before`` is the frame before."""
        strain, limits = self.strain(state), self._stiffness
        self.add_strain(
            equations,
            state,
            strain,
            _cauchy(strain.stretch, limits.break_stretch) / limits.stretch**2,
            0.5 * _cauchy(strain.bend, limits.break_bend) / limits.bend**2,
        )
        steps, spread = state.steps_from(before, self._radius), self._spread()
        weights = limits.rest * _cauchy(steps / spread, 1.0)
        own = torch.arange(equations.nodes) * (equations.nodes + 1)
        equations.hessian[own] += weights[:, None, None] * torch.diag(spread**-2)
        equations.gradient += weights[:, None] * steps / spread**2

    def add_strain(
        self, equations: NormalEquations, state: NodeState, strain: Strain, stretch: Tensor, bend: Tensor
    ) -> None:
        """Add the squares of the ``strain`` of ``state``, times weights ``[2 E]`` of its two parts."""
        turns = rotation_matrices(state.rotations)
        weights = torch.stack([stretch, bend], dim=1)
        if native.available():
            about = self._ends, (self._arms, self._ties.lengths), turns
            kernels.tie(equations.hessian, equations.gradient, *about, strain, weights, self._radius)
        else:
            self.add_strain_plainly(equations, turns, strain, weights)

    def add_strain_plainly(
        self, equations: NormalEquations, turns: Tensor, strain: Strain, weights: Tensor
    ) -> None:
        """The twin of the kernel, with ``turns`` ``[K, 3, 3]`` and ``weights`` ``[2 E, 2]``."""
        ties = self._ties
        here, there = (cross_matrices(arm / ties.lengths[:, None]) for arm in ties.reach(turns))
        share = (self._radius / ties.lengths)[:, None, None] * torch.eye(3)
        alike, none = torch.eye(3).expand_as(here), torch.zeros_like(here)
        slopes = torch.stack(
            [-here, share, there, -share, alike, none, -alike, none], dim=1
        )  # [2 E, 8, 3, 3]
        slopes = slopes.reshape(-1, 2, 4, 3, 3).transpose(2, 3).reshape(-1, 6, 12)
        residuals, weights = torch.cat([*strain], dim=1), weights.repeat_interleave(3, dim=1)
        equations.add_pairs(residuals, weights, self._ends, slopes)

    def cost(self, state: NodeState, before: NodeState) -> float:
        """Twice the negative logarithm of the priors, up to a constant."""
        stretch, bend = self.strain(state)
        limits = self._stiffness
        steps = state.steps_from(before, self._radius) / self._spread()
        return (
            _cauchy_cost(stretch, limits.break_stretch) / limits.stretch**2
            + 0.5 * _cauchy_cost(bend, limits.break_bend) / limits.bend**2
            + limits.rest * _cauchy_cost(steps, 1.0)
        )

    def strain(self, state: NodeState) -> Strain:
        """Of every edge, from either end; of states that are stacked, of each."""
        rotations = state.rotations
        first, second = rotations[..., self._ties.first, :], rotations[..., self._ties.second, :]
        stretch = self._ties.apart(rotation_matrices(rotations), state.positions)
        return Strain(stretch, logarithm(multiply_quaternions(first, conjugate(second))))

    def _spread(self) -> Tensor:
        return torch.tensor([self._stiffness.turn] * 3 + [self._stiffness.move] * 3)


def _cauchy(residuals: Tensor, scale: float) -> Tensor:
    """``[E]`` weights of residuals ``[E, C]``."""
    return 1.0 / (1.0 + residuals.square().sum(1) / scale**2)


def _cauchy_cost(residuals: Tensor, scale: float) -> float:
    return float((scale**2 * torch.log1p(residuals.square().sum(1) / scale**2)).sum())
