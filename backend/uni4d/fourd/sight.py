"""The moving splats at one resolution, as all cameras of the clips see them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.colors.differences import Differences, differences
from uni4d.fourd.colors.tints import Lighting
from uni4d.fourd.deformation import node_matrices
from uni4d.fourd.elasticity import NormalEquations
from uni4d.fourd.flow import flow_between
from uni4d.fourd.layers import Layer, growth
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.photometry import Lens, Linearised, robust_cost, robust_loss, slack_of
from uni4d.fourd.rotations import cross_matrices
from uni4d.fourd.states import NodeState
from uni4d.splatting import kernels, native
from uni4d.splatting.binding import Carried
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.rasterise import Rendered, render
from uni4d.splatting.threads import side_by_side
from uni4d_shared.cameras import scaled
from uni4d_shared.types import ViewSet

__all__ = ["Flowed", "Pull", "Seen", "Sight", "floor_of"]

_COUNTED = 0.5
"""Observations per covered pixel, as neighbouring pixels err alike; on coarser pictures, where they are fewer
but surer, as many times more."""
_SLOTS = 4
"""Nodes that move a splat, as far as its slopes go; what is rendered has all of them."""

_FLOW_DEVIATION, _FLOW_BREAK = 1.0, 4.0
"""Pixels: of the flow where it is right, and from where on it is not."""
_FLOOR_VIEWS = 4
"""Photographs whose error is averaged."""


class Seen(NamedTuple):
    """What the splats look like at one moment."""

    points: Tensor
    """``[N, 3]`` metres."""
    rendered: list[Rendered]
    """One per camera."""


class Pull(NamedTuple):
    """What one frame does to the nodes at one moment."""

    seen: Seen
    cost: float
    """As :meth:`Sight.cost`."""
    gradient: Tensor
    """``[K, 6]`` of half the cost, for a step as in :meth:`NodeState.stepped`; not by way of the splats'
    sizes."""
    depths: list[Tensor]
    """``[N]`` metres, of the splats before each camera."""


class Flowed(NamedTuple):
    """Where one camera's flow takes what it sees."""

    splats: Tensor
    """``[V]`` int64, which ones."""
    pixels: Tensor
    """``[V, 2]``"""
    covered: float
    """Pixels that the object covers."""


