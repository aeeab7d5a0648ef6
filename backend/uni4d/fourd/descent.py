"""The dynamic stage: pose and nodes of all frames, by gradient descent through the rasteriser.

First a sweep through time at the coarsest level, where each frame starts from the nodes of the one before;
then all frames in random order, from coarse to fine. At the finest level the splats' colours, opacities and
sizes are polished too, on the clip and on the photographs in turn: the rest keeps its look.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uni4d.fourd.layers import Layer
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import rigidity, smoothness
from uni4d.fourd.tracking import tracking_loss
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.static import ViewLoss
from uni4d_shared.progress import Progress

__all__ = ["Descent"]

_RATES = (0.004, 0.003, 0.02, 0.006)
"""Adam's steps: pose rotation, pose shift (radii), node rotations, node translations (radii)."""
_WEIGHT_SMOOTH = 1.0
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
    """Weight of the rigidity. Stiff at first: what a coarse picture pushes into the object (an ear, an eye)
    is hidden there and has no gradient to come out again."""


_SWEEP = _Stage(0.0, 1, 1.0, 1.0, 1.0)
_STAGES = (
    _Stage(0.35, 4, 1.0, 0.3, 0.5),
    _Stage(0.3, 2, 0.4, 0.15, 0.1),
    _Stage(0.35, 1, 0.2, 0.03, 0.03),
)


class Descent:
    """The motion, its optimiser, and the splats that are polished on the way."""

    def __init__(self, motion: MotionParameters, edges: Tensor, layers: list[Layer]) -> None:
        self._motion, self._edges, self._layers = motion, edges, layers
        self._adam = FrameAdam(motion.tensors(), _RATES)

    def sweep(self, steps: int, progress: Progress) -> None:
        """One frame after the other, ``steps`` each."""
        motion, count = self._motion, len(self._motion.rotations)
        for frame in range(count):
            if frame > 0:
                with torch.no_grad():
                    motion.rotations[frame] = motion.rotations[frame - 1]
                    motion.translations[frame] = motion.translations[frame - 1]
            for step in range(steps):
                self._step(self._layers[0], torch.tensor([frame]), _SWEEP.start, _SWEEP.rigidity)
                done = (frame + (step + 1) / steps) / count
                progress(done, f"following the nodes, frame {frame + 1} of {count}")

    def run(self, iterations: int, views: ViewLoss, seed: int, progress: Progress) -> SplatParameters:
        """All frames together; returns the polished splats."""
        generator = torch.Generator().manual_seed(seed)
        stages = _STAGES[-len(self._layers) :]
        total = sum(stage.share for stage in stages)
        done, count = 0, len(self._motion.rotations)
        finest = self._layers[-1]
        finest.splats = finest.splats.detached()
        polish: _Polish | None = None
        for layer, stage in zip(self._layers, stages, strict=True):
            steps = max(round(iterations * stage.share / total), 1)
            size = f"{layer.targets.camera.width}×{layer.targets.camera.height}"
            order = torch.empty(0, dtype=torch.int64)
            for step in range(steps):
                if len(order) < min(stage.batch, count):
                    order = torch.randperm(count, generator=generator)
                frames, order = order[: stage.batch], order[stage.batch :]
                if layer is finest and polish is None and step >= _POLISH_AFTER * steps:
                    polish = _Polish(finest.splats, views, seed)
                factor = stage.start * (stage.stop / stage.start) ** (step / steps)
                self._step(layer, frames, factor, stage.rigidity, polish)
                done += 1
                progress(min(done / iterations, 1.0), f"fitting the motion at {size}, step {done}")
        finest.splats = finest.splats.detached()
        return finest.splats

    def _step(
        self,
        layer: Layer,
        frames: Tensor,
        factor: float,
        stiffness: float,
        polish: _Polish | None = None,
    ) -> None:
        motion, targets = self._motion, layer.targets
        loss = stiffness * rigidity(motion, self._edges, frames)
        loss = loss + _WEIGHT_SMOOTH * smoothness(motion, frames)
        for rendered, frame in zip(layer.render(motion, frames), frames.tolist(), strict=True):
            picture = tracking_loss(rendered, targets.images[frame], targets.masks[frame])
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
