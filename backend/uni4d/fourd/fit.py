"""The 4D stage: from a mesh, its photographs and one or more clips to splats that move as the clips show.

1. Splats on the mesh, refined on the photographs (:mod:`uni4d.splatting.static`).
2. Control nodes (:mod:`uni4d.fourd.nodes`), followed through the frames by Gauss-Newton on the colours, from
   coarse to fine (:mod:`uni4d.fourd.registration`).
3. Shades that wander as things turn in the light of the photographs (:mod:`uni4d.fourd.colors.shading`), and
   other changes of colour, such as a lamp's, of low rank over time (:mod:`uni4d.fourd.colors.appearance`).
4. All frames together: by Gauss-Newton under priors that are learnt over the clip (:mod:`uni4d.fourd.joint`),
   then by gradient descent through the rasteriser (:mod:`uni4d.fourd.descent`), under a Gaussian process over
   time (:mod:`uni4d_shared.trajectories`).
5. The splats' looks, refined on photographs and frames in turn (:mod:`uni4d.fourd.looks`).

The fit knows the frames and the cameras, never what made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from uni4d.config import FitConfig
from uni4d.fourd.certainty import deviations
from uni4d.fourd.checkpoint import Checkpoint
from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.deformation import vertices_at
from uni4d.fourd.descent import Descent
from uni4d.fourd.fingerprint import fingerprint
from uni4d.fourd.following import followed_by, relaid, shown_change
from uni4d.fourd.joint import RENDERINGS_PER_ROUND
from uni4d.fourd.layers import Layer
from uni4d.fourd.looks import Looks
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.registration import RENDERINGS_PER_FRAME
from uni4d.fourd.sight import Sight
from uni4d.fourd.subject import Subject
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.rasterise import render
from uni4d.splatting.ray_order import traced_change
from uni4d.splatting.threads import kernels_alone
from uni4d.splatting.view_loss import ViewLoss
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Alignment, Clip, Gaussians4D, Mesh, NodeMotion, ViewSet

__all__ = ["fit", "renderings"]


@kernels_alone()
def fit(
    mesh: TexturedMesh,
    views: ViewSet,
    alignment: Alignment,
    clips: Clip | Sequence[Clip],
    config: FitConfig | None = None,
    progress: Progress = silent,
    checkpoint: Checkpoint | None = None,
) -> FitResult:
    """Fit 4D Gaussians to a clip, or to several of the same motion from cameras of their own.

    Deterministic for ``config.seed``, also when it was interrupted and goes on from its ``checkpoint``, which
    is empty in the end. Metrics, over all clips: ``psnr_foreground``
    and ``psnr_foreground_static`` (the same splats, not moved), both in dB as defined in
    :func:`uni4d.fourd.metrics.foreground_psnr`; ``psnr_foreground_tracked`` (before the last two stages);
    ``deviation`` (mean standard deviation of the nodes' places, % of the object's diameter); ``lamps`` (in
    whose light shades wander as things turn; 0 where they do not); ``seconds``, ``iterations`` (of the last
    two stages), ``splats``, ``nodes``.
    """
    config = config or FitConfig()
    checkpoint = checkpoint or Checkpoint()
    films = (clips,) if isinstance(clips, Clip) else tuple(clips)
    progress(0.0, "choosing control nodes")
    subject = Subject.of(mesh, views, alignment, films, config)
    checkpoint.begin(
        lambda: fingerprint(mesh=mesh, views=views, alignment=alignment, clips=films, settings=config)
    )
    bound = subject.at_rest(config.splats, checkpoint, section(progress, 0.0, 0.2))
    by = _by_hexplane if config.deformation == "hexplane" else _by_nodes
    moved = by(subject, bound, checkpoint, section(progress, 0.2, 0.96))
    result = _result(subject, moved, checkpoint, section(progress, 0.96, 0.99))
    progress(1.0, f"fitted, {result.metrics['psnr_foreground']:.1f} dB")
    return result


def renderings(config: FitConfig, frames: int) -> int:
    """Pictures that a fit of one clip draws: the budget of what it is compared with."""
    per_frame = RENDERINGS_PER_FRAME + RENDERINGS_PER_ROUND * config.rounds
    return config.iterations + config.look_iterations + per_frame * frames


class _Moved(NamedTuple):
    bound: BoundSplats
    """As they look in the end."""
    motion: NodeMotion
    metrics: dict[str, float]
    change: ColorChange | None = None


def _by_nodes(subject: Subject, bound: BoundSplats, checkpoint: Checkpoint, progress: Progress) -> _Moved:
    config, films, views = subject.config, subject.clips, subject.views
    layers = subject.layers(bound)
    followed = followed_by(subject, bound, layers, checkpoint, section(progress, 0.0, 0.65))
    motion = MotionParameters(subject.graph, followed.states, subject.radius)
    for layer in (own for level in layers for own in level):
        layer.change = followed.change
    tracked = _rendered_psnr(layers[-1], motion, films)
    descent = Descent(motion, Ties.of(subject.graph), layers, config.length_scale)
    descent.run(config.iterations, config.seed, section(progress, 0.65, 0.8), checkpoint)
    seen = ViewLoss(views, weights=subject.weights)
    looks = Looks(bound, seen, views.cameras, layers[-1], _vertices(subject, motion), config.seed)
    bound = looks.refined(config.look_iterations, section(progress, 0.8, 0.98), checkpoint)
    progress(0.98, "measuring")
    states = motion.states()
    uncertain = deviations(followed.sight, states, config.length_scale, subject.radius)
    final = relaid(subject, bound, layers[-1])
    sight, shading = Sight(final, subject.graph, subject.radius), final[0].shading
    return _Moved(
        bound,
        motion.exported(subject.graph, config.length_scale, uncertain),
        {
            "psnr_foreground": _rendered_psnr(final, motion, films),
            "psnr_foreground_static": _still_psnr(final, films),
            "psnr_foreground_tracked": tracked,
            "deviation": 50.0 * float(uncertain.mean()) / subject.radius,
            "lamps": float(0 if shading is None else len(shading.light.directions)),
        },
        shown_change(final[0], [sight.carried(state) for state in states], followed.change),
    )


@torch.no_grad()
def _vertices(subject: Subject, motion: MotionParameters) -> list[Tensor]:
    """``[P, 3]`` of the mesh, frame by frame."""
    graph, matrices = subject.graph, motion.matrices(torch.arange(len(motion.rotations)))
    rest = torch.from_numpy(np.ascontiguousarray(subject.mesh.vertices, dtype=np.float32))
    nodes, weights = torch.from_numpy(graph.vertex_nodes).long(), torch.from_numpy(graph.vertex_weights)
    return [vertices_at(rest, nodes, weights, own) for own in matrices]


def _result(subject: Subject, moved: _Moved, checkpoint: Checkpoint, progress: Progress) -> FitResult:
    bound, lens = moved.bound, subject.targets[0][-1].camera
    result = Gaussians4D(
        mesh=Mesh(subject.mesh.vertices, subject.mesh.faces),
        splats=bound.splats.activated(),
        motion=moved.motion,
        splat_faces=bound.face_index.numpy().astype("int32"),
        splat_barycentric=bound.barycentric.numpy(),
        fps=subject.clips[0].fps,
        color_motion=None if moved.change is None else moved.change.exported(),
        traced_change=traced_change(bound.splats, subject.views.cameras, lens, progress),
    )
    size = {
        "seconds": checkpoint.seconds,
        "iterations": float(subject.config.iterations + subject.config.look_iterations),
        "splats": float(len(bound)),
        "nodes": float(len(moved.motion.nodes)),
    }
    checkpoint.clear()
    return FitResult(result, moved.metrics | size)


def _by_hexplane(subject: Subject, bound: BoundSplats, checkpoint: Checkpoint, progress: Progress) -> _Moved:
    """Free splats moved by HexPlane for as many rendering steps; then the nodes that follow them."""
    from uni4d.fourd.hexplane import fit_hexplane
    from uni4d.fourd.hexplane_nodes import node_motion

    clips, config, layers = subject.clips, subject.config, subject.layers(bound)[-1]
    steps = renderings(config, len(clips[0].frames))
    targets = [layer.targets for layer in layers]
    fitted = fit_hexplane(bound, targets, steps, progress=progress, seed=config.seed, checkpoint=checkpoint)
    with torch.no_grad():
        images = [
            torch.stack([render(s, t.camera, t.background).image for s in fitted.per_frame()])
            for t in targets
        ]
    return _Moved(
        bound,
        node_motion(fitted, subject.graph),
        {"psnr_foreground": _mean_psnr(images, clips), "psnr_foreground_static": _still_psnr(layers, clips)},
    )


@torch.no_grad()
def _rendered_psnr(layers: list[Layer], motion: MotionParameters, clips: tuple[Clip, ...]) -> float:
    def images(layer: Layer, clip: Clip) -> Tensor:
        return torch.stack([layer.render(motion, frame).image for frame in range(len(clip.frames))])

    return _mean_psnr([images(layer, clip) for layer, clip in zip(layers, clips, strict=True)], clips)


@torch.no_grad()
def _still_psnr(layers: list[Layer], clips: tuple[Clip, ...]) -> float:
    """Of the splats at rest."""
    images = [
        render(layer.splats, layer.targets.camera, layer.targets.background).image.expand(
            len(clip.frames), -1, -1, -1
        )
        for layer, clip in zip(layers, clips, strict=True)
    ]
    return _mean_psnr(images, clips)


def _mean_psnr(images: list[Tensor], clips: tuple[Clip, ...]) -> float:
    values = [foreground_psnr(image, clip) for image, clip in zip(images, clips, strict=True)]
    return sum(values) / len(values)
