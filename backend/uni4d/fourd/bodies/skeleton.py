"""Loose pieces of a mesh as rigid bodies that hang on one another at joints.

A figure of wood, a cart, a robot: what is one piece does not bend, and six numbers a piece say where it is.
The largest piece carries the others, each by the joint that is fewest joints away from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.rotations import best_turns, cross_matrices, exponential
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import multiply_quaternions, quaternions_from_matrices
from uni4d.splatting.projection import rotation_matrices

__all__ = ["Skeleton"]

_ARM = 0.1
"""Radii about a node whose turning counts as much as its place, where one body stands for several nodes."""


@dataclass(frozen=True)
class Skeleton:
    """Which node belongs to which of ``B`` bodies, and what each body hangs on."""

    rest: NodeState
    radius: float
    """metres, the unit of shifts"""
    body: Tensor
    """``[K]`` int64, of every node."""
    parents: tuple[int, ...]
    """Of every body; −1 for the one that carries the others."""
    order: tuple[int, ...]
    """The bodies, each after what it hangs on."""

    @classmethod
    def of(cls, graph: NodeGraph, radius: float) -> Skeleton:
        """The bodies of ``graph``, which are its loose pieces."""
        first, second = graph.edges.T
        within = (graph.held[:, 0] == graph.nodes[second]).all(axis=1)
        count, body = connected_components(_links(first[within], second[within], len(graph.nodes)), False)
        root = int(np.bincount(body).argmax())
        joints = _links(body[first[~within]], body[second[~within]], count)
        order, parents = breadth_first_order(joints, root, directed=False)
        return cls(
            NodeState.rest(torch.from_numpy(graph.nodes)),
            radius,
            torch.from_numpy(body.astype(np.int64)),
            tuple(int(p) if p >= 0 else -1 for p in parents),
            tuple(order.tolist()),
        )

    @property
    def bodies(self) -> int:
        return len(self.parents)

    def hanging_on(self, body: int) -> list[int]:
        """``body`` and all that moves with it."""
        found = [body]
        for other in self.order:
            if self.parents[other] in found:
                found.append(other)
        return found

    def middles(self, state: NodeState) -> Tensor:
        """``[B, 3]``: means of the bodies' nodes."""
        sums = torch.zeros(self.bodies, 3).index_add_(0, self.body, state.positions)
        return sums / torch.bincount(self.body, minlength=self.bodies)[:, None]

    def stiffened(self, state: NodeState) -> NodeState:
        """Every body rigid, as near to where its nodes are in ``state`` as can be."""
        turns = torch.stack([self._turn(state, self.body == body) for body in range(self.bodies)])
        arms = self.rest.positions - self.middles(self.rest)[self.body]
        places = (turns[self.body] @ arms[..., None])[..., 0] + self.middles(state)[self.body]
        return NodeState(quaternions_from_matrices(turns)[self.body], places)

    def _turn(self, state: NodeState, own: Tensor) -> Tensor:
        """``[3, 3]`` that turns the nodes ``own``, and their axes, from rest."""
        axes = _ARM * self.radius * torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.eye(3)])
        turns = rotation_matrices(state.rotations[own])
        here = self.rest.positions[own][:, None] + axes
        there = state.positions[own][:, None] + axes @ turns.transpose(1, 2)
        return best_turns(here.reshape(-1, 3), there.reshape(-1, 3))

    def stepped(self, state: NodeState, step: Tensor) -> NodeState:
        """Every body turned about its middle and shifted by ``step`` ``[B, 6]``: a rotation vector, radii."""
        turns, middles = exponential(step[:, :3])[self.body], self.middles(state)[self.body]
        arms = (rotation_matrices(turns) @ (state.positions - middles)[..., None])[..., 0]
        return NodeState(
            functional.normalize(multiply_quaternions(turns, state.rotations), dim=1),
            middles + arms + self.radius * step[self.body, 3:],
        )

    def moves(self, state: NodeState) -> Tensor:
        """``[6 K, 6 B]`` float64: how the nodes go along with a step of the bodies."""
        nodes = torch.arange(len(self.body))
        along = torch.eye(6).repeat(len(nodes), 1, 1)
        arms = (state.positions - self.middles(state)[self.body]) / self.radius
        along[:, 3:, :3] = -cross_matrices(arms)
        moves = torch.zeros(len(nodes), 6, self.bodies, 6, dtype=torch.float64)
        moves[nodes, :, self.body] = along.double()
        return moves.reshape(6 * len(nodes), -1)

    def hung_as(self, state: NodeState, body: int, other: NodeState) -> NodeState:
        """``state``, with ``body`` hanging on its parent as it does in ``other``; what hangs on it goes
        along. Of rigid bodies."""
        (here, place), (there, origin) = self._frame(state, body), self._frame(other, body)
        (carrier, from_), (before, at) = (self._frame(s, self.parents[body]) for s in (state, other))
        turn = carrier @ before.T @ there @ here.T
        to = from_ + carrier @ before.T @ (origin - at)
        moved = torch.isin(self.body, torch.tensor(self.hanging_on(body)))[:, None]
        quaternion = quaternions_from_matrices(turn[None]).expand_as(state.rotations)
        rotations = functional.normalize(multiply_quaternions(quaternion, state.rotations), dim=1)
        return NodeState(
            torch.where(moved, rotations, state.rotations),
            torch.where(moved, (state.positions - place) @ turn.T + to, state.positions),
        )

    def _frame(self, state: NodeState, body: int) -> tuple[Tensor, Tensor]:
        """Rotation ``[3, 3]`` and middle ``[3]`` of a rigid body."""
        own = self.body == body
        return rotation_matrices(state.rotations[own][0]), state.positions[own].mean(0)


def _links(first: np.ndarray, second: np.ndarray, count: int) -> coo_matrix:
    return coo_matrix((np.ones(len(first)), (first, second)), shape=(count, count))
