"""Which splats a set of pictures shows, and how much of each."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS, project
from uni4d.splatting.rasterise import Implementation, rasterise
from uni4d.splatting.scene import CameraTensors
from uni4d_shared.types import Camera

__all__ = ["SHOWN", "shown_shares"]

SHOWN = 0.2
"""A splat of which no view shows so large a share is hidden: a little of everything shines through."""


def shown_shares(
    splats: SplatParameters, cameras: Iterable[Camera], implementation: Implementation = "auto"
) -> Tensor:
    """``[N]`` in [0, 1]: how much of each splat is seen where it is seen best.

    In one picture, the share is Σ w over its pixels, w being the splat's weight in the blended colour (the
    gradient of the picture's sum with respect to its colour), over the weight that it would have alone:
    opacity · 2π √det Σ, Σ its covariance on the image plane.
    """
    best = torch.zeros(len(splats))
    own = splats.detached()
    for camera in cameras:
        tint = torch.zeros(len(own), 3, requires_grad=True)
        with torch.enable_grad():
            picture = rasterise(
                *(own.means, own.quaternions, own.scales, own.opacities, tint, camera), (0.0, 0.0, 0.0),
                implementation,
            )  # fmt: skip
            (weights,) = torch.autograd.grad(picture.image[..., 0].sum(), tint)
        alone = own.opacities * _areas(own, camera)
        best = torch.maximum(best, weights[:, 0] / alone.clamp(min=1e-12))
    return best.clamp(max=1.0)


def _areas(splats: SplatParameters, camera: Camera) -> Tensor:
    """``[N]`` 2π √det Σ in pixels²."""
    lens = CameraTensors.of(camera, splats.means)
    projected = project(
        *(splats.means, splats.quaternions, splats.scales, lens.world_to_camera, lens.intrinsics),
        *(camera.width, camera.height),
    )
    a, b, c = projected.conics.unbind(-1)  # Σ'⁻¹ with the low-pass, of which sharpness takes the area away
    return 2.0 * math.pi * projected.sharpness / (a * c - b * b).clamp(min=1e-12 * LOW_PASS).sqrt()
