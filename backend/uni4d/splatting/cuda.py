"""The gsplat package behind the same interface. Needs an NVIDIA device; says so when there is none."""

from __future__ import annotations

import importlib.util

import torch
from torch import Tensor

from uni4d.splatting.projection import camera_tensors
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera

__all__ = ["render"]


def render(
    means: Tensor,
    quaternions: Tensor,
    scales: Tensor,
    opacities: Tensor,
    colors: Tensor,
    camera: Camera,
    near: float,
    low_pass: float,
) -> Tensor:
    """``[5, H, W]``: premultiplied red, green, blue, depth, and the transmittance."""
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
    import gsplat  # type: ignore[import-not-found, unused-ignore]

    device = means.device
    if device.type != "cuda":
        raise TypeError(f"rasterise: the gsplat implementation takes tensors on a CUDA device, got {device}")
    world_to_camera, intrinsics = (t.to(device) for t in camera_tensors(camera, means.dtype))
    rendered, alphas, _ = gsplat.rasterization(
        *(means, quaternions, scales, opacities, colors),
        viewmats=world_to_camera[None],
        Ks=intrinsics[None],
        width=camera.width,
        height=camera.height,
        near_plane=near,
        eps2d=low_pass,
        render_mode="RGB+D",
    )
    return torch.cat([rendered[0].permute(2, 0, 1), 1.0 - alphas[0].permute(2, 0, 1)], dim=0)
