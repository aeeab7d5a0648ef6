"""What splats are worth where the true motion and the true light are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.config import FitConfig
from uni4d.evaluation.reconstruction_motions import GLOW_COLOR, Body
from uni4d.evaluation.reconstruction_truth import Truth
from uni4d.fourd.checkpoint import Checkpoint
from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.colors.shading import Shading, shading_of
from uni4d.fourd.looks import Looks
from uni4d.fourd.subject import Subject
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.threads import kernels_alone
from uni4d.splatting.view_loss import ViewLoss
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.conventions import linear_from_srgb, srgb_from_linear
from uni4d_shared.progress import Progress
from uni4d_shared.types import Splats, ViewSet

__all__ = ["Oracle", "bytes_of"]

Array = NDArray[Any]


def bytes_of(splats: SplatParameters) -> int:
    """What must be kept of them."""
    return sum(getattr(splats, item.name).nbytes for item in fields(splats))


@dataclass(frozen=True)
class Oracle:
    """Splats that the true vertices carry, in the true light."""

    truth: Truth
    bound: BoundSplats
    body: Body
    shading: Shading | None = None
    """How the light of the photographs falls on what has turned."""
    iterations: int = 0

    @classmethod
    def of(cls, truth: Truth, bound: BoundSplats) -> Oracle:
        """With splats at rest."""
        return cls(truth, bound, Body(truth.mesh), shading_of(*_about(truth, bound)))

    @property
    def megabytes(self) -> float:
        return (bytes_of(self.bound.splats) + self.truth.vertices.nbytes) / 1e6

    def vertices_at(self, time: float) -> Array:
        return self.truth.vertices_at(time)

    def splats_at(self, time: float) -> Splats:
        carried = self.bound.carried(torch.from_numpy(self.vertices_at(time).copy()))
        moved = self.bound.splats.replaced(means=carried.means, quaternions=carried.quaternions)
        shown = moved.activated()
        if self.shading is not None:
            lit = self.shading.relit(self.bound.splats.colors.detach(), *carried)
            shown = attrs.evolve(shown, colors=lit.numpy())
        return attrs.evolve(shown, colors=self.glowing(shown.colors, time))

    def glowing(self, colors: Array, time: float) -> Array:
        """sRGB ``colors`` ``[N, 3]`` of the splats with the glow that the scene has at ``time``."""
        glow = self.truth.scene.motion.glow
        if glow is None:
            return colors
        materials = self.truth.mesh.face_material[self.bound.face_index.numpy()]
        amounts = glow(self.body, time / len(self.truth.clips[0].frames))[materials][:, None]
        light = (1.0 - amounts) * linear_from_srgb(colors) + amounts * np.array(GLOW_COLOR)
        return np.asarray(srgb_from_linear(light))

    @kernels_alone()
    def refined(self, cameras: int, config: FitConfig, progress: Progress) -> Oracle:
        """The same with splats that have looked at the clips of so many ``cameras``, as those of a fit do."""
        truth, shading = self.truth, self.shading
        films = truth.clips[:cameras]
        subject = Subject.of(truth.mesh, truth.views, truth.alignment, films, config)
        layers, frames = subject.layers(self.bound)[-1], range(len(films[0].frames))
        change = self._change(frames)
        for layer in layers:
            layer.change, layer.shading = change, shading
        moved = [torch.from_numpy(self.vertices_at(frame).astype(np.float32)) for frame in frames]
        views = ViewLoss(truth.views, weights=subject.weights)
        looks = Looks(self.bound, views, truth.views.cameras, layers, moved, config.seed)
        bound = looks.refined(config.look_iterations, progress, Checkpoint())
        if shading is not None:
            shading = shading_of(*_about(truth, bound), light=shading.light)
        return replace(self, bound=bound, shading=shading, iterations=config.look_iterations)

    def _change(self, frames: Sequence[int]) -> ColorChange | None:
        """What the glow adds to the splats' colours."""
        if self.truth.scene.motion.glow is None:
            return None
        rest = self.bound.splats.activated().colors
        added = np.stack([self.glowing(rest, frame) - rest for frame in frames])
        return ColorChange.nearest(torch.from_numpy(added.astype(np.float32)))


def _about(truth: Truth, bound: BoundSplats) -> tuple[TexturedMesh, BoundSplats, ViewSet, float]:
    """What the light of the photographs is told from."""
    return truth.mesh, bound, truth.views, bounding_sphere(truth.mesh.vertices)[1]
