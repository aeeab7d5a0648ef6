"""The static stage: splats from the texture, refined on photographs of the object at rest.

The texture knows nothing of light, and a random cloud has gaps and overlaps; a short descent on the rendered
views repairs both. Only what is on the surface is refined: positions and sizes move a little, so that every
splat still belongs to its triangle.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.image_losses import dissimilarity
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import Implementation, render
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import ViewSet

__all__ = ["refine_on_views"]

_WEIGHT_SSIM = 0.2
_WEIGHT_MASK = 0.5
_WEIGHT_OFFSET = 0.02
"""Pull back to the surface, per (offset / spacing)²."""
_RATES = {  # Adam; positions in units of the splats' spacing
    "means": 0.03,
    "quaternions": 0.01,
    "log_scales": 0.03,
    "opacity_logits": 0.1,
    "coefficients": 0.08,
}
_FINAL_RATE = 0.2
"""The learning rates fall to this fraction, exponentially."""


def refine_on_views(
    bound: BoundSplats,
    views: ViewSet,
    iterations: int = 150,
    progress: Progress = silent,
    *,
    seed: int = 0,
    implementation: Implementation = "auto",
) -> BoundSplats:
    """``bound`` with colours, opacities, sizes and (slightly) places fitted to ``views``.

    Each step compares one view, over a random background so that alpha is learnt too, by L1, SSIM and the
    mask. Splats that no view shows keep what they have. Deterministic for a seed.
    """
    if len(views.images) == 0:
        raise ValueError("refine_on_views: there are no views")
    generator = torch.Generator().manual_seed(seed)
    images, masks = _targets(views)
    splats = bound.splats.detached(trainable=True)
    spacing = float(splats.scales.detach().median())
    anchors = bound.anchors(bound.vertices)
    optimiser = _optimiser(splats, spacing)
    decay = _FINAL_RATE ** (1.0 / max(iterations, 1))
    order: list[int] = []
    for step in range(iterations):
        order = order or torch.randperm(len(images), generator=generator).tolist()
        view = order.pop()
        background = torch.rand(3, generator=generator)
        target = images[view] + (1.0 - masks[view])[..., None] * background
        rendered = render(splats, views.cameras[view], background, implementation)
        offset = (splats.means - anchors) / spacing
        loss = (
            (1.0 - _WEIGHT_SSIM) * (rendered.image - target).abs().mean()
            + _WEIGHT_SSIM * dissimilarity(rendered.image, target)
            + _WEIGHT_MASK * (rendered.alpha - masks[view]).abs().mean()
            + _WEIGHT_OFFSET * offset.square().mean()
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] *= decay
        progress((step + 1) / iterations, f"refining the splats on the views, step {step + 1}")
    return replace(bound, splats=splats.detached())


def _targets(views: ViewSet) -> tuple[Tensor, Tensor]:
    """Premultiplied images ``[V, H, W, 3]`` and masks ``[V, H, W]`` in [0, 1]."""
    rgba = torch.from_numpy(views.images.astype(np.float32) / 255.0)
    return rgba[..., :3] * rgba[..., 3:], rgba[..., 3]


def _optimiser(splats: SplatParameters, spacing: float) -> torch.optim.Adam:
    groups = []
    for name, rate in _RATES.items():
        unit = spacing if name == "means" else 1.0
        groups.append({"params": [getattr(splats, name)], "lr": rate * unit})
    return torch.optim.Adam(groups, eps=1e-15)
