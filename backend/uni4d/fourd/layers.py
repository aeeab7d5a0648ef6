"""One resolution of the fit: the clip's frames at that size, and the splats rendered against them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uni4d.fourd.deformation import SplatDriver
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.targets import Targets
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS
from uni4d.splatting.rasterise import Rendered, rasterise

__all__ = ["Layer", "make_layers"]

_DENSITY = {0: 1, 1: 1, 2: 2, 3: 3}
"""Levels below the clip's own size → one splat in so many is rendered."""


@dataclass
class Layer:
    """Renders the moving splats at one level of the pyramid."""

    targets: Targets
    splats: SplatParameters
    """Scales, opacities and colours are read at every rendering, so they may be optimised."""
    driver: SplatDriver
    low_pass: float
    """pixels², equal on the object at all levels: a coarse picture is a smaller copy of the fine one, with
    its silhouette in the same place."""

    def render(self, motion: MotionParameters, frame: int) -> Rendered:
        """The object in one frame."""
        carried = self.driver.carried(motion.matrices(torch.tensor([frame])))
        return self.draw(carried.means[0], carried.quaternions[0])

    def draw(self, means: Tensor, quaternions: Tensor) -> Rendered:
        """The splats at given places ``[N, 3]``, ``[N, 4]``."""
        splats = self.splats
        return rasterise(
            *(means, quaternions, splats.scales, splats.opacities, splats.colors.clamp(max=1.0)),
            *(self.targets.camera, self.targets.background),
            low_pass=self.low_pass,
        )


def make_layers(bound: BoundSplats, graph: NodeGraph, levels: list[Targets]) -> list[Layer]:
    """One layer per level, coarse first; the last has all splats and the usual low-pass."""
    full = levels[-1].camera.width
    layers = []
    for below, targets in zip(reversed(range(len(levels))), levels, strict=True):
        own = _thinned(bound, _DENSITY[below])
        low_pass = LOW_PASS * (targets.camera.width / full) ** 2
        layers.append(Layer(targets, own.splats, SplatDriver(own, graph), low_pass))
    return layers


def _thinned(bound: BoundSplats, density: int) -> BoundSplats:
    """Every ``density``-th splat (they lie in the order of the surface), grown to fill the gaps."""
    if density == 1:
        return bound
    keep = torch.arange(0, len(bound), density)
    splats = bound.splats.select(keep)
    return replace(
        bound,
        splats=replace(splats, log_scales=splats.log_scales + 0.5 * math.log(density)),
        face_index=bound.face_index[keep],
        barycentric=bound.barycentric[keep],
    )
