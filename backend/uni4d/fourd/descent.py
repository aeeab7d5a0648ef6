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

from uni4d.fourd.checkpoint import Checkpoint, Kept, adam_tensors, restore_adam
from uni4d.fourd.frame_loss import frame_loss
from uni4d.fourd.layers import Layer
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import PathPrior, rigidity
from uni4d.fourd.ties import Ties
from uni4d.splatting.adam import Adam
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.static import ViewLoss
from uni4d_shared.progress import Progress

__all__ = ["Descent"]

_RATES = (0.002, 0.0006)
"""Adam's steps: node rotations, node translations (radii). Small, for the nodes are nearly in place; with
larger ones they wander off where the pictures say little."""
_WEIGHT_PATH = 4.0
_POLISH_RATES = {"log_scales": 0.01, "opacity_logits": 0.03, "coefficients": 0.02}
_POLISH_AFTER = 0.3
"""The polishing starts after this share of the finest level, when the motion is nearly in place."""


_MOTION = ("rotations", "translations")
_MOST_STEPS = 1 << 40


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


@dataclass
class _Place:
    """How far the descent is."""

    done: int
    """steps"""
    generator: torch.Generator
    order: Tensor
    """``[*]`` the frames of this round that are still to come."""
    polish: _Polish | None = None

    def tensors(self) -> dict[str, Tensor]:
        own = {
            "steps": torch.tensor(self.done),
            "generator": self.generator.get_state(),
            "order": self.order,
        }
        return own | (self.polish.tensors() if self.polish is not None else {})

    @classmethod
    def read(cls, kept: Kept, frames: int) -> _Place:
        """Of ``frames`` frames; without the polish."""
        return cls(
            kept.number("steps", _MOST_STEPS), kept.generator("generator"), kept.indices("order", frames)
        )


class Descent:
    """The motion, its optimiser, and the splats that are polished on the way."""

    def __init__(
        self, motion: MotionParameters, ties: Ties, levels: Sequence[Sequence[Layer]], length_scale: float
    ) -> None:
        """``levels``: coarse first; in each, one layer per clip, of the same splats."""
        self._motion, self._ties = motion, ties
        self._levels = list(levels)[-len(_STAGES) :]
        self._adam = FrameAdam(motion.tensors(), _RATES)
        self._path = PathPrior(len(motion.rotations), length_scale)

    def run(
        self,
        iterations: int,
        views: ViewLoss,
        seed: int,
        progress: Progress,
        checkpoint: Checkpoint | None = None,
    ) -> SplatParameters:
        """All frames together; returns the polished splats."""
        checkpoint = checkpoint or Checkpoint()
        stages = _STAGES[-len(self._levels) :]
        total = sum(stage.share for stage in stages)
        done, count = 0, len(self._motion.rotations)
        finest = self._levels[-1]
        splats = finest[0].splats.detached()
        place = checkpoint.recall("descent", lambda kept: self._resumed(kept, splats, views, seed))
        place = place or _Place(0, torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64))
        earlier = place.done
        splats = place.polish.splats if place.polish is not None else splats
        for layer in finest:
            layer.splats = splats
        for layers, stage in zip(self._levels, stages, strict=True):
            steps = max(round(iterations * stage.share / total), 1) if iterations else 0
            size = f"{layers[0].targets.camera.width}×{layers[0].targets.camera.height}"
            if done >= earlier:
                place.order = place.order[:0]
            for step in range(steps):
                done += 1
                if done <= earlier:
                    continue
                if len(place.order) < min(stage.batch, count):
                    place.order = torch.randperm(count, generator=place.generator)
                frames, place.order = place.order[: stage.batch], place.order[stage.batch :]
                if layers is finest and place.polish is None and step >= _POLISH_AFTER * steps:
                    place.polish = _Polish(splats, views, seed)
                factor = stage.start * (stage.stop / stage.start) ** (step / steps)
                self._step(layers[step % len(layers)], frames, factor, stage.rigidity, place.polish)
                place.done = done
                checkpoint.keep(
                    "descent", lambda: self._state(place), done=layers is finest and step + 1 == steps
                )
                progress(min(done / iterations, 1.0), f"fitting the motion at {size}, step {done}")
        splats = splats.detached()
        for layer in finest:
            layer.splats = splats
        return splats

    def _state(self, place: _Place) -> dict[str, Tensor]:
        """For a checkpoint."""
        motion = dict(zip(_MOTION, self._motion.tensors(), strict=True))
        return motion | self._adam.state() | place.tensors()

    def _resumed(self, kept: Kept, splats: SplatParameters, views: ViewLoss, seed: int) -> _Place:
        """The place that was kept, and the motion and its optimiser as they were there."""
        tensors = self._motion.tensors()
        known = [kept.like(name, tensor) for name, tensor in zip(_MOTION, tensors, strict=True)]
        adam = self._adam.read(kept)
        place = _Place.read(kept, len(self._motion.rotations))
        if "polish.steps" in kept:
            place.polish = _Polish(splats.detached(), views, seed)
            place.polish.resume(kept)
        self._adam.restore(adam)
        with torch.no_grad():
            for tensor, value in zip(tensors, known, strict=True):
                tensor.copy_(value)
        return place

    def _step(
        self, layer: Layer, frames: Tensor, factor: float, stiffness: float, polish: _Polish | None
    ) -> None:
        motion, targets = self._motion, layer.targets
        loss = stiffness * rigidity(motion, self._ties, frames)
        loss = loss + _WEIGHT_PATH * self._path.loss(motion, frames)
        for frame in frames.tolist():
            picture = frame_loss(layer.render(motion, frame), targets.images[frame], targets.masks[frame])
            loss = loss + picture / len(frames)
        own, look = motion.tensors(), [] if polish is None else polish.parameters
        gradients = torch.autograd.grad(loss, [*own, *look])
        self._adam.step(frames, gradients[: len(own)], factor)
        if polish is not None:
            polish.step(gradients[len(own) :])