class Sight:
    """All that a Gauss-Newton step needs to know at one resolution."""

    def __init__(self, layers: list[Layer], graph: NodeGraph, radius: float) -> None:
        """``layers``: one per camera, of the same splats."""
        first = layers[0]
        self._layers, self._radius = layers, radius
        self._lights: tuple[Lighting, ...] = ()
        self.finer = first.finer
        self._gain = float(first.coarser)
        self._nodes = torch.from_numpy(graph.nodes)
        self.lenses = [Lens(layer.targets.camera) for layer in layers]
        self.frames = [layer.targets.images for layer in layers]
        self.splats = len(first.splats)
        self._slack = slack_of(first.splats, radius)
        weights, self._movers = self.skin(graph).topk(min(_SLOTS, len(graph.nodes)), dim=1)
        self._shares = weights / weights.sum(1, keepdim=True)
        self._arms = first.splats.means.detach()[:, None] - self._nodes[self._movers]
        slots = self._movers
        self._pairs = (slots[:, :, None] * len(graph.nodes) + slots[:, None, :]).flatten(1)

    def skin(self, graph: NodeGraph) -> Tensor:
        """``[N, K]``: how much each node moves each splat."""
        return self._layers[0].driver.weights(graph)

    def carried(self, state: NodeState) -> Carried:
        """Means ``[N, 3]`` and quaternions ``[N, 4]``."""
        matrices = node_matrices(self._nodes, state.rotations, state.positions - self._nodes)
        means, quaternions = self._layers[0].driver.carried(matrices[None])
        return Carried(means[0], quaternions[0])

    @property
    def rest(self) -> NodeState:
        return NodeState.rest(self._nodes)

    @property
    def pixels(self) -> float:
        """The object's radius at rest, on average over the cameras."""
        middle = self._nodes.mean(0, keepdim=True)
        sizes = [lens.focal * self._radius / float(lens.depths(middle)) for lens in self.lenses]
        return sum(sizes) / len(sizes)

    def lit(self, lighting: Lighting) -> Sight:
        """The same, with what ``lighting`` adds to the splats' colours, too; it is read at every look."""
        other = copy(self)
        other._lights = (*self._lights, lighting)
        return other

    def hasty(self) -> Sight:
        """The same, drawn no finer than its frames are."""
        other = copy(self)
        other._layers = [replace(layer, coarser=1, finer=1) for layer in self._layers]
        return other

    def _added(self, frame: int) -> Tensor | None:
        """``[N, 3]``"""
        found = [added for light in self._lights if (added := light.at(frame)) is not None]
        return torch.stack(found).sum(0) if found else None

    def look(self, state: NodeState, frame: int) -> Seen:
        """The nodes in ``state``, in the light of ``frame``."""
        return self.look_at(self.carried(state), frame)

    def look_at(self, carried: Carried, frame: int) -> Seen:
        added = self._added(frame)
        return Seen(carried.means, [layer.draw(*carried, added) for layer in self._layers])

    def cost(self, frame: int, seen: Seen) -> float:
        """Robust difference from the frame, in units of the noise, summed over the observations of all
        cameras: comparable with the priors."""
        return float(self._loss(frame, seen.rendered))

    def costs(self, states: Sequence[NodeState]) -> list[float]:
        """Of all frames, with the nodes in ``states``."""
        return side_by_side(lambda at: self.cost(at[0], self.look(at[1], at[0])), list(enumerate(states)))

    def _loss(self, frame: int, rendered: list[Rendered]) -> Tensor:
        costs = [
            robust_loss(picture.image, frames[frame])
            for picture, frames in zip(rendered, self.frames, strict=True)
        ]
        return self._gain * _COUNTED * torch.stack(costs).sum()

    @torch.enable_grad()
    def pull(self, frame: int, state: NodeState) -> Pull:
        """The gradient of the rendered pictures, silhouettes and what hides what included; only how splats
        turn with the surface is a constant of the step.

        A splat is drawn a little too large or too small, and would mend that by its distance from the camera,
        of which little else is known. So its size in the picture is held: what is nearer grows no further.
        """
        step = torch.zeros(len(state.positions), 6, requires_grad=True)
        carried = self.carried(state.stepped(step, self._radius))
        depths = [lens.depths(carried.means) for lens in self.lenses]
        rendered = [
            layer.draw(*carried, self._added(frame), growth(depth, depth.detach()))
            for layer, depth in zip(self._layers, depths, strict=True)
        ]
        loss = self._loss(frame, rendered)
        (gradient,) = torch.autograd.grad(loss, step)
        seen = Seen(carried.means.detach(), [_detached(picture) for picture in rendered])
        return Pull(seen, float(loss.detach()), 0.5 * gradient, [depth.detach() for depth in depths])

    @torch.no_grad()
    def cost_as_large(self, frame: int, state: NodeState, depths: list[Tensor]) -> float:
        """The cost of splats that are as large in the pictures as they would be at ``depths``."""
        carried = self.carried(state)
        rendered = [
            layer.draw(*carried, self._added(frame), growth(lens.depths(carried.means), depth))
            for layer, lens, depth in zip(self._layers, self.lenses, depths, strict=True)
        ]
        return float(self._loss(frame, rendered))

    def differences(self, frame: int, seen: Seen) -> list[Differences]:
        """From the colours of ``frame``, for each camera."""
        return [
            differences(layer, lens, frame, rendered, seen.points, self._slack)
            for layer, lens, rendered in zip(self._layers, self.lenses, seen.rendered, strict=True)
        ]

    def misfit(self, frame: int, seen: Seen) -> float:
        """The cost per covered pixel, the mean over the cameras: comparable between resolutions."""
        costs = [
            _per_pixel(rendered, frames[frame])
            for rendered, frames in zip(seen.rendered, self.frames, strict=True)
        ]
        return sum(costs) / len(costs)

    def linearised(self, frame: int, seen: Seen) -> list[Linearised]:
        return [
            lens.linearised(frames[frame], rendered, seen.points, self._slack)
            for lens, frames, rendered in zip(self.lenses, self.frames, seen.rendered, strict=True)
        ]

    def add(
        self,
        equations: NormalEquations,
        frame: int,
        state: NodeState,
        seen: Seen,
        most: int | None = None,
    ) -> None:
        """Add what ``frame`` says about the nodes; the visible splats, or about ``most`` of them, stand for
        the covered pixels."""
        for all_seen, rendered in zip(self.linearised(frame, seen), seen.rendered, strict=True):
            found = _thinned(all_seen, most)
            share = self._gain * _COUNTED * _covered(rendered) / max(len(found.splats), 1)
            self._pull(equations, state, found, share)

    def flowed(self, frame: int, seen: Seen) -> list[Flowed]:
        """Where the flow from the frame before takes the splats that are visible in it, in ``seen``."""
        found = []
        for lens, frames, rendered in zip(self.lenses, self.frames, seen.rendered, strict=True):
            flow, trusted = flow_between(frames[frame - 1], frames[frame])
            pixels, index = lens.visible(rendered, seen.points, self._slack)
            column, row = pixels[index].long().unbind(1)
            kept = trusted[row, column]
            moved = (pixels[index] + flow[row, column])[kept]
            found.append(Flowed(index[kept], moved, _covered(rendered)))
        return found

    def add_flow(
        self, equations: NormalEquations, state: NodeState, targets: list[Flowed], points: Tensor
    ) -> None:
        """Pull the splats, now at ``points`` ``[N, 3]``, to the pixels of ``targets``."""
        for lens, (index, wanted, covered) in zip(self.lenses, targets, strict=True):
            pixels, _, slopes = lens.seen(points[index])
            residuals = pixels - wanted
            weights = _FLOW_DEVIATION**-2 / (1.0 + residuals.square().sum(1) / _FLOW_BREAK**2)
            pull = Linearised(index, residuals, slopes, weights)
            self._pull(equations, state, pull, _COUNTED * covered / max(len(index), 1))

    def _pull(self, equations: NormalEquations, state: NodeState, found: Linearised, share: float) -> None:
        """Residuals of splats as residuals of the nodes that move them."""
        turns, weights = rotation_matrices(state.rotations), share * found.weights
        if native.available():
            observed = found.residuals, found.slopes, weights
            moved = self._movers, self._shares, self._arms
            kernels.pull(
                *(equations.hessian, equations.gradient, found.splats, observed, moved, turns, self._radius)
            )
        else:
            self._pull_plainly(equations, found, weights, turns)

    def _pull_plainly(
        self, equations: NormalEquations, found: Linearised, weights: Tensor, turns: Tensor
    ) -> None:
        """The twin of the kernel."""
        movers, count = self._movers[found.splats], len(found.splats)
        arms = (turns[movers] @ self._arms[found.splats][..., None])[..., 0]  # [V, S, 3]
        slots = movers.shape[1]
        unit = (self._radius * torch.eye(3)).expand(count, slots, 3, 3)
        moves = torch.cat([-cross_matrices(arms), unit], dim=3) * self._shares[found.splats][..., None, None]
        slopes = (found.slopes[:, None] @ moves).permute(0, 2, 1, 3).reshape(count, -1, slots * 6)
        weighted = slopes * weights[:, None, None]
        blocks = (weighted.transpose(1, 2) @ slopes).reshape(count, slots, 6, slots, 6)
        equations.hessian.index_add_(
            0, self._pairs[found.splats].flatten(), blocks.transpose(2, 3).reshape(-1, 6, 6)
        )
        pull = (weighted.transpose(1, 2) @ found.residuals[:, :, None]).reshape(-1, 6)
        equations.gradient.index_add_(0, movers.flatten(), pull)


