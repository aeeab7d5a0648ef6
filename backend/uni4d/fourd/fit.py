"""The 4D stage: from a mesh, its photographs and a clip to splats that move as the clip shows.

1. Splats on the mesh, refined on the photographs (:mod:`uni4d.splatting.static`).
2. Control nodes; rigid tracking of the whole object at low resolution (:mod:`uni4d.fourd.tracking`).
3. A sweep through time: each frame starts from the nodes of the one before.
4. All frames together, from coarse to full resolution, by gradient descent through the rasteriser on the
   difference from the frames (:mod:`uni4d.fourd.descent`) under the priors of :mod:`uni4d.fourd.priors`.

The fit knows the frames and the camera, never what made them.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from uni4d.config import FitConfig
from uni4d.fourd.descent import Descent
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import build_node_graph
from uni4d.fourd.targets import clip_camera, pyramid
from uni4d.fourd.tracking import track_rigidly
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.rasterise import render
from uni4d.splatting.static import ViewLoss, refine_on_views
from uni4d.splatting.surface import splats_from_mesh
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Alignment, Clip, Gaussians4D, Mesh, ViewSet

__all__ = ["fit"]

_SWEEP_SHARE = 0.5
"""Steps of the sweep per frame, as a share of the tracking's."""


def fit(
    mesh: TexturedMesh,
    views: ViewSet,
    alignment: Alignment,
    clip: Clip,
    config: FitConfig | None = None,
    progress: Progress = silent,
) -> FitResult:
    """Fit 4D Gaussians to ``clip``. Deterministic for ``config.seed`` and a number of threads.

    Metrics: ``psnr_foreground`` and ``psnr_foreground_static`` (the same splats, not moved), both in dB as
    defined in :func:`uni4d.fourd.metrics.foreground_psnr`; ``psnr_foreground_rigid`` (tracking alone);
    ``seconds``, ``iterations``, ``splats``, ``nodes``.
    """
    config = config or FitConfig()
    started = time.perf_counter()
    camera = clip_camera(clip, views.cameras[alignment.key_view])
    levels = pyramid(clip, camera)
    progress(0.0, "placing splats on the mesh")
    bound = splats_from_mesh(mesh, config.splats, config.seed)
    bound = refine_on_views(
        bound, views, config.static_iterations, section(progress, 0.01, 0.18), seed=config.seed
    )
    progress(0.18, "choosing control nodes")
    graph = build_node_graph(mesh.vertices, mesh.faces, config.nodes)
    centre, radius = bounding_sphere(mesh.vertices)
    layers = make_layers(bound, graph, levels)
    track = track_rigidly(
        *(layers[0], torch.tensor(centre, dtype=torch.float32), radius),
        *(config.track_iterations, section(progress, 0.2, 0.35)),
    )
    motion = MotionParameters(graph, track, radius)
    rigid = _rendered_psnr(layers[-1], motion, clip)
    descent = Descent(motion, torch.from_numpy(graph.edges), layers)
    descent.sweep(round(_SWEEP_SHARE * config.track_iterations), section(progress, 0.35, 0.45))
    polished = descent.run(config.iterations, ViewLoss(views), config.seed, section(progress, 0.45, 0.97))
    progress(0.97, "measuring")
    result = Gaussians4D(
        mesh=Mesh(mesh.vertices, mesh.faces),
        splats=polished.activated(),
        motion=motion.exported(graph),
        splat_faces=bound.face_index.numpy().astype(np.int32),
        splat_barycentric=bound.barycentric.numpy(),
        fps=clip.fps,
    )
    metrics = {
        "psnr_foreground": _rendered_psnr(layers[-1], motion, clip),
        "psnr_foreground_static": foreground_psnr(_still(layers[-1], len(clip.frames)), clip),
        "psnr_foreground_rigid": rigid,
        "seconds": time.perf_counter() - started,
        "iterations": float(config.iterations),
        "splats": float(len(bound)),
        "nodes": float(len(graph.nodes)),
    }
    progress(1.0, f"fitted, {metrics['psnr_foreground']:.1f} dB")
    return FitResult(result, metrics)


@torch.no_grad()
def _rendered_psnr(layer: Layer, motion: MotionParameters, clip: Clip) -> float:
    frames = [layer.render(motion, torch.tensor([t]))[0].image for t in range(len(clip.frames))]
    return foreground_psnr(torch.stack(frames), clip)


@torch.no_grad()
def _still(layer: Layer, count: int) -> Tensor:
    """The splats at rest, ``count`` times."""
    rendered = render(layer.splats, layer.targets.camera, layer.targets.background)
    return rendered.image.expand(count, -1, -1, -1)