class _Polish:
    """Adam on the look of the splats; every second step also looks at a photograph."""

    def __init__(self, splats: SplatParameters, views: ViewLoss, seed: int) -> None:
        self.splats, self._views = splats, views
        self._steps = 0
        rates = {getattr(splats, name).requires_grad_(True): rate for name, rate in _POLISH_RATES.items()}
        self._optimiser = Adam(rates, 1e-15)
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def parameters(self) -> list[Tensor]:
        return self._optimiser.parameters

    def step(self, gradients: Sequence[Tensor]) -> None:
        """``gradients`` of the parameters, of what the clip says."""
        if self._steps % 2 == 0:
            views = self._views.of_next(self.splats, self._generator)
            of_views = torch.autograd.grad(views, self.parameters)
            gradients = [one + other for one, other in zip(gradients, of_views, strict=True)]
        self._steps += 1
        self._optimiser.step(gradients)

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        look = {f"look.{name}": getattr(self.splats, name) for name in _POLISH_RATES}
        return look | {
            "polish.steps": torch.tensor(self._steps),
            "polish.generator": self._generator.get_state(),
            "polish.views": torch.tensor(self._views.order, dtype=torch.int64),
            **adam_tensors("polish.adam", self._optimiser),
        }

    def resume(self, kept: Kept) -> None:
        """Go on from what :meth:`tensors` had."""
        look = {name: kept.like(f"look.{name}", getattr(self.splats, name)) for name in _POLISH_RATES}
        steps, generator = kept.number("polish.steps", _MOST_STEPS), kept.generator("polish.generator")
        order = kept.indices("polish.views", self._views.count).tolist()
        restore_adam(self._optimiser, kept.adam("polish.adam", self._optimiser))
        self._steps, self._generator, self._views.order = steps, generator, order
        with torch.no_grad():
            for name, value in look.items():
                getattr(self.splats, name).copy_(value)
