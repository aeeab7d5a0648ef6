"""The gsplat package behind the same interface. Needs an NVIDIA device; says so when there is none.

Written for gsplat 1.5.3. Backgrounds are added here, since depth and flow, drawn in the same call, have none.
Two differences are gsplat's own: its alpha goes up to 0.999, and its intrinsics get no gradient (a call that
asks for one is refused).
"""

from __future__ import annotations

import importlib.util

import torch

from uni4d.splatting.reference import displacements, finish
from uni4d.splatting.scene import Rendered, Scene
from uni4d_shared.errors import Uni4DError

__all__ = ["render"]


def render(scene: Scene) -> Rendered:
    """``B`` images."""
    _check(scene)
    import gsplat  # type: ignore[import-not-found, unused-ignore]

    cameras, images = scene.cameras, scene.images
    splats = [scene.means, scene.quaternions, scene.scales, scene.opacities]
    ranks = (2, 2, 2, 1)
    colors = scene.colors
    if scene.other is not None:
        colors = colors.expand(images, *colors.shape[-2:])
        colors = torch.cat([colors, displacements(scene, scene.other)], dim=-1)
    views, intrinsics = cameras.world_to_camera, cameras.intrinsics
    if any(t.ndim > rank for t, rank in zip(splats, ranks, strict=True)) or colors.ndim > 2:
        # gsplat has batches of scenes [B, N, …] with C cameras each: here, one
        splats = [t.expand(images, *t.shape[-rank:]) for t, rank in zip(splats, ranks, strict=True)]
        colors = colors.expand(images, *colors.shape[-2:])
        views, intrinsics = views[:, None], intrinsics[:, None]
    rendered, alphas, _ = gsplat.rasterization(
        *splats,
        colors,
        viewmats=views,
        Ks=intrinsics,
        width=cameras.width,
        height=cameras.height,
        near_plane=scene.near,
        eps2d=scene.low_pass,
        packed=False,
        render_mode="RGB+D",  # D is Σ w z, the last channel
        rasterize_mode="antialiased" if scene.antialiased else "classic",
    )
    size = images, cameras.height, cameras.width
    rendered, alphas = rendered.reshape(*size, -1), alphas.reshape(*size, 1)
    planes = torch.cat([rendered[..., :3], rendered[..., -1:], rendered[..., 3:-1], 1.0 - alphas], dim=-1)
    return finish(planes.permute(0, 3, 1, 2), scene.background)


def _check(scene: Scene) -> None:
    missing = []
    if not torch.cuda.is_available():
        missing.append("an NVIDIA device that this PyTorch can use")
    if importlib.util.find_spec("gsplat") is None:
        missing.append("the package gsplat")
    if missing:
        raise Uni4DError(
            "gsplat-unavailable",
            f"The gsplat rasteriser needs {' and '.join(missing)}.",
            "Use implementation='cpu', or on a machine with CUDA: pip install gsplat.",
        )
    if scene.means.device.type != "cuda":
        device = scene.means.device
        raise TypeError(f"rasterise: the gsplat implementation takes tensors on a CUDA device, got {device}")
    if scene.cameras.intrinsics.requires_grad:
        raise Uni4DError(
            "gsplat-intrinsics",
            "The gsplat rasteriser gives the cameras' intrinsics no gradient.",
            "Detach the intrinsics, or use implementation='cpu' or 'torch' on the CPU.",
        )