@torch.no_grad()
def floor_of(splats: SplatParameters, views: ViewSet, width: int, finer: int = 1) -> float:
    """The cost per pixel (see :meth:`Sight.misfit`) of splats at rest against their photographs, at a
    ``width`` in pixels, drawn ``finer``: what no motion can mend."""
    costs = []
    for view in range(0, len(views.images), max(len(views.images) // _FLOOR_VIEWS, 1)):
        camera = scaled(views.cameras[view], width)
        rgba = torch.from_numpy(views.images[view].astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        rgba[:, :3] *= rgba[:, 3:]
        small = functional.interpolate(rgba, size=(camera.height, camera.width), mode="area")[0]
        image = (small[:3] + 1.0 - small[3:]).permute(1, 2, 0)
        costs.append(_per_pixel(render(splats, camera, finer=finer), image))
    return sum(costs) / len(costs)


def _thinned(found: Linearised, most: int | None) -> Linearised:
    """Every second, or third, … of many."""
    stride = 1 if most is None else -(-len(found.splats) // most)
    return found if stride <= 1 else Linearised(*(part[::stride] for part in found))


def _detached(rendered: Rendered) -> Rendered:
    flow = None if rendered.flow is None else rendered.flow.detach()
    return Rendered(rendered.image.detach(), rendered.alpha.detach(), rendered.depth.detach(), flow)


def _covered(rendered: Rendered) -> float:
    """Pixels."""
    return float((rendered.alpha > 0.5).sum())


def _per_pixel(rendered: Rendered, image: Tensor) -> float:
    return 0.5 * robust_cost(rendered.image, image) / max(_covered(rendered), 1.0)
