"""Rendering finer than asked and averaging: a pixel is then the mean over its own square.

A splat's low-pass and its sharpness stand for the pixel as far as one splat goes; where many overlap along a
silhouette, only the mean of the blended picture is right. Twice as fine costs four times as much.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from uni4d.splatting import kernels, native
from uni4d.splatting.scene import CameraTensors, Rendered

__all__ = ["averaged", "averaged_plainly", "finer_cameras"]


def finer_cameras(cameras: CameraTensors, factor: int) -> CameraTensors:
    """The same views of ``factor`` times the width and height."""
    unit = cameras.intrinsics.new_tensor([[factor], [factor], [1.0]])
    return replace(
        cameras,
        intrinsics=cameras.intrinsics * unit,
        width=factor * cameras.width,
        height=factor * cameras.height,
    )


def averaged(fine: Rendered, factor: int) -> Rendered:
    """Squares of ``factor`` × ``factor`` pixels as one; depth and flow count by their alpha."""
    like = fine.image
    plain = like.dtype != torch.float32 or like.device.type != "cpu" or not native.available()
    if plain or fine.flow is not None:
        return averaged_plainly(fine, factor)
    batch = like.shape[:-3]
    planes = like.reshape(-1, *like.shape[-3:]), *(p.reshape(-1, *p.shape[-2:]) for p in fine[1:3])
    means: tuple[Tensor, ...] = _Averaged.apply(*planes, factor)  # type: ignore[no-untyped-call]
    image, alpha, depth = (mean.reshape(*batch, *mean.shape[1:]) for mean in means)
    return Rendered(image, alpha, depth)


class _Averaged(torch.autograd.Function):
    """The kernel, differentiable."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, alpha: Tensor, depth: Tensor, factor: int) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        image, alpha, depth = (plane.detach().contiguous() for plane in (image, alpha, depth))
        means = kernels.average(image, alpha, depth, factor)
        ctx.factor = factor
        ctx.save_for_backward(alpha, depth, *means[1:])
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        alpha, depth, mean_alpha, mean_depth = ctx.saved_tensors
        found = kernels.average_slope((alpha, depth), (mean_alpha, mean_depth), gradients, ctx.factor)
        return *found, None


def averaged_plainly(fine: Rendered, factor: int) -> Rendered:
    """The twin of the kernel."""
    alpha = _pooled(fine.alpha[..., None], factor)[..., 0]
    depth = _weighted(fine.depth[..., None], fine.alpha, alpha, factor)[..., 0]
    flow = None if fine.flow is None else _weighted(fine.flow, fine.alpha, alpha, factor) / factor
    if flow is not None:
        flow = torch.where(alpha[..., None] > 0, flow, torch.zeros_like(flow))
    return Rendered(_pooled(fine.image, factor), alpha, depth, flow)


def _weighted(values: Tensor, weights: Tensor, total: Tensor, factor: int) -> Tensor:
    known = torch.where(weights[..., None] > 0, values, torch.zeros_like(values))
    mean = _pooled(known * weights[..., None], factor) / total.clamp(min=1e-12)[..., None]
    return torch.where(total[..., None] > 0, mean, torch.full_like(mean, torch.inf))


def _pooled(planes: Tensor, factor: int) -> Tensor:
    """``[..., H, W, C]`` of ``[..., factor H, factor W, C]``."""
    *batch, height, width, channels = planes.shape
    flat = planes.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
    small = functional.avg_pool2d(flat, factor).permute(0, 2, 3, 1)
    return small.reshape(*batch, height // factor, width // factor, channels)
