"""The 4D stage: from a mesh, its photographs and one or more clips to splats that move as the clips show.

1. Splats on the mesh, refined on the photographs (:mod:`uni4d.splatting.static`).
2. Control nodes (:mod:`uni4d.fourd.nodes`), followed through the frames by Gauss-Newton on the colours, from
   coarse to fine (:mod:`uni4d.fourd.registration`).
3. Shades that wander as things turn in the light of the photographs (:mod:`uni4d.fourd.shading`), and other
   changes of colour, such as a lamp's, of low rank over time (:mod:`uni4d.fourd.appearance`).
4. All frames together: by Gauss-Newton under priors that are learnt over the clip (:mod:`uni4d.fourd.joint`),
   then, with the splats' own looks, by gradient descent through the rasteriser (:mod:`uni4d.fourd.descent`),
   under a Gaussian process over time (:mod:`uni4d_shared.trajectories`).

The fit knows the frames and the cameras, never what made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.alignment.guidance import fit_weights
from uni4d.config import FitConfig
from uni4d.fourd.certainty import deviations
from uni4d.fourd.checkpoint import Checkpoint, Kept
from uni4d.fourd.color_change import ColorChange
from uni4d.fourd.descent import Descent
from uni4d.fourd.fingerprint import fingerprint
from uni4d.fourd.following import Following, shown_change
from uni4d.fourd.joint import RENDERINGS_PER_ROUND
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.parts import parts_of
from uni4d.fourd.registration import RENDERINGS_PER_FRAME
from uni4d.fourd.shading import shading_of
from uni4d.fourd.sight import floor_of
from uni4d.fourd.targets import clip_camera, pyramid
from uni4d.fourd.tints import Palette
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import render
from uni4d.splatting.static import ViewLoss, splats_at_rest
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Alignment, Clip, Gaussians4D, Mesh, NodeMotion, ViewSet

__all__ = ["fit", "renderings"]


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

    Deterministic for ``config.seed`` and a number of threads, also when it was interrupted and goes on from
    its ``checkpoint``, which is empty in the end. Metrics, over all clips: ``psnr_foreground``
    and ``psnr_foreground_static`` (the same splats, not moved), both in dB as defined in
    :func:`uni4d.fourd.metrics.foreground_psnr`; ``psnr_foreground_tracked`` (before the last stage);
    ``deviation`` (mean standard deviation of the nodes' places, % of the object's diameter); ``lamps`` (in
    whose light shades wander as things turn; 0 where they do not); ``seconds``, ``iterations``, ``splats``,
    ``nodes``.
    """
    config = config or FitConfig()
    checkpoint = checkpoint or Checkpoint()
    films = _checked((clips,) if isinstance(clips, Clip) else tuple(clips))
    key = views.cameras[alignment.key_view]
    levels = [pyramid(clip, clip_camera(clip, key)) for clip in films]
    checkpoint.begin(
        lambda: fingerprint(mesh=mesh, views=views, alignment=alignment, clips=films, settings=config)
    )
    counts = fit_weights(alignment)
    bound = _at_rest(mesh, views, counts, config, checkpoint, section(progress, 0.0, 0.2))
    progress(0.2, "choosing control nodes")
    graph = build_node_graph(mesh.vertices, mesh.faces, config.nodes)
    radius = bounding_sphere(mesh.vertices)[1]
    layers = _by_level([make_layers(bound, graph, own, config.finer) for own in levels])
    if config.deformation == "hexplane":
        moved = _by_hexplane(
            bound, graph, layers[-1], films, config, checkpoint, section(progress, 0.21, 0.97)
        )
        return _result(mesh, bound, bound.splats, moved, films, checkpoint, config)
    finest = layers[-1][0]
    materials = torch.from_numpy(mesh.face_material.astype(np.int64))[bound.face_index]
    colors = bound.splats.colors.detach()
    following = Following(
        graph,
        radius,
        floor_of(bound.splats, views, finest.targets.camera.width, config.finer),
        config.rounds,
        Palette(colors, parts_of(colors, materials)),
        shading_of(mesh, bound, views, radius),
    )
    followed = following.followed(layers, checkpoint, section(progress, 0.21, 0.7))
    motion = MotionParameters(graph, followed.states, radius)
    for layer in (own for level in layers for own in level):
        layer.change = followed.change
    tracked = _rendered_psnr(layers[-1], motion, films)
    descent = Descent(motion, torch.from_numpy(graph.edges), layers, config.length_scale)
    look = ViewLoss(views, weights=counts)
    polished = descent.run(config.iterations, look, config.seed, section(progress, 0.7, 0.96), checkpoint)
    progress(0.96, "measuring")
    states = motion.states()
    uncertain = deviations(followed.sight, states, config.length_scale, radius)
    moved = _Moved(
        motion.exported(graph, config.length_scale, uncertain),
        {
            "psnr_foreground": _rendered_psnr(layers[-1], motion, films),
            "psnr_foreground_static": _still_psnr(layers[-1], films),
            "psnr_foreground_tracked": tracked,
            "deviation": 50.0 * float(uncertain.mean()) / radius,
            "lamps": float(0 if finest.shading is None else len(finest.shading.light.directions)),
        },
        shown_change(finest, [followed.sight.carried(state) for state in states], followed.change),
    )
    result = _result(mesh, bound, polished, moved, films, checkpoint, config)
    progress(1.0, f"fitted, {result.metrics['psnr_foreground']:.1f} dB")
    return result


