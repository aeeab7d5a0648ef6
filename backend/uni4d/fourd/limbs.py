"""Limbs that were lost: parts of the object, turned about where they hang on, until a frame shows them there.

Gauss-Newton finds what overlaps its place in the frame. An arm that swings by more than its width overlaps
nothing, nor does it on coarse pictures, where it is too thin to be seen. So it is turned as a whole, by large
angles both ways about several axes, and drawn; what looks like the frame is a beginning for finer steps.

Every node is where something could hang on: its limb is what lies beyond it on the way from the middle of the
object. Ways are measured by the cube of each step, so that they lead through parts that touch, not across
from a hand to a hip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.rotations import conjugate, exponential
from uni4d.fourd.sight import Sight
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import Carried, multiply_quaternions
from uni4d.splatting.threads import side_by_side

__all__ = ["Limb", "LimbSearch", "limbs_of"]

_ANGLES_DEGREES = (25.0, 50.0)
_LEAST = 0.01
"""Share of the splats below which a limb is not looked for."""
_LOST, _MATTERS = 0.5, 0.05
"""A limb is lost when so large a share of what it explained is gone, and that much of the frame's cost."""
_CHOSEN, _TURNS = 3, 2
"""Limbs, and turns of each, that are worth finer steps."""
_MOST = 0.5
"""Share of the nodes from which what lies beyond is no limb, but the object."""
_ALIKE = 0.8
"""Share of a limb that another one hanging on it may have, to be taken for the same."""


@dataclass(frozen=True)
class Limb:
    """Nodes that hang on the rest."""

    nodes: Tensor
    """``[M]`` int64."""
    joint: tuple[int, int]
    """The first of them, and the node of the rest that it hangs on."""


def limbs_of(graph: NodeGraph) -> list[Limb]:
    """All limbs of an object, large ones first."""
    count = len(graph.nodes)
    first, second = graph.edges.T
    place = graph.held[:, 0]
    ways = sum(np.linalg.norm(graph.nodes[end] - place, axis=1) for end in (first, second))
    steps = coo_matrix((ways**3, (first, second)), shape=(count, count)).tocsr()
    root = int(np.linalg.norm(graph.nodes - graph.nodes.mean(axis=0), axis=1).argmin())
    lengths, parents = dijkstra(steps, directed=False, indices=root, return_predecessors=True)
    beyond = np.eye(count, dtype=bool)  # [k, l]: l is k or lies beyond it
    for node in np.argsort(-lengths, kind="stable"):
        if node != root:
            beyond[parents[node]] |= beyond[node]
    sizes = beyond.sum(axis=1)
    chosen: list[int] = []
    for node in np.argsort(-sizes, kind="stable"):
        same = any(beyond[other, node] and sizes[node] > _ALIKE * sizes[other] for other in chosen)
        if sizes[node] <= _MOST * count and not same:
            chosen.append(int(node))
    return [Limb(torch.from_numpy(np.flatnonzero(beyond[k])), (k, int(parents[k]))) for k in chosen]


class LimbSearch:
    """Finds beginnings for limbs that explain much less of a frame than they did of the one before."""

    def __init__(self, sight: Sight, graph: NodeGraph) -> None:
        """``sight``: of a coarse level, which is drawn no finer than it is."""
        self._sight, self._lens = sight.hasty(), sight.lenses[0]
        skin = sight.skin(graph)
        moved = [(limb, skin[:, limb.nodes].sum(1)) for limb in limbs_of(graph)]
        large = [(limb, shares > 0.5) for limb, shares in moved if float(shares.mean()) > _LEAST]
        self._limbs = [limb for limb, _ in large]
        self._moved = [own for _, own in large]
        angles = [sign * math.radians(a) for a in _ANGLES_DEGREES for sign in (-1.0, 1.0)]
        self._turns = exponential(
            torch.stack([angle * axis for axis in self._lens.rotation for angle in angles])
        )

    def beginnings(
        self,
        frame: int,
        state: NodeState,
        before: NodeState,
        then: Tensor,
        tell: Callable[[], None] = lambda: None,
    ) -> list[NodeState]:
        """``state``, with one of its lost limbs turned to where ``frame`` may show it: the best few turns of
        the best few limbs, from where they were ``before``, in the frame before, where they had the gains
        ``then``. ``tell`` is called on the way, and may stop it by an error."""
        tell()
        found: list[tuple[float, int, NodeState]] = []
        for limb in self._lost(frame, state, then):
            turns = self._turned(self._limbs[limb], state, before)
            costs = side_by_side(lambda one: self._cost(frame, self._sight.carried(one)), turns, tell)
            found += [(cost, limb, one) for cost, one in zip(costs, turns, strict=True)]
        chosen: list[NodeState] = []
        counts: dict[int, int] = {}
        for _, limb, turned in sorted(found, key=lambda one: one[0]):
            if counts.get(limb, 0) < _TURNS and (limb in counts or len(counts) < _CHOSEN):
                counts[limb] = counts.get(limb, 0) + 1
                chosen.append(turned)
        return chosen

    def gains(self, frame: int, state: NodeState) -> Tensor:
        """``[L]``: by how much more the frame would cost without each limb."""
        return self._cost_and_gains(frame, state)[1]

    def _lost(self, frame: int, state: NodeState, then: Tensor) -> list[int]:
        cost, now = self._cost_and_gains(frame, state)
        least = torch.maximum(_LOST * then, torch.full_like(then, _MATTERS * cost))
        return (then - now > least).nonzero()[:, 0].tolist()

    def _cost_and_gains(self, frame: int, state: NodeState) -> tuple[float, Tensor]:
        carried = self._sight.carried(state)
        cost = self._cost(frame, carried)
        away = self._lens.rotation.T @ (torch.tensor([0.0, 0.0, -1.0]) - self._lens.shift)
        without = [torch.where(moved[:, None], away, carried.means) for moved in self._moved]
        costs = side_by_side(lambda means: self._cost(frame, Carried(means, carried.quaternions)), without)
        return cost, torch.tensor(costs) - cost

    def _cost(self, frame: int, carried: Carried) -> float:
        return self._sight.cost(frame, self._sight.look_at(carried, frame))

    def _turned(self, limb: Limb, state: NodeState, before: NodeState) -> list[NodeState]:
        """One for each turn."""
        own, (first, held) = limb.nodes, limb.joint
        by = multiply_quaternions(state.rotations[held], conjugate(before.rotations[held]))
        shift = state.positions[held] - before.positions[held]
        kept = before.carried(by, shift, before.positions[held])
        joint = 0.5 * (kept.positions[first] + state.positions[held])
        return [_with(state, own, kept.carried(turn, torch.zeros(3), joint)) for turn in self._turns]


def _with(state: NodeState, own: Tensor, other: NodeState) -> NodeState:
    """``state``, of which the nodes ``own`` are as in the ``other``."""
    rotations, positions = state.rotations.clone(), state.positions.clone()
    rotations[own], positions[own] = other.rotations[own], other.positions[own]
    return NodeState(rotations, positions)
