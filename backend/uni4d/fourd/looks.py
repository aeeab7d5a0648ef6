"""The last stage: how the splats look, refined in motion.

By now it is known how the object moves, so every frame is a photograph of it in another pose, from the clip's
camera: it shows what is hidden at rest, and from sides that no photograph has. The splats are refined on the
frames and on the photographs in turn, as the static stage did on the photographs alone
(:mod:`uni4d.splatting.refinement`). Gradients go back from where the mesh has carried the splats to where
they are at rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor

from uni4d.fourd.checkpoint import Checkpoint, Kept, adam_tensors, restore_adam
from uni4d.fourd.layers import Layer
from uni4d.splatting.binding import BoundSplats, Ride
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.refinement import Refinement, decay_over
from uni4d.splatting.view_loss import ViewLoss, picture_loss
from uni4d.splatting.visibility import SHOWN, shown_shares
from uni4d_shared.cameras import scaled
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Camera

__all__ = ["Looks"]

_RATE = 0.5
"""Of the static stage's learning rates."""
_LOOKS, _WIDTH = 16, 256
"""How many of the frames tell what they show of the object, and at what width in pixels they and the
photographs do."""
_NAMES = tuple(item.name for item in fields(SplatParameters))
_MOST_STEPS = 1 << 40


class Looks:
    """Splats at rest, with what they should look like in motion."""

    def __init__(
        self,
        bound: BoundSplats,
        views: ViewLoss,
        cameras: Sequence[Camera],
        layers: Sequence[Layer],
        moved: Sequence[Tensor],
        seed: int,
    ) -> None:
        """``views``: the photographs, taken by ``cameras``; ``layers`` of ``bound`` at full size, one per
        clip; ``moved``: the mesh's vertices ``[P, 3]``, frame by frame."""
        self._bound, self._views, self._cameras = bound, views, cameras
        self._layers = [replace(layer) for layer in layers]
        self._moved = moved
        self._order: list[int] = []
        """The frames of all clips that are still to come in this round, last first."""
        self._done, self._generator = 0, torch.Generator().manual_seed(seed)

    def refined(self, steps: int, progress: Progress, checkpoint: Checkpoint) -> BoundSplats:
        """After so many steps, of which every second looks at a frame. Deterministic for the seed, also when
        it goes on from its ``checkpoint``."""
        if steps == 0:
            return self._bound
        refinement = Refinement(self._bound, self._hidden(section(progress, 0.0, 0.1)), _RATE)
        progress, decay = section(progress, 0.1, 1.0), decay_over(steps)
        checkpoint.recall("looks", lambda kept: self._resume(kept, refinement))
        for _ in range(self._done):
            refinement.optimiser.slow_down(decay)
        while self._done < steps:
            refinement.step(self._of_next(refinement.splats), decay)
            self._done += 1
            checkpoint.keep("looks", lambda: self._state(refinement), done=self._done == steps)
            progress(self._done / steps, f"polishing the splats in motion, {self._done} of {steps}")
        return refinement.refined()

    def _of_next(self, splats: SplatParameters) -> Tensor:
        """How far the next photograph or frame is from what ``splats`` look like there."""
        if self._done % 2 == 0:
            return self._views.of_next(splats, self._generator)
        if not self._order:
            count = len(self._layers) * len(self._moved)
            self._order = torch.randperm(count, generator=self._generator).tolist()
        number, frame = divmod(self._order.pop(), len(self._moved))
        layer, ride = self._layers[number], self._ride(frame)
        layer.splats = splats
        added = None if layer.change is None else layer.change.at(frame)
        carried = ride.placed(splats)
        # the light is on them as they were
        lit = carried if layer.shading is None else ride.placed(self._bound.splats)
        drawn = layer.shown(*carried, splats.scales, layer.colors(*lit, added))
        return picture_loss(drawn.image, layer.targets.images[frame])

    def _hidden(self, progress: Progress) -> Tensor:
        """``[N]`` bool: what neither photographs nor frames show."""
        splats = self._bound.splats.detached()
        best = shown_shares(splats, _small(self._cameras, progress))
        looks = [(layer, frame) for frame in range(len(self._moved)) for layer in self._layers]
        for layer, frame in looks[:: max(len(looks) // _LOOKS, 1)]:
            means, quaternions = self._ride(frame).placed(splats)
            carried = splats.replaced(means=means, quaternions=quaternions)
            best = torch.maximum(best, shown_shares(carried, _small([layer.targets.camera], progress)))
        return best < SHOWN

    def _ride(self, frame: int) -> Ride:
        return self._bound.ride(self._moved[frame])

    def _state(self, refinement: Refinement) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {
            "steps": torch.tensor(self._done),
            "generator": self._generator.get_state(),
            "views": torch.tensor(self._views.order, dtype=torch.int64),
            "frames": torch.tensor(self._order, dtype=torch.int64),
            **{name: getattr(refinement.splats, name) for name in _NAMES},
            **adam_tensors("adam", refinement.optimiser),
        }

    def _resume(self, kept: Kept, refinement: Refinement) -> None:
        """Go on from what :meth:`_state` had."""
        splats, optimiser = refinement.splats, refinement.optimiser
        known = {name: kept.like(name, getattr(splats, name)) for name in _NAMES}
        done, generator = kept.number("steps", _MOST_STEPS), kept.generator("generator")
        views = kept.indices("views", self._views.count).tolist()
        frames = kept.indices("frames", len(self._layers) * len(self._moved)).tolist()
        restore_adam(optimiser, kept.adam("adam", optimiser))
        self._done, self._generator = done, generator
        self._views.order, self._order = views, frames
        with torch.no_grad():
            for name, value in known.items():
                getattr(splats, name).copy_(value)


def _small(cameras: Sequence[Camera], progress: Progress) -> Iterator[Camera]:
    """Each no wider than is needed to tell what they show."""
    for camera in cameras:
        progress(0.0, "looking at what photographs and frames show")
        yield scaled(camera, min(_WIDTH, camera.width))
