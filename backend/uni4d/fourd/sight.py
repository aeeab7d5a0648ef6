"""The moving splats at one resolution, as all cameras of the clips see them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.deformation import node_matrices
from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.layers import Layer
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.photometry import Frame, Lens, Linearised, robust_cost
from uni4d.fourd.rotations import cross_matrices
from uni4d.fourd.states import NodeState
from uni4d.splatting.binding import Carried
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.rasterise import Rendered, render
from uni4d_shared.cameras import scaled
from uni4d_shared.types import ViewSet

__all__ = ["Seen", "Sight", "floor_of"]

_SLOTS = 4
"""Nodes that move a splat, as far as its slopes go; what is rendered has all of them."""
_SLACK_SPACINGS, _SLACK_RADII = 3.0, 0.02
"""How far behind the rendered depth a splat still counts as seen."""

_FLOOR_VIEWS = 4
"""Photographs whose error is averaged."""


class Seen(NamedTuple):
    """What the splats look like at one moment."""

    points: Tensor
    """``[N, 3]`` metres."""
    rendered: list[Rendered]
    """One per camera."""


class Sight:
    """All that a Gauss-Newton step needs to know at one resolution."""

    def __init__(self, layers: list[Layer], graph: NodeGraph, radius: float) -> None:
        """``layers``: one per camera, of the same splats."""
        first = layers[0]
        self._layers, self._radius = layers, radius
        self._nodes = torch.from_numpy(graph.nodes)
        self.lenses = [Lens(layer.targets.camera) for layer in layers]
        self.frames = [[Frame.of(image) for image in layer.targets.images] for layer in layers]
        self.splats = len(first.splats)
        spread = float(first.splats.scales.detach().median())
        self._slack = _SLACK_SPACINGS * spread + _SLACK_RADII * radius
        weights, self._movers = first.driver.weights(graph).topk(min(_SLOTS, len(graph.nodes)), dim=1)
        self._shares = weights / weights.sum(1, keepdim=True)
        self._arms = first.splats.means.detach()[:, None] - self._nodes[self._movers]
        slots = self._movers
        self._pairs = (slots[:, :, None] * len(graph.nodes) + slots[:, None, :]).flatten(1)

    def carried(self, state: NodeState) -> Carried:
        """Means ``[N, 3]`` and quaternions ``[N, 4]``."""
        matrices = node_matrices(self._nodes, state.rotations, state.positions - self._nodes)
        means, quaternions = self._layers[0].driver.carried(matrices[None])
        return Carried(means[0], quaternions[0])

    def look(self, state: NodeState) -> Seen:
        return self.look_at(self.carried(state))

    def look_at(self, carried: Carried) -> Seen:
        return Seen(carried.means, [layer.draw(*carried) for layer in self._layers])

    def cost(self, frame: int, seen: Seen) -> float:
        """Robust difference from the frame, in units of the noise, summed over the cameras and scaled as if
        every splat were one observation: comparable with the priors, and between resolutions."""
        costs = []
        for rendered, frames in zip(seen.rendered, self.frames, strict=True):
            image = frames[frame].image
            costs.append(_per_observation(rendered, image))
        return sum(costs) * self.splats

    def linearised(self, frame: int, seen: Seen) -> list[Linearised]:
        return [
            lens.linearised(frames[frame], rendered, seen.points, self._slack)
            for lens, frames, rendered in zip(self.lenses, self.frames, seen.rendered, strict=True)
        ]

    def add(self, equations: NormalEquations, frame: int, state: NodeState, seen: Seen, share: float) -> None:
        """Add what ``frame`` says about the nodes, ``share`` times."""
        turns = rotation_matrices(state.rotations)
        for found in self.linearised(frame, seen):
            movers, count = self._movers[found.splats], len(found.splats)
            arms = (turns[movers] @ self._arms[found.splats][..., None])[..., 0]  # [V, S, 3]
            slots = movers.shape[1]
            unit = (self._radius * torch.eye(3)).expand(count, slots, 3, 3)
            moves = (
                torch.cat([-cross_matrices(arms), unit], dim=3) * self._shares[found.splats][..., None, None]
            )
            slopes = (found.slopes[:, None] @ moves).permute(0, 2, 1, 3).reshape(count, 3, slots * 6)
            weighted = slopes * (share * found.weights)[:, None, None]
            blocks = (weighted.transpose(1, 2) @ slopes).reshape(count, slots, 6, slots, 6)
            equations.hessian.index_add_(
                0, self._pairs[found.splats].flatten(), blocks.transpose(2, 3).reshape(-1, 6, 6)
            )
            pull = (weighted.transpose(1, 2) @ found.residuals[:, :, None]).reshape(-1, 6)
            equations.gradient.index_add_(0, movers.flatten(), pull)


@torch.no_grad()
def floor_of(splats: SplatParameters, views: ViewSet, width: int) -> float:
    """The cost per observation (see :meth:`Sight.cost`) of splats at rest against their photographs, at a
    ``width`` in pixels: what no motion can mend."""
    costs = []
    for view in range(0, len(views.images), max(len(views.images) // _FLOOR_VIEWS, 1)):
        camera = scaled(views.cameras[view], width)
        rgba = torch.from_numpy(views.images[view].astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        rgba[:, :3] *= rgba[:, 3:]
        small = functional.interpolate(rgba, size=(camera.height, camera.width), mode="area")[0]
        image = (small[:3] + 1.0 - small[3:]).permute(1, 2, 0)
        costs.append(_per_observation(render(splats, camera), image))
    return sum(costs) / len(costs)


def _per_observation(rendered: Rendered, image: Tensor) -> float:
    """Half the robust cost per covered pixel."""
    covered = float((rendered.alpha > 0.5).sum())
    return 0.5 * robust_cost(rendered.image, image) / max(covered, 1.0)
