"""Where the control nodes are at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.rotations import conjugate, exponential, logarithm
from uni4d.splatting.binding import multiply_quaternions
from uni4d.splatting.projection import rotation_matrices

__all__ = ["NodeState"]


@dataclass(frozen=True)
class NodeState:
    """A turn and a place for each of ``K`` nodes, in the world."""

    rotations: Tensor
    """``[K, 4]`` unit quaternions wxyz: from rest. Of states that are stacked, ``[..., K, 4]``."""
    positions: Tensor
    """``[K, 3]`` metres, or ``[..., K, 3]``."""

    @classmethod
    def rest(cls, nodes: Tensor) -> NodeState:
        """Nodes ``[K, 3]`` where they are at rest."""
        return cls(torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(len(nodes), 1), nodes.clone())

    @classmethod
    def stacked(cls, states: Sequence[NodeState]) -> NodeState:
        """Of ``T`` moments, at least one, as one with a leading dimension."""
        return cls(torch.stack([s.rotations for s in states]), torch.stack([s.positions for s in states]))

    def stepped(self, step: Tensor, unit: float) -> NodeState:
        """Turned and moved by ``step`` ``[K, 6]``: a rotation vector, and a shift in ``unit`` metres."""
        turned = multiply_quaternions(exponential(step[:, :3]), self.rotations)
        return NodeState(functional.normalize(turned, dim=1), self.positions + step[:, 3:] * unit)

    def carried(self, rotation: Tensor, shift: Tensor, about: Tensor) -> NodeState:
        """As one rigid body: turned by ``rotation`` ``[4]`` about a point ``[3]``, then shifted, metres."""
        placed = (self.positions - about) @ rotation_matrices(rotation).T + about + shift
        turned = multiply_quaternions(rotation.expand_as(self.rotations), self.rotations)
        return NodeState(functional.normalize(turned, dim=1), placed)

    def steps_from(self, other: NodeState, unit: float) -> Tensor:
        """``[..., K, 6]``: the step that :meth:`stepped` would take from ``other`` to here."""
        turn = logarithm(multiply_quaternions(self.rotations, conjugate(other.rotations)))
        return torch.cat([turn, (self.positions - other.positions) / unit], dim=-1)

    def extrapolated(self, before: NodeState, share: float) -> NodeState:
        """The last step, from ``before`` to here, once more; ``share`` of it."""
        return self.stepped(share * self.steps_from(before, 1.0), 1.0)
