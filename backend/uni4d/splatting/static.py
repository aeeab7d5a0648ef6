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

__all__ = ["ViewLoss", "refine_on_views"]

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

    Each step looks at one view (:class:`ViewLoss`). Splats that no view shows keep what they have.
    Deterministic for a seed.
    """
    generator = torch.Generator().manual_seed(seed)
    view_loss = ViewLoss(views, implementation)
    splats = bound.splats.detached(trainable=True)
    spacing = float(splats.scales.detach().median())
    anchors = bound.anchors(bound.vertices)
    optimiser = _optimiser(splats, spacing)
    decay = _FINAL_RATE ** (1.0 / max(iterations, 1))
    for step in range(iterations):
        offset = (splats.means - anchors) / spacing
        loss = view_loss.of_next(splats, generator) + _WEIGHT_OFFSET * offset.square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] *= decay
        progress((step + 1) / iterations, f"refining the splats on the views, step {step + 1}")
    return replace(bound, splats=splats.detached())


class ViewLoss:
    """How far splats at rest are from the photographs, one view at a time in random order."""

    def __init__(self, views: ViewSet, implementation: Implementation = "auto") -> None:
        if len(views.images) == 0:
            raise ValueError("ViewLoss: there are no views")
        rgba = torch.from_numpy(views.images.astype(np.float32) / 255.0)
        self._premultiplied, self._masks = rgba[..., :3] * rgba[..., 3:], rgba[..., 3]
        self._cameras = views.cameras
        self._implementation: Implementation = implementation
        self._order: list[int] = []

    def of_next(self, splats: SplatParameters, generator: torch.Generator) -> Tensor:
        """L1, SSIM and mask against the next view, over a random background (so that alpha is learnt too)."""
        if not self._order:
            self._order = torch.randperm(len(self._cameras), generator=generator).tolist()
        view = self._order.pop()
        background, mask = torch.rand(3, generator=generator), self._masks[view]
        target = self._premultiplied[view] + (1.0 - mask)[..., None] * background
        rendered = render(splats, self._cameras[view], background, self._implementation)
        return (
            (1.0 - _WEIGHT_SSIM) * (rendered.image - target).abs().mean()
            + _WEIGHT_SSIM * dissimilarity(rendered.image, target)
            + _WEIGHT_MASK * (rendered.alpha - mask).abs().mean()
        )


def _optimiser(splats: SplatParameters, spacing: float) -> torch.optim.Adam:
    groups = []
    for name, rate in _RATES.items():
        unit = spacing if name == "means" else 1.0
        groups.append({"params": [getattr(splats, name)], "lr": rate * unit})
    return torch.optim.Adam(groups, eps=1e-15)
