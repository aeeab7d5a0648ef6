"""How ties hold nodes together: the equations are those of autograd, by the kernel and by its plain twin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.fourd.elasticity import Elasticity, NormalEquations, Stiffness
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.states import NodeState
from uni4d.fourd.ties import Ties
from uni4d.splatting.projection import rotation_matrices


@dataclass(frozen=True)
class Tied:
    """Nodes in some state, and what holds them together."""

    ties: Ties
    radius: float
    state: NodeState
    weights: Tensor
    """``[2 E, 2]`` of stretch and bend."""

    @classmethod
    def random(cls, nodes: int, more: int, joints: int, seed: int, *, alike: bool = False) -> Tied:
        """``nodes`` in a row and ``more`` edges between any two; up to ``joints`` edges are held together
        aside of both ends. Every node is turned on its own, or all ``alike``."""
        generator = torch.Generator().manual_seed(seed)
        rest = torch.randn(nodes, 3, generator=generator)
        radius = 0.4 + 2.0 * float(torch.rand(1, generator=generator))
        first = torch.randint(0, nodes, (more,), generator=generator)
        other = (first + torch.randint(1, nodes, (more,), generator=generator)) % nodes
        row = torch.stack([torch.arange(nodes - 1), torch.arange(1, nodes)], dim=1)
        edges = torch.cat([row, torch.stack([first, other], dim=1)])
        held = rest[edges.flip(1)]
        turning = torch.randperm(len(edges), generator=generator)[:joints]
        aside = 0.3 * torch.randn(len(turning), 3, generator=generator)
        held[turning] = (rest[edges[turning]].mean(1) + aside)[:, None]
        none = np.zeros((0, 4))
        graph = NodeGraph(rest.numpy(), none, none, edges.numpy(), held.numpy())
        step = 0.5 * torch.randn(nodes, 6, generator=generator)
        if alike:
            step[:, :3] = step[0, :3].clone()
        weights = torch.rand(2 * len(edges), 2, generator=generator) * torch.tensor([30.0, 8.0])
        return cls(Ties.of(graph), radius, NodeState.rest(rest).stepped(step, radius), weights)

    @property
    def elasticity(self) -> Elasticity:
        return Elasticity(self.ties, self.radius, Stiffness())

    def added_to(self, equations: NormalEquations, *, plainly: bool) -> NormalEquations:
        elasticity, state = self.elasticity, self.state
        strain = elasticity.strain(state)
        if plainly:
            turns = rotation_matrices(state.rotations)
            elasticity.add_strain_plainly(equations, turns, strain, self.weights)
        else:
            elasticity.add_strain(equations, state, strain, *self.weights.unbind(1))
        return equations

    def by_autograd(self) -> tuple[Tensor, Tensor]:
        """Jᵀ W J and Jᵀ W r in double precision, of the strain by a step of the nodes from here."""
        ties = Ties(*(t.double() if t.is_floating_point() else t for t in self.ties))
        elasticity = Elasticity(ties, self.radius, Stiffness())
        state = NodeState(self.state.rotations.double(), self.state.positions.double())

        def strain(step: Tensor) -> Tensor:
            return torch.cat(elasticity.strain(state.stepped(step.reshape(-1, 6), self.radius)), dim=1)

        none = torch.zeros(6 * len(state.positions), dtype=torch.float64)
        slopes = torch.autograd.functional.jacobian(strain, none).flatten(0, 1)
        weights = self.weights.double().repeat_interleave(3, dim=1).flatten()
        return slopes.T @ (weights[:, None] * slopes), slopes.T @ (weights * strain(none).flatten())


def equations_of(nodes: int, seed: int) -> NormalEquations:
    """With something in them already."""
    generator, equations = torch.Generator().manual_seed(seed), NormalEquations(nodes)
    equations.hessian += torch.randn(equations.hessian.shape, generator=generator)
    equations.gradient += torch.randn(equations.gradient.shape, generator=generator)
    return equations


def near(found: Tensor, true: Tensor) -> bool:
    return float((found - true).norm()) < 1e-5 * float(true.norm())


@given(
    nodes=st.integers(2, 8),
    more=st.integers(0, 12),
    joints=st.integers(0, 4),
    seed=st.integers(0, 2**31 - 1),
)
@example(nodes=2, more=0, joints=0, seed=0)
@example(nodes=2, more=0, joints=1, seed=0)
@example(nodes=2, more=3, joints=2, seed=0)
@settings(max_examples=60)
def test_the_kernel_ties_nodes_as_its_twin_does(nodes: int, more: int, joints: int, seed: int) -> None:
    tied = Tied.random(nodes, more, joints, seed)
    assert bool(tied.ties.other_arms.any()) == (joints > 0)
    fast, slow = (tied.added_to(equations_of(nodes, seed), plainly=plainly) for plainly in (False, True))
    assert near(fast.hessian, slow.hessian)
    assert near(fast.gradient, slow.gradient)


@pytest.mark.parametrize("plainly", [False, True])
@pytest.mark.parametrize("joints", [0, 4])
def test_nodes_that_turn_alike_are_tied_as_autograd_says(joints: int, plainly: bool) -> None:
    """Where nothing is bent, the equations are exact."""
    tied = Tied.random(6, 5, joints, 3, alike=True)
    hessian, gradient = tied.by_autograd()
    found = tied.added_to(NormalEquations(6), plainly=plainly)
    assert near(found.dense(), hessian)
    assert near(found.gradient.flatten(), gradient)


@pytest.mark.parametrize("plainly", [False, True])
@pytest.mark.parametrize("joints", [0, 4])
def test_however_nodes_are_turned_they_are_pulled_as_autograd_says(joints: int, plainly: bool) -> None:
    """By stretch and bend; the curvature is exact for stretch."""
    tied = Tied.random(6, 5, joints, 4)
    found = tied.added_to(NormalEquations(6), plainly=plainly)
    assert near(found.gradient.flatten(), tied.by_autograd()[1])
    tied.weights[:, 1] = 0.0
    found = tied.added_to(NormalEquations(6), plainly=plainly)
    assert near(found.dense(), tied.by_autograd()[0])


def test_what_is_tied_by_nothing_is_left_alone() -> None:
    tied = Tied.random(5, 0, 2, 5)
    free = NodeState(
        torch.cat([tied.state.rotations, torch.tensor([[1.0, 0.0, 0.0, 0.0]])]),
        torch.cat([tied.state.positions, torch.ones(1, 3)]),
    )
    found = Tied(tied.ties, tied.radius, free, tied.weights).added_to(NormalEquations(6), plainly=False)
    expected = tied.added_to(NormalEquations(5), plainly=True)
    hessian = found.dense()
    assert near(hessian[:30, :30], expected.dense()) and near(found.gradient[:5], expected.gradient)
    assert not bool(hessian[30:].any() or hessian[:, 30:].any() or found.gradient[5].any())
