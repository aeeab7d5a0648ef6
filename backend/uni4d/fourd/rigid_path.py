"""The clip as the motion of one rigid body: six numbers a frame, which the pictures tell far more surely than
those of many nodes. Whether it was one, the costs of both say (:mod:`uni4d.fourd.relevance`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.rotations import best_turns, cross_matrices, exponential
from uni4d.fourd.sight import Pull, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d_shared.progress import Progress, silent

__all__ = ["rigid_path", "rigid_state"]

_STEPS = 8
_TRIES = 5
_DAMPING, _LEAST_DAMPING = 1e-2, 1e-3
_EASED, _TIGHTENED = 0.25, 5.0
_SETTLED = 1e-4
"""Share of the cost; who gains less is done."""


@torch.no_grad()
def rigid_path(
    sight: Sight, states: list[NodeState], radius: float, most: float, progress: Progress = silent
) -> tuple[list[NodeState], float] | None:
    """The rigid motion nearest to ``states``, settled in each frame on the exact gradient of the pictures,
    and what its pictures cost; ``None`` as soon as that is more than ``most``."""
    rest, settled, total = states[0], [states[0]], 0.0
    for frame, state in enumerate(states[1:], start=1):
        pulled, start = _settled(sight, frame, rigid_state(rest, state), radius)
        settled.append(start)
        total += pulled.cost
        if total > most:
            return None
        progress(frame / (len(states) - 1), "trying the whole as one rigid body")
    return settled, total


def rigid_state(rest: NodeState, state: NodeState) -> NodeState:
    """``rest``, turned and shifted as a whole to where ``state`` is on average."""
    here, there = rest.positions.mean(0), state.positions.mean(0)
    turn = quaternions_from_matrices(best_turns(rest.positions, state.positions)[None])[0]
    return rest.carried(turn, there - here, here)


def _settled(sight: Sight, frame: int, state: NodeState, radius: float) -> tuple[Pull, NodeState]:
    """Levenberg and Marquardt's descent of six unknowns."""
    damping = _DAMPING
    pull = sight.pull(frame, state)
    for _ in range(_STEPS):
        hessian, gradient, about = _whole(sight, frame, state, pull, radius)
        for _ in range(_TRIES):
            step = -torch.linalg.solve(hessian + damping * torch.diag(hessian.diagonal()), gradient)
            tried = state.carried(exponential(step[:3]), step[3:] * radius, about)
            cost = sight.cost_as_large(frame, tried, pull.depths)
            if cost < pull.cost:
                break
            damping *= _TIGHTENED
        else:
            break
        gained = pull.cost - cost
        state, damping = tried, max(_EASED * damping, _LEAST_DAMPING)
        pull = sight.pull(frame, state)
        if gained < _SETTLED * cost:
            break
    return pull, state


def _whole(
    sight: Sight, frame: int, state: NodeState, pull: Pull, radius: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Hessian ``[6, 6]`` and gradient ``[6]`` for a turn about the middle of the nodes ``[3]``, and
    its shift in radii."""
    count = len(state.positions)
    equations = NormalEquations(count)
    sight.add(equations, frame, state, pull.seen)
    about = state.positions.mean(0)
    moves = torch.eye(6).repeat(count, 1, 1)
    moves[:, 3:, :3] = -cross_matrices((state.positions - about) / radius)
    blocks = equations.hessian.reshape(count, count, 6, 6)
    hessian = torch.einsum("kai,klab,lbj->ij", moves, blocks, moves)
    return hessian, torch.einsum("kai,ka->i", moves, pull.gradient), about
