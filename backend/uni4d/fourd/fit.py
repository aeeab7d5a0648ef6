"""The 4D stage: from a mesh, its photographs and a clip to splats that move as the clip shows.

1. Splats on the mesh, refined on the photographs (:mod:`uni4d.splatting.static`).
2. Control nodes; rigid tracking of the whole object at low resolution (:mod:`uni4d.fourd.tracking`).
3. A sweep through time: each frame starts from the nodes of the one before.
4. All frames together, from coarse to full resolution: pose and nodes, by gradient descent through the
   rasteriser on the difference from the frames, under the priors of :mod:`uni4d.fourd.priors`.

The fit knows the frames and the camera, never what made them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from uni4d.config import FitConfig
from uni4d.fourd.deformation import SplatDriver
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import rigidity, smoothness
from uni4d.fourd.targets import Targets, clip_camera, pyramid
from uni4d.fourd.tracking import track_rigidly, tracking_loss
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.rasterise import Rendered, rasterise, render
from uni4d.splatting.static import refine_on_views
from uni4d.splatting.surface import splats_from_mesh
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.messages import FitResult
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Alignment, Clip, Gaussians4D, Mesh, ViewSet

__all__ = ["fit"]

_RATES = (0.004, 0.003, 0.02, 0.006)
"""Adam's steps: pose rotation, pose shift (radii), node rotations, node translations (radii)."""
_WEIGHT_RIGID = 0.02
_WEIGHT_SMOOTH = 1.0
_SWEEP_SHARE = 0.5
"""Steps of the sweep per frame, as a share of the tracking's."""
_STAGES = ((0.5, 4), (0.3, 2), (0.2, 1))
"""Coarse to fine: share of the steps, and frames per step."""
_DENSITY = (4, 2, 1)
"""One splat in so many is rendered at each level of the pyramid."""


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
    layers = _layers(bound, graph, levels)
    track = track_rigidly(
        *(layers[0].bound.splats, layers[0].targets, torch.tensor(centre, dtype=torch.float32), radius),
        *(config.track_iterations, section(progress, 0.2, 0.35)),
    )
    motion = MotionParameters(graph, track, radius)
    descent = _Descent(motion, torch.from_numpy(graph.edges))
    rigid = _rendered_psnr(layers[-1], motion, clip)
    _sweep(descent, layers[0], round(_SWEEP_SHARE * config.track_iterations), section(progress, 0.35, 0.45))
    _joint_fit(descent, layers, config.iterations, config.seed, section(progress, 0.45, 0.97))
    progress(0.97, "measuring")
    result = Gaussians4D(
        mesh=Mesh(mesh.vertices, mesh.faces),
        splats=bound.splats.activated(),
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


@dataclass(frozen=True)
class _Layer:
    """One level of the pyramid and the splats that are rendered at it."""

    targets: Targets
    bound: BoundSplats
    driver: SplatDriver
    appearance: tuple[Tensor, Tensor, Tensor]
    """Scales, opacities, colours: constants of the dynamic stage."""

    def render(self, motion: MotionParameters, frames: Tensor) -> list[Rendered]:
        carried = self.driver.carried(motion.matrices(frames))
        return [
            rasterise(means, quaternions, *self.appearance, self.targets.camera, self.targets.background)
            for means, quaternions in zip(*carried, strict=True)
        ]


def _layers(bound: BoundSplats, graph: NodeGraph, levels: list[Targets]) -> list[_Layer]:
    layers = []
    for targets, density in zip(levels, _DENSITY[-len(levels) :], strict=True):
        own = bound if density == 1 else _thinned(bound, density)
        splats = own.splats
        appearance = splats.scales, splats.opacities, splats.colors.clamp(0.0, 1.0)
        layers.append(_Layer(targets, own, SplatDriver(own, graph), appearance))
    return layers


def _thinned(bound: BoundSplats, density: int) -> BoundSplats:
    """Every ``density``-th splat (they lie in the order of the surface), grown to fill the gaps."""
    keep = torch.arange(0, len(bound), density)
    splats = bound.splats.select(keep)
    return replace(
        bound,
        splats=replace(splats, log_scales=splats.log_scales + 0.5 * np.log(density)),
        face_index=bound.face_index[keep],
        barycentric=bound.barycentric[keep],
    )


class _Descent:
    """The motion, its optimiser, and the loss of a batch of frames."""

    def __init__(self, motion: MotionParameters, edges: Tensor) -> None:
        self.motion, self._edges = motion, edges
        self._adam = FrameAdam(motion.tensors(), _RATES)

    def restart(self) -> None:
        """Forget the momentum, as at the start of a stage."""
        self._adam = FrameAdam(self.motion.tensors(), _RATES)

    def step(self, layer: _Layer, frames: Tensor, factor: float) -> None:
        motion, targets = self.motion, layer.targets
        loss = _WEIGHT_RIGID * rigidity(motion, self._edges, frames)
        loss = loss + _WEIGHT_SMOOTH * smoothness(motion, frames)
        for rendered, frame in zip(layer.render(motion, frames), frames.tolist(), strict=True):
            picture = tracking_loss(rendered, targets.images[frame], targets.masks[frame])
            loss = loss + picture / len(frames)
        self._adam.step(frames, loss, factor)


def _sweep(descent: _Descent, layer: _Layer, steps: int, progress: Progress) -> None:
    """One frame after the other, each from the local motion of the one before."""
    motion, count = descent.motion, len(layer.targets.images)
    for frame in range(count):
        if frame > 0:
            with torch.no_grad():
                motion.rotations[frame] = motion.rotations[frame - 1]
                motion.translations[frame] = motion.translations[frame - 1]
        for _ in range(steps):
            descent.step(layer, torch.tensor([frame]), 1.0)
        progress((frame + 1) / count, f"following the nodes, frame {frame + 1} of {count}")


def _joint_fit(
    descent: _Descent, layers: list[_Layer], iterations: int, seed: int, progress: Progress
) -> None:
    generator = torch.Generator().manual_seed(seed)
    stages = _STAGES[-len(layers) :]
    total = sum(share for share, _ in stages)
    done = 0
    for layer, (share, batch) in zip(layers, stages, strict=True):
        steps = round(iterations * share / total)
        width, height = layer.targets.camera.width, layer.targets.camera.height
        count = len(layer.targets.images)
        order = torch.empty(0, dtype=torch.int64)
        descent.restart()
        for step in range(steps):
            if len(order) < min(batch, count):
                order = torch.randperm(count, generator=generator)
            frames, order = order[:batch], order[batch:]
            descent.step(layer, frames, 0.1 ** (step / steps))
            done += 1
            progress(min(done / iterations, 1.0), f"fitting the motion at {width}×{height}, step {done}")


@torch.no_grad()
def _rendered_psnr(layer: _Layer, motion: MotionParameters, clip: Clip) -> float:
    frames = [layer.render(motion, torch.tensor([t]))[0].image for t in range(len(clip.frames))]
    return foreground_psnr(torch.stack(frames), clip)


@torch.no_grad()
def _still(layer: _Layer, count: int) -> Tensor:
    """The splats at rest, ``count`` times."""
    rendered = render(layer.bound.splats, layer.targets.camera, layer.targets.background)
    return rendered.image.expand(count, -1, -1, -1)
