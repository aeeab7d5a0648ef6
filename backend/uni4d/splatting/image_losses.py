"""How different two images are: the losses of both fits, and PSNR."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from uni4d.splatting import kernels, native

__all__ = ["dilated", "dissimilarity", "psnr"]

_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def dissimilarity(
    image: Tensor,  # [H, W, 3] or [B, H, W, 3] in [0, 1]
    target: Tensor,  # the same shape
    *,
    window: int = 7,
    sigma: float = 1.2,
) -> Tensor:
    """(1 − SSIM) / 2, averaged over pixels and channels (Wang et al. 2004, Gaussian ``window``).

    The usual window of 11 pixels costs twice as much and tells a fit nothing more at these image sizes.
    """
    if image.shape != target.shape or image.ndim not in (3, 4) or image.shape[-1] != 3:
        raise ValueError(
            f"dissimilarity: image {list(image.shape)} and target {list(target.shape)} must both be "
            "[H, W, 3] or [B, H, W, 3]"
        )
    if window < 1 or window % 2 == 0:
        raise ValueError(f"dissimilarity: window must be odd, got {window}")
    a, b = (x.reshape(-1, *x.shape[-3:]) for x in (image, target))
    weights = _gaussian(window, sigma)
    single = a.dtype == b.dtype == torch.float32 and a.device.type == b.device.type == "cpu"
    plain = not single or b.requires_grad or not native.available()
    if plain:
        return 0.5 * (1.0 - _similarity(a, b, weights))
    similar: Tensor = _Similarity.apply(a, b, weights)  # type: ignore[no-untyped-call]
    return 0.5 * (1.0 - similar)


class _Similarity(torch.autograd.Function):
    """The kernel, differentiable in the image."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        pictures = image.detach().contiguous(), target.detach().contiguous()
        value, slopes = kernels.similarity(*pictures, weights, slopes=ctx.needs_input_grad[0])
        if slopes is not None:
            ctx.save_for_backward(*pictures, weights, slopes)
        return torch.tensor(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        image, target, weights, slopes = ctx.saved_tensors
        scale = float(gradients[0]) / image.numel()
        return kernels.similarity_slope(image, target, weights, slopes, scale), None, None


def _similarity(image: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """The twin of the kernel: mean SSIM of ``[B, H, W, 3]``, zero beyond the edges, blurred by
    ``weights``."""
    a, b = (x.permute(0, 3, 1, 2) for x in (image, target))
    channels, half = a.shape[1], len(weights) // 2
    stacked = torch.cat([a, b, a * a, b * b, a * b], dim=1)
    kernel, count = weights.to(stacked), stacked.shape[1]
    stacked = functional.conv2d(
        stacked, kernel.view(1, 1, -1, 1).expand(count, 1, -1, 1), padding=(half, 0), groups=count
    )
    stacked = functional.conv2d(
        stacked, kernel.view(1, 1, 1, -1).expand(count, 1, 1, -1), padding=(0, half), groups=count
    )
    mean_a, mean_b, aa, bb, ab = torch.split(stacked, channels, dim=1)
    product, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    covariance, variances = ab - product, aa + bb - squares
    ssim = ((2 * product + _SSIM_C1) * (2 * covariance + _SSIM_C2)) / (
        (squares + _SSIM_C1) * (variances + _SSIM_C2)
    )
    return ssim.mean()


@lru_cache
@torch.inference_mode(False)  # it is kept, and whoever comes next may want gradients
def _gaussian(window: int, sigma: float) -> Tensor:
    offset = torch.arange(window, dtype=torch.float32) - (window - 1) / 2
    weights = torch.exp(-0.5 * (offset / sigma) ** 2)
    return weights / weights.sum()


def psnr(image: Tensor, target: Tensor, mask: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB of values in [0, 1], over the pixels ``[..., H, W]`` of ``mask``.

    Values outside [0, 1] count as clipped; identical images give ``inf``, an empty mask ``nan``.
    """
    error = (image.clamp(0.0, 1.0) - target.clamp(0.0, 1.0)).square()
    mean = float((error if mask is None else error[mask]).mean())
    return math.inf if mean == 0.0 else -10.0 * math.log10(mean) if not math.isnan(mean) else math.nan


def dilated(mask: Tensor, pixels: int) -> Tensor:
    """``mask`` ``[..., H, W]`` (bool) grown by ``pixels`` in all eight directions."""
    if pixels < 1:
        return mask
    planes = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    grown = functional.max_pool2d(planes, 2 * pixels + 1, stride=1, padding=pixels)
    return grown.reshape(mask.shape) > 0.5
