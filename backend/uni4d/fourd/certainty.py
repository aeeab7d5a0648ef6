"""How sure the fit is of where the nodes are: Laplace's approximation of the posterior.

Near the fitted paths, the colours of frame t hold node k with an information h_kt (per square metre and axis:
a third of the trace of its block of the Gauss-Newton normal equations), and the prior over time holds its
path with P / s², s the spread of its steps. The posterior covariance of its ``T`` keyframes is then

    Σ_k = (P / s² + diag(h_k))⁻¹,    and the standard deviations its diagonal's square roots.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.sight import Sight
from uni4d.fourd.states import NodeState
from uni4d_shared.trajectories import precision

__all__ = ["deviations"]

_LEAST_SPREAD = 0.01
"""Radii per frame: what even a thing that kept still might have moved."""


@torch.no_grad()
def deviations(sight: Sight, states: Sequence[NodeState], length_scale: float, radius: float) -> Tensor:
    """``[T, K]`` metres: standard deviation of each node's place in each frame, along one axis."""
    count = len(states[0].positions)
    own = torch.arange(count) * (count + 1)
    information = []
    for frame, state in enumerate(states):
        equations = NormalEquations(count)
        sight.add(equations, frame, state, sight.look(state, frame))
        blocks = equations.hessian[own][:, 3:, 3:]
        information.append(blocks.diagonal(dim1=1, dim2=2).mean(1))
    known = torch.stack(information, dim=1).double() / radius**2  # [K, T]
    places = torch.stack([state.positions for state in states]).double()
    steps = places.diff(dim=0).square().mean((0, 2)).sqrt() if len(states) > 1 else known.new_zeros(count)
    spread = length_scale * steps.clamp(min=_LEAST_SPREAD * radius)
    prior = torch.from_numpy(precision(len(states), length_scale))
    posterior = torch.linalg.inv(prior / spread[:, None, None] ** 2 + torch.diag_embed(known))
    return posterior.diagonal(dim1=1, dim2=2).clamp(min=0.0).sqrt().T.float()
