"""What a fit is given, prepared: the object, its photographs, and the clips that show it in motion."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.alignment.guidance import fit_weights
from uni4d.config import FitConfig
from uni4d.fourd.checkpoint import Checkpoint, Kept
from uni4d.fourd.colors.parts import parts_of
from uni4d.fourd.colors.tints import Palette
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.targets import Targets, clip_camera, pyramid
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.static import splats_at_rest
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress
from uni4d_shared.types import Alignment, Clip, ViewSet

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """The object of one fit."""

    mesh: TexturedMesh
    views: ViewSet
    weights: NDArray[np.float32]
    """``[V]``: how much each photograph counts, 1 on average."""
    clips: tuple[Clip, ...]
    targets: list[list[Targets]]
    """``[clip][level]``, coarse first."""
    graph: NodeGraph
    radius: float
    """Metres."""
    config: FitConfig

    @classmethod
    def of(
        cls,
        mesh: TexturedMesh,
        views: ViewSet,
        alignment: Alignment,
        clips: tuple[Clip, ...],
        config: FitConfig,
    ) -> Subject:
        """Checked: ``Uni4DError`` says which clip does not fit."""
        films, key = _checked(clips), views.cameras[alignment.key_view]
        return cls(
            mesh,
            views,
            fit_weights(alignment),
            films,
            [pyramid(clip, clip_camera(clip, key)) for clip in films],
            build_node_graph(mesh.vertices, mesh.faces, config.nodes),
            bounding_sphere(mesh.vertices)[1],
            config,
        )

    def layers(self, bound: BoundSplats) -> list[list[Layer]]:
        """``[level][clip]``, of as many levels as all clips have, coarse first."""
        own = [make_layers(bound, self.graph, targets, self.config.finer) for targets in self.targets]
        depth = min(len(levels) for levels in own)
        return [list(level) for level in zip(*(levels[-depth:] for levels in own), strict=True)]

    def palette(self, bound: BoundSplats) -> Palette:
        """Of parts: splats of one material and of about one colour."""
        materials = torch.from_numpy(self.mesh.face_material.astype(np.int64))[bound.face_index]
        colors = bound.splats.colors.detach()
        return Palette(colors, parts_of(colors, materials))

    def at_rest(
        self, count: int, checkpoint: Checkpoint, progress: Progress, part: str = "splats"
    ) -> BoundSplats:
        """``count`` splats on the mesh, refined on the photographs; ``part``: of the checkpoint."""
        mesh, config = self.mesh, self.config

        def read(kept: Kept) -> BoundSplats:
            shapes = {"means": (3,), "quaternions": (4,), "log_scales": (3,), "opacity_logits": ()}
            values = {name: kept.tensor(name, count, *shape) for name, shape in shapes.items()}
            faces = torch.from_numpy(np.ascontiguousarray(mesh.faces, dtype=np.int64))
            return BoundSplats(
                SplatParameters(**values, coefficients=kept.tensor("coefficients", count, 1, 3)),
                vertices=torch.from_numpy(np.ascontiguousarray(mesh.vertices, dtype=np.float32)),
                faces=faces,
                face_index=kept.indices("face_index", len(faces), count),
                barycentric=kept.tensor("barycentric", count, 3),
            )

        known = checkpoint.recall(part, read)
        if known is not None:
            return known
        refined = splats_at_rest(
            *(mesh, self.views, count, config.static_iterations, progress),
            placed_share=config.placed_share, seed=config.seed, weights=self.weights,
        )  # fmt: skip
        names = [item.name for item in fields(SplatParameters)]
        bindings = {"face_index": refined.face_index, "barycentric": refined.barycentric}
        checkpoint.keep(part, lambda: {n: getattr(refined.splats, n) for n in names} | bindings, done=True)
        return refined


def _checked(clips: tuple[Clip, ...]) -> tuple[Clip, ...]:
    if not clips:
        raise Uni4DError("clip-empty", "No clip was given.", "Give at least one.")
    counts = {len(clip.frames) for clip in clips}
    sizes = {clip.frames.shape[1:3] for clip in clips}
    if len(counts) > 1 or len(sizes) > 1:
        raise Uni4DError(
            "clip-mismatch",
            f"The clips have {sorted(counts)} frames of {sorted(sizes)} pixels (height, width).",
            "Clips of one motion must be equally long and of one size.",
        )
    if len(clips) > 1 and any(clip.camera is None for clip in clips):
        raise Uni4DError(
            "clip-camera",
            "One of several clips does not say which camera filmed it.",
            "Give clips with cameras (.u4d files), or a single one.",
        )
    return clips