def renderings(config: FitConfig, frames: int) -> int:
    """Pictures that a fit of one clip draws: the budget of what it is compared with."""
    return config.iterations + (RENDERINGS_PER_FRAME + RENDERINGS_PER_ROUND * config.rounds) * frames


class _Moved(NamedTuple):
    motion: NodeMotion
    metrics: dict[str, float]
    change: ColorChange | None = None


def _result(
    mesh: TexturedMesh,
    bound: BoundSplats,
    splats: SplatParameters,
    moved: _Moved,
    clips: tuple[Clip, ...],
    checkpoint: Checkpoint,
    config: FitConfig,
) -> FitResult:
    result = Gaussians4D(
        mesh=Mesh(mesh.vertices, mesh.faces),
        splats=splats.activated(),
        motion=moved.motion,
        splat_faces=bound.face_index.numpy().astype("int32"),
        splat_barycentric=bound.barycentric.numpy(),
        fps=clips[0].fps,
        color_motion=None if moved.change is None else moved.change.exported(),
    )
    size = {
        "seconds": checkpoint.seconds,
        "iterations": float(config.iterations),
        "splats": float(len(bound)),
        "nodes": float(len(moved.motion.nodes)),
    }
    checkpoint.clear()
    return FitResult(result, moved.metrics | size)


def _at_rest(
    mesh: TexturedMesh,
    views: ViewSet,
    weights: NDArray[np.float32],
    config: FitConfig,
    checkpoint: Checkpoint,
    progress: Progress,
) -> BoundSplats:
    """Splats on the mesh, refined on the photographs."""
    count = config.splats

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

    known = checkpoint.recall("splats", read)
    if known is not None:
        return known
    refined = splats_at_rest(
        *(mesh, views, count, config.static_iterations, progress),
        placed_share=config.placed_share, seed=config.seed, weights=weights,
    )  # fmt: skip
    names = [item.name for item in fields(SplatParameters)]
    bindings = {"face_index": refined.face_index, "barycentric": refined.barycentric}
    checkpoint.keep("splats", lambda: {n: getattr(refined.splats, n) for n in names} | bindings, done=True)
    return refined


def _by_hexplane(
    bound: BoundSplats,
    graph: NodeGraph,
    layers: list[Layer],
    clips: tuple[Clip, ...],
    config: FitConfig,
    checkpoint: Checkpoint,
    progress: Progress,
) -> _Moved:
    """Free splats moved by HexPlane for as many rendering steps; then the nodes that follow them."""
    from uni4d.fourd.hexplane import fit_hexplane
    from uni4d.fourd.hexplane_nodes import node_motion

    frames = len(clips[0].frames)
    steps = renderings(config, frames)
    targets = [layer.targets for layer in layers]
    fitted = fit_hexplane(bound, targets, steps, progress=progress, seed=config.seed, checkpoint=checkpoint)
    with torch.no_grad():
        images = [
            torch.stack([render(s, t.camera, t.background).image for s in fitted.per_frame()])
            for t in targets
        ]
    return _Moved(
        node_motion(fitted, graph),
        {"psnr_foreground": _mean_psnr(images, clips), "psnr_foreground_static": _still_psnr(layers, clips)},
    )


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


def _by_level(layers: list[list[Layer]]) -> list[list[Layer]]:
    """``[clip][level]`` as ``[level][clip]``, of as many levels as all clips have."""
    depth = min(len(own) for own in layers)
    return [list(level) for level in zip(*(own[-depth:] for own in layers), strict=True)]


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
