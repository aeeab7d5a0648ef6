"""Splats → image, alpha, depth; differentiable. One interface over three implementations that agree.

==========  =========================================================================================
``cpu``     ``kernel.c``: tiles, threads, SIMD, hand-written gradients; float32
``torch``   the plain twin (:mod:`uni4d.splatting.reference`): any float type; slow
``gsplat``  the gsplat package on a CUDA device
``auto``    ``gsplat`` for tensors on a CUDA device, else ``cpu``; where no C compiler works, ``torch``
            and one warning
==========  =========================================================================================

Conventions are those of 3D Gaussian splatting: EWA projection with a 0.3 pixel² low-pass, alpha at most 0.99
and nothing below 1/255, pixel centres at +0.5, a pixel finished at transmittance 1e-4. Colours are blended as
they are given (sRGB throughout Uni4D).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from uni4d.splatting import cuda, native, reference
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS, camera_tensors, project
from uni4d_shared.types import Camera

__all__ = ["Implementation", "Rendered", "rasterise", "render"]

Implementation = Literal["auto", "cpu", "torch", "gsplat"]


class Rendered(NamedTuple):
    """What :func:`rasterise` returns. For several cameras every tensor has a leading dimension."""

    image: Tensor
    """``[H, W, 3]`` composited over the background."""
    alpha: Tensor
    """``[H, W]`` in [0, 1]."""
    depth: Tensor
    """``[H, W]`` expected depth Σ w z / Σ w in metres; ``inf`` where nothing is."""


class _Scene(NamedTuple):
    """The splats of one image."""

    means: Tensor
    quaternions: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor


def rasterise(
    means: Tensor,  # [N, 3] or [B, N, 3] metres, world
    quaternions: Tensor,  # [N, 4] or [B, N, 4] wxyz, any non-zero length
    scales: Tensor,  # [N, 3] or [B, N, 3] standard deviations in metres
    opacities: Tensor,  # [N] or [B, N] in [0, 1]
    colors: Tensor,  # [N, 3] or [B, N, 3]
    cameras: Camera | Sequence[Camera],
    background: Sequence[float] | Tensor = (1.0, 1.0, 1.0),
    implementation: Implementation = "auto",
    *,
    near: float = 1e-3,
    low_pass: float = LOW_PASS,
) -> Rendered:
    """Render one image, or ``B`` images from a sequence of ``B`` cameras of one size.

    With several cameras, each of the splats' tensors is either shared by all images or has a leading
    dimension ``B`` (moments in time, say). Splats nearer than ``near`` metres are left out. ``low_pass``
    is the variance in pixels² that is added on the image plane; to render a smaller copy of what another size
    shows, scale it with the square of the size. Differentiable in the five tensors of splats and in
    ``background``.
    """
    splats = (means, quaternions, scales, opacities, colors)
    single = isinstance(cameras, Camera)
    views: Sequence[Camera] = (cameras,) if isinstance(cameras, Camera) else tuple(cameras)
    _check_inputs(splats, views, single)
    chosen = _choose(implementation, means)
    backdrop = torch.as_tensor(background, dtype=means.dtype, device=means.device)
    if backdrop.shape != (3,):
        raise ValueError(f"rasterise: background must be 3 numbers, got shape {list(backdrop.shape)}")
    images = []
    for index, camera in enumerate(views):
        here = _Scene(*(t[index] if t.ndim > rank else t for t, rank in zip(splats, _RANKS, strict=True)))
        if chosen == "gsplat":
            planes = cuda.render(*here, camera, near, low_pass)
        else:
            planes = _render_here(here, camera, near, low_pass, chosen)
        images.append(_finish(planes, backdrop))
    if single:
        return images[0]
    return Rendered(*(torch.stack(parts) for parts in zip(*images, strict=True)))


def render(
    splats: SplatParameters,
    camera: Camera,
    background: Sequence[float] | Tensor = (1.0, 1.0, 1.0),
    implementation: Implementation = "auto",
) -> Rendered:
    """:func:`rasterise` of free parameters, with the colours that ``camera`` sees."""
    to_world = np.linalg.inv(camera.world_to_camera)
    position = torch.as_tensor(to_world[:3, 3], dtype=splats.means.dtype, device=splats.means.device)
    return rasterise(
        splats.means,
        splats.quaternions,
        splats.scales,
        splats.opacities,
        splats.colors_from(position),
        camera,
        background,
        implementation,
    )


_NAMES = ("means", "quaternions", "scales", "opacities", "colors")
_RANKS = (2, 2, 2, 1, 2)
_LAST = (3, 4, 3, None, 3)


def _check_inputs(splats: Sequence[Tensor], cameras: Sequence[Camera], single: bool) -> None:
    if not cameras:
        raise ValueError("rasterise: no camera given")
    first = splats[0]
    if not first.is_floating_point():
        raise TypeError(f"rasterise: means must be floating point, got {first.dtype}")
    count = first.shape[-2] if first.ndim >= 2 else -1
    for name, tensor, rank, last in zip(_NAMES, splats, _RANKS, _LAST, strict=True):
        shape = [count] if last is None else [count, last]
        batched = tensor.ndim == rank + 1 and not single and tensor.shape[0] == len(cameras)
        if list(tensor.shape[-rank:]) != shape or not (tensor.ndim == rank or batched):
            expected = f"{shape}" if single else f"{shape} or {[len(cameras), *shape]}"
            raise ValueError(f"rasterise: {name} must have shape {expected}, got {list(tensor.shape)}")
        if tensor.dtype != first.dtype or tensor.device != first.device:
            raise TypeError(
                f"rasterise: {name} is {tensor.dtype} on {tensor.device}, "
                f"means {first.dtype} on {first.device}"
            )
    sizes = {(camera.width, camera.height) for camera in cameras}
    if len(sizes) > 1:
        raise ValueError(f"rasterise: cameras of different sizes {sorted(sizes)} in one call")
    if min(next(iter(sizes))) < 1:
        raise ValueError(f"rasterise: image size {next(iter(sizes))} must be positive")


def _choose(implementation: Implementation, means: Tensor) -> str:
    if implementation == "auto":
        if means.is_cuda:
            return "gsplat"
        return "cpu" if means.dtype == torch.float32 and native.available() else "torch"
    if implementation == "cpu":
        if means.dtype != torch.float32 or means.device.type != "cpu":
            raise TypeError(
                f"rasterise: the cpu kernel takes float32 on the CPU, got {means.dtype} on {means.device}"
            )
        native.load()
    elif implementation not in ("torch", "gsplat"):
        raise ValueError(f"rasterise: unknown implementation {implementation!r}")
    return implementation


def _render_here(scene: _Scene, camera: Camera, near: float, low_pass: float, chosen: str) -> Tensor:
    """``[5, H, W]``: premultiplied red, green, blue, depth, and the transmittance."""
    means, quaternions, scales, opacities, colors = scene
    matrices = camera_tensors(camera, means.dtype)
    projected = project(
        *(means, quaternions, scales, *matrices), camera.width, camera.height, near=near, low_pass=low_pass
    )
    opacities = torch.where(projected.visible, opacities, torch.zeros_like(opacities))
    features = torch.cat([colors, projected.depths[:, None]], dim=1)
    composite = _composite_by_kernel if chosen == "cpu" else reference.composite
    return composite(
        *(projected.means, projected.conics, opacities, features, projected.depths),
        *(camera.width, camera.height),
    )


def _composite_by_kernel(
    means: Tensor,
    conics: Tensor,
    opacities: Tensor,
    features: Tensor,
    depths: Tensor,
    width: int,
    height: int,
) -> Tensor:
    planes: Tensor = _Composite.apply(  # type: ignore[no-untyped-call]
        means, conics, opacities, features, depths, width, height
    )
    return planes


class _Composite(torch.autograd.Function):
    """The C kernel as a differentiable operation; depths only order the splats here."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        conics: Tensor,
        opacities: Tensor,
        features: Tensor,
        depths: Tensor,
        width: int,
        height: int,
    ) -> Tensor:
        means, conics, opacities, features, depths = (
            t.detach().contiguous() for t in (means, conics, opacities, features, depths)
        )
        binning = native.bin_splats(means, conics, opacities, depths, width, height)
        out = native.forward(means, conics, opacities, features, binning, width, height)
        ctx.save_for_backward(means, conics, opacities, features, out)
        ctx.binning = binning
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        means, conics, opacities, features, out = ctx.saved_tensors
        found = native.backward(
            means, conics, opacities, features, ctx.binning, out, gradients[0].contiguous()
        )
        return (*found, None, None, None)


def _finish(planes: Tensor, background: Tensor) -> Rendered:
    transmittance = planes[4]
    image = planes[:3].permute(1, 2, 0) + transmittance[..., None] * background
    alpha = 1.0 - transmittance
    hit = alpha > 0
    depth = planes[3] / torch.where(hit, alpha, torch.ones_like(alpha))
    return Rendered(image, alpha, torch.where(hit, depth, torch.full_like(depth, torch.inf)))
