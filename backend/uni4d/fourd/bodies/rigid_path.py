"""The clip as the motion of one rigid body: six numbers a frame, which the pictures tell far more surely than
those of many nodes. Whether it was one, the costs of both say (:mod:`uni4d.fourd.relevance`).

The curvature of the colours is not exact, and steps that were cut short for that hardly come any nearer
along the lines of sight, where it is a hundred times less than across. So it is only where the descent
begins: exact gradients correct it from step to step (Broyden, Fletcher, Goldfarb & Shanno; Nocedal & Wright
2006, chapter 6).
"""

from __future__ import annotations

import torch
from torch import Tensor

from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.rotations import best_turns, cross_matrices, exponential
from uni4d.fourd.sight import Pull, Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d_shared.progress import Progress, section, silent

__all__ = ["corrected", "rigid_path", "rigid_state"]

_STEPS = 20
_TRIES = 6
_DAMPING = 1e-2
_EASED, _TIGHTENED = 0.1, 8.0
_AS_TOLD = 0.5
"""Share of what the curvature promised that a step must gain to be trusted with a larger one."""
_SETTLED = 1e-4
"""Share of the cost; who gains less is done, unless he was promised …"""
_PROMISED = 1e-3
"""… more than this."""
_CONVEX = 1e-3
"""Share of the curvature along a step that the gradients must show, to correct it."""


@torch.no_grad()
def rigid_path(
    sight: Sight, states: list[NodeState], radius: float, most: float, progress: Progress = silent
) -> tuple[list[NodeState], float] | None:
    """The rigid motion nearest to ``states``, settled in each frame on the exact gradient of the pictures,
    and what its pictures cost; ``None`` as soon as that is more than ``most``."""
    settled, total = [], 0.0
    for frame, state in enumerate(states):
        own = section(progress, frame / len(states), (frame + 1) / len(states))
        pulled, placed = _settled(sight, frame, rigid_state(sight.rest, state), radius, own)
        settled.append(placed)
        total += pulled.cost
        if total > most:
            return None
    return settled, total


def rigid_state(rest: NodeState, state: NodeState) -> NodeState:
    """``rest``, turned and shifted as a whole to where ``state`` is on average."""
    here, there = rest.positions.mean(0), state.positions.mean(0)
    turn = quaternions_from_matrices(best_turns(rest.positions, state.positions)[None])[0]
    return rest.carried(turn, there - here, here)


def _settled(
    sight: Sight, frame: int, state: NodeState, radius: float, progress: Progress
) -> tuple[Pull, NodeState]:
    """Descent of six unknowns, with a curvature that is corrected on the way, damped as by Levenberg and
    Marquardt."""
    damping = _DAMPING
    pull = sight.pull(frame, state)
    hessian = _curvature(sight, frame, state, pull, radius)
    gradient = _gradient(state, pull, radius)
    for number in range(_STEPS):
        progress(number / _STEPS, "trying the whole as one rigid body")
        about = state.positions.mean(0)
        for _ in range(_TRIES):
            step = -torch.linalg.solve(hessian + damping * torch.diag(hessian.diagonal()), gradient)
            turn, shift = step.float()[:3], step.float()[3:] * radius
            tried = state.carried(exponential(turn), shift, about)
            cost = sight.cost_as_large(frame, tried, pull.depths)
            if cost < pull.cost:
                break
            damping = max(damping, _DAMPING) * _TIGHTENED
        else:
            break
        gained, promised = pull.cost - cost, -float(2.0 * gradient @ step + step @ hessian @ step)
        if gained > _AS_TOLD * promised:
            damping *= _EASED
        state = tried
        pull, before = sight.pull(frame, state), gradient
        gradient = _gradient(state, pull, radius)
        if gained < _SETTLED * cost and promised < _PROMISED * cost:
            break
        hessian = corrected(hessian, step, gradient - before)
    return pull, state


def corrected(hessian: Tensor, step: Tensor, change: Tensor) -> Tensor:
    """``hessian`` ``[N, N]``, so that along ``step`` ``[N]`` the gradient changes by ``change`` ``[N]``; as
    it was, where that says the cost is not convex."""
    pushed, along = hessian @ step, change @ step
    if along <= _CONVEX * (step @ pushed):
        return hessian
    return hessian - torch.outer(pushed, pushed) / (step @ pushed) + torch.outer(change, change) / along


def _curvature(sight: Sight, frame: int, state: NodeState, pull: Pull, radius: float) -> Tensor:
    """``[6, 6]`` for a turn about the middle of the nodes, and its shift in radii."""
    count = len(state.positions)
    equations = NormalEquations(count)
    sight.add(equations, frame, state, pull.seen)
    moves, blocks = _moves(state, radius), equations.hessian.reshape(count, count, 6, 6)
    return torch.einsum("kai,klab,lbj->ij", moves, blocks, moves).double()


def _gradient(state: NodeState, pull: Pull, radius: float) -> Tensor:
    """``[6]``"""
    return torch.einsum("kai,ka->i", _moves(state, radius), pull.gradient).double()


def _moves(state: NodeState, radius: float) -> Tensor:
    """``[K, 6, 6]``: how each node goes along with the whole."""
    moves = torch.eye(6).repeat(len(state.positions), 1, 1)
    moves[:, 3:, :3] = -cross_matrices((state.positions - state.positions.mean(0)) / radius)
    return moves
