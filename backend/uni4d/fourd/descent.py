"""The last stage: nodes of all frames together, by gradient descent through the rasteriser.

Registration has brought every node near its place; what is left are fractions of a pixel, edges and
occlusions, of which only the rendered picture itself knows. Frames come in random order, seen by the clips in
turn, under the priors of :mod:`uni4d.fourd.priors`. At full size the splats' colours, opacities and sizes are
polished too, on the clips and on the photographs in turn: the rest keeps its look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uni4d.fourd.frame_loss import frame_loss
from uni4d.fourd.layers import Layer
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import PathPrior, rigidity
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.static import ViewLoss
from uni4d_shared.progress import Progress

__all__ = ["Descent"]

_RATES = (0.01, 0.003)
"""Adam's steps: node rotations, node translations (radii)."""
_WEIGHT_PATH = 4.0
_POLISH_RATES = {"log_scales": 0.01, "opacity_logits": 0.03, "coefficients": 0.02}
_POLISH_AFTER = 0.3
"""The polishing starts after this share of the finest level, when the motion is nearly in place."""


@dataclass(frozen=True)
class _Stage:
    """One level of the joint fit."""

    share: float
    """of all steps"""
    batch: int
    """frames per step"""
    start: float
    """factor of the rates at its first step …"""
    stop: float
    """… and at its last"""
    rigidity: float
    """Weight of the rigidity."""


_STAGES = (_Stage(0.4, 2, 0.4, 0.15, 0.2), _Stage(0.6, 1, 0.2, 0.03, 0.1))


class Descent:
    """The motion, its optimiser, and the splats that are polished on the way."""

    def __init__(
        self, motion: MotionParameters, edges: Tensor, levels: Sequence[Sequence[Layer]], length_scale: float
    ) -> None:
        """``levels``: coarse first; in each, one layer per clip, of the same splats."""
        self._motion, self._edges = motion, edges
        self._levels = list(levels)[-len(_STAGES) :]
        self._adam = FrameAdam(motion.tensors(), _RATES)
        self._path = PathPrior(len(motion.rotations), length_scale)

    def run(self, iterations: int, views: ViewLoss, seed: int, progress: Progress) -> SplatParameters:
        """All frames together; returns the polished splats."""
        generator = torch.Generator().manual_seed(seed)
        stages = _STAGES[-len(self._levels) :]
        total = sum(stage.share for stage in stages)
        done, count = 0, len(self._motion.rotations)
        finest = self._levels[-1]
        splats = finest[0].splats.detached()
        for layer in finest:
            layer.splats = splats
        polish: _Polish | None = None
        for layers, stage in zip(self._levels, stages, strict=True):
            steps = max(round(iterations * stage.share / total), 1) if iterations else 0
            size = f"{layers[0].targets.camera.width}×{layers[0].targets.camera.height}"
            order = torch.empty(0, dtype=torch.int64)
            for step in range(steps):
                if len(order) < min(stage.batch, count):
                    order = torch.randperm(count, generator=generator)
                frames, order = order[: stage.batch], order[stage.batch :]
                if layers is finest and polish is None and step >= _POLISH_AFTER * steps:
                    polish = _Polish(splats, views, seed)
                factor = stage.start * (stage.stop / stage.start) ** (step / steps)
                self._step(layers[step % len(layers)], frames, factor, stage.rigidity, polish)
                done += 1
                progress(min(done / iterations, 1.0), f"fitting the motion at {size}, step {done}")
        splats = splats.detached()
        for layer in finest:
            layer.splats = splats
        return splats

    def _step(
        self, layer: Layer, frames: Tensor, factor: float, stiffness: float, polish: _Polish | None
    ) -> None:
        motion, targets = self._motion, layer.targets
        loss = stiffness * rigidity(motion, self._edges, frames)
        loss = loss + _WEIGHT_PATH * self._path.loss(motion, frames)
        for frame in frames.tolist():
            picture = frame_loss(layer.render(motion, frame), targets.images[frame], targets.masks[frame])
            loss = loss + picture / len(frames)
        self._adam.step(frames, loss, factor, retain_graph=polish is not None)
        if polish is not None:
            polish.step(loss)


class _Polish:
    """Adam on the look of the splats; every second step also looks at a photograph."""

    def __init__(self, splats: SplatParameters, views: ViewLoss, seed: int) -> None:
        self._splats, self._views = splats, views
        self._steps = 0
        groups = []
        for name, rate in _POLISH_RATES.items():
            groups.append({"params": [getattr(splats, name).requires_grad_(True)], "lr": rate})
        self._optimiser = torch.optim.Adam(groups, eps=1e-15)
        self._generator = torch.Generator().manual_seed(seed)

    def step(self, loss: Tensor) -> None:
        parameters = [group["params"][0] for group in self._optimiser.param_groups]
        if self._steps % 2 == 0:
            loss = loss + self._views.of_next(self._splats, self._generator)
        self._steps += 1
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        self._optimiser.step()
