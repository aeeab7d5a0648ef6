"""One resolution of the fit: the clip's frames at that size, and the splats rendered against them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.colors.shading import Shading
from uni4d.fourd.deformation import SplatDriver
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.photometry import Lens
from uni4d.fourd.targets import Targets
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import Rendered, rasterise

__all__ = ["Layer", "growth", "make_layers"]

_FINEST_DRAWING = 4
"""A coarse picture is a fine one averaged, as the coarse frame is; at most that many times as wide."""

_GROWTH = (0.5, 2.0)


@dataclass
class Layer:
    """Renders the moving splats at one level of the pyramid."""

    targets: Targets
    splats: SplatParameters
    """Scales, opacities and colours are read at every rendering, so they may be optimised."""
    driver: SplatDriver
    coarser: int = 1
    """How many times as wide the clip itself is."""
    finer: int = 1
    """Pictures are drawn that many times as wide as the clip's, and averaged."""
    change: ColorChange | None = None
    """What is added to the colours from frame to frame."""
    shading: Shading | None = None
    """How they change as the splats turn in the light."""

    def render(self, motion: MotionParameters, frame: int) -> Rendered:
        """The object in one frame; its motion has no gradient by way of how large the splats look (see
        :meth:`uni4d.fourd.sight.Sight.pull`)."""
        carried = self.driver.carried(motion.matrices(torch.tensor([frame])))
        added = None if self.change is None else self.change.at(frame)
        means = carried.means[0]
        depths = self._lens.depths(means)
        return self.draw(means, carried.quaternions[0], added, growth(depths, depths.detach()))

    @cached_property
    def _lens(self) -> Lens:
        return Lens(self.targets.camera)

    def draw(
        self, means: Tensor, quaternions: Tensor, added: Tensor | None = None, grown: Tensor | None = None
    ) -> Rendered:
        """The splats at given places ``[N, 3]``, ``[N, 4]``, with colours ``[N, 3]`` added to theirs, and
        ``grown`` ``[N]`` times as large."""
        scales = self.splats.scales if grown is None else self.splats.scales * grown[:, None]
        return self.shown(means, quaternions, scales, self.colors(means, quaternions, added))

    def shown(self, means: Tensor, quaternions: Tensor, scales: Tensor, colors: Tensor) -> Rendered:
        """The splats at places ``[N, 3]``, ``[N, 4]``, of sizes ``[N, 3]`` and colours ``[N, 3]``."""
        return rasterise(
            *(means, quaternions, scales, self.splats.opacities, colors),
            *(self.targets.camera, self.targets.background),
            finer=min(self.finer * self.coarser, _FINEST_DRAWING),
        )

    def colors(self, means: Tensor, quaternions: Tensor, added: Tensor | None = None) -> Tensor:
        """``[N, 3]`` sRGB of the splats as they are drawn, as in :meth:`draw`."""
        colors = self.splats.colors
        if self.shading is not None:
            colors = self.shading.relit(colors, means, quaternions)
        return (colors if added is None else colors + added).clamp(0.0, 1.0)


def growth(depths: Tensor, before: Tensor) -> Tensor:
    """``[N]`` times that splats at ``depths`` must grow to look as large as they did at those ``before``."""
    return (depths / before).nan_to_num(1.0).clamp(*_GROWTH)


def make_layers(bound: BoundSplats, graph: NodeGraph, levels: list[Targets], finer: int = 1) -> list[Layer]:
    """One layer per level, coarse first."""
    driver, full = SplatDriver(bound, graph), levels[-1].camera.width
    return [
        Layer(targets, bound.splats, driver, round(full / targets.camera.width), finer) for targets in levels
    ]
