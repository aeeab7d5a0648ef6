"""Nodes of all frames together, by gradient descent through the rasteriser.

Registration has brought every node near its place; what is left are fractions of a pixel, edges and
occlusions, of which only the rendered picture itself knows. Frames come in random order, seen by the clips in
turn, under the priors of :mod:`uni4d.fourd.priors`. The splats stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uni4d.fourd.checkpoint import Checkpoint, Kept
from uni4d.fourd.frame_loss import frame_loss
from uni4d.fourd.layers import Layer
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import PathPrior, rigidity
from uni4d.fourd.ties import Ties
from uni4d_shared.progress import Progress

__all__ = ["Descent"]

_RATES = (0.002, 0.0006)
"""Adam's steps: node rotations, node translations (radii). Small, for the nodes are nearly in place; with
larger ones they wander off where the pictures say little."""
_WEIGHT_PATH = 4.0

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

    def tensors(self) -> dict[str, Tensor]:
        return {
            "steps": torch.tensor(self.done),
            "generator": self.generator.get_state(),
            "order": self.order,
        }

    @classmethod
    def read(cls, kept: Kept, frames: int) -> _Place:
        """Of ``frames`` frames."""
        return cls(
            kept.number("steps", _MOST_STEPS), kept.generator("generator"), kept.indices("order", frames)
        )


class Descent:
    """The motion and its optimiser."""

    def __init__(
        self, motion: MotionParameters, ties: Ties, levels: Sequence[Sequence[Layer]], length_scale: float
    ) -> None:
        """``levels``: coarse first; in each, one layer per clip, of the same splats."""
        self._motion, self._ties = motion, ties
        self._levels = list(levels)[-len(_STAGES) :]
        self._adam = FrameAdam(motion.tensors(), _RATES)
        self._path = PathPrior(len(motion.rotations), length_scale)

    def run(
        self, iterations: int, seed: int, progress: Progress, checkpoint: Checkpoint | None = None
    ) -> None:
        """All frames together."""
        checkpoint = checkpoint or Checkpoint()
        stages = _STAGES[-len(self._levels) :]
        total = sum(stage.share for stage in stages)
        done, count = 0, len(self._motion.rotations)
        finest = self._levels[-1]
        place = checkpoint.recall("descent", self._resumed)
        place = place or _Place(0, torch.Generator().manual_seed(seed), torch.empty(0, dtype=torch.int64))
        earlier = place.done
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
                factor = stage.start * (stage.stop / stage.start) ** (step / steps)
                self._step(layers[step % len(layers)], frames, factor, stage.rigidity)
                place.done = done
                checkpoint.keep(
                    "descent", lambda: self._state(place), done=layers is finest and step + 1 == steps
                )
                progress(min(done / iterations, 1.0), f"fitting the motion at {size}, step {done}")

    def _state(self, place: _Place) -> dict[str, Tensor]:
        """For a checkpoint."""
        motion = dict(zip(_MOTION, self._motion.tensors(), strict=True))
        return motion | self._adam.state() | place.tensors()

    def _resumed(self, kept: Kept) -> _Place:
        """The place that was kept, and the motion and its optimiser as they were there."""
        tensors = self._motion.tensors()
        known = [kept.like(name, tensor) for name, tensor in zip(_MOTION, tensors, strict=True)]
        adam, place = self._adam.read(kept), _Place.read(kept, len(self._motion.rotations))
        self._adam.restore(adam)
        with torch.no_grad():
            for tensor, value in zip(tensors, known, strict=True):
                tensor.copy_(value)
        return place

    def _step(self, layer: Layer, frames: Tensor, factor: float, stiffness: float) -> None:
        motion, targets = self._motion, layer.targets
        loss = stiffness * rigidity(motion, self._ties, frames)
        loss = loss + _WEIGHT_PATH * self._path.loss(motion, frames)
        for frame in frames.tolist():
            picture = frame_loss(layer.render(motion, frame), targets.images[frame], targets.masks[frame])
            loss = loss + picture / len(frames)
        self._adam.step(frames, torch.autograd.grad(loss, motion.tensors()), factor)
