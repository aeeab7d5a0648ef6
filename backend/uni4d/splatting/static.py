"""The static stage: splats from the texture, refined on photographs of the object at rest.

The texture knows nothing of light, and a cloud has gaps and overlaps; a short descent on the rendered views
repairs both. Positions and sizes move a little, so that every splat still belongs to its triangle, and what
the photographs do not show stays as the mesh has it: it comes into sight when the object moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.image_losses import dissimilarity
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS
from uni4d.splatting.rasterise import Implementation, Rendered, render
from uni4d.splatting.visibility import shown_shares
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Camera, ViewSet

__all__ = ["ViewLoss", "refine_on_views"]

_WEIGHT_SSIM = 0.2
_WEIGHT_MASK = 0.5
_WEIGHT_DEPTH = 0.3
"""Per (error / half the object's depth range), of which no more counts than …"""
_WORST_DEPTH = 0.1
"""… this: where a splat of the far side shows through, how far it lies behind does not matter."""
_WEIGHT_OFFSET = 0.0005
"""Pull back to the surface, per (offset / size)². Weak: a splat on the surface stands out by about half its
size, so splats sink in by as much."""
_WEIGHTS_CHANGE = {"log_scales": 0.01, "opacity_logits": 0.01, "coefficients": 0.01}
"""Pull back to the start, per change². Adam moves a splat that is hardly seen as far as any other; behind a
rim it grows unpunished, until another camera sees it."""
_RATES = {  # Adam; positions in units of the splats' size
    "means": 0.15,
    "quaternions": 0.01,
    "log_scales": 0.1,
    "opacity_logits": 0.1,
    "coefficients": 0.08,
}
_FINAL_RATE = 0.05
"""The learning rates fall to this fraction, exponentially."""
_COVERED = 250
"""Alpha of 255 from which a pixel shows nothing but the object; samples do not always sum to all of it."""
_SHOWN = 0.2
"""A splat of which no view shows so large a share is hidden. A little of everything shines through, and Adam
would move what is hardly seen as far as any other."""
_MARGIN = 8
"""Pixels around the object that are looked at."""


def refine_on_views(
    bound: BoundSplats,
    views: ViewSet,
    iterations: int = 150,
    progress: Progress = silent,
    *,
    seed: int = 0,
    implementation: Implementation = "auto",
    low_pass: float = LOW_PASS,
    antialiased: bool = True,
    weights: NDArray[Any] | None = None,
) -> BoundSplats:
    """``bound`` with colours, opacities, sizes and (slightly) places fitted to ``views``.

    Each step looks at one view (:class:`ViewLoss`). Splats that no view shows keep what they have.
    ``low_pass`` and ``antialiased`` are those of :func:`~uni4d.splatting.rasterise.rasterise`: refine with
    the values that the result will be rendered with. ``weights`` ``[V]``: how much each view counts, 1 on
    average. Deterministic for a seed.
    """
    generator = torch.Generator().manual_seed(seed)
    view_loss = ViewLoss(views, implementation, low_pass=low_pass, antialiased=antialiased, weights=weights)
    start, anchors = bound.splats.detached(), bound.anchors(bound.vertices)
    splats = start.detached(trainable=True)
    spacing = float(start.scales.median())
    optimiser = _optimiser(splats, spacing)
    decay = _FINAL_RATE ** (1.0 / max(iterations, 1))
    hidden = shown_shares(start, views.cameras, implementation) < _SHOWN
    for step in range(iterations):
        offset = (splats.means - anchors) / spacing
        loss = view_loss.of_next(splats, generator) + _WEIGHT_OFFSET * offset.square().mean()
        for name, weight in _WEIGHTS_CHANGE.items():
            loss = loss + weight * (getattr(splats, name) - getattr(start, name)).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        _keep(splats, start, hidden)
        for group in optimiser.param_groups:
            group["lr"] *= decay
        progress((step + 1) / iterations, f"refining the splats on the views, step {step + 1}")
    return replace(bound, splats=splats.detached())


@torch.no_grad()
def _keep(splats: SplatParameters, start: SplatParameters, hidden: Tensor) -> None:
    """Put what is hidden back to where it was."""
    for name in _RATES:
        getattr(splats, name)[hidden] = getattr(start, name)[hidden]


@dataclass(frozen=True)
class _Photograph:
    """The part of one view that shows the object."""

    camera: Camera
    premultiplied: Tensor
    """``[h, w, 3]``"""
    mask: Tensor
    """``[h, w]``"""
    depth: Tensor
    """``[h, w]`` metres; 0 where there is none or where the pixel is not all covered."""
    share: float
    """of the whole view's pixels, times how much the view counts"""


class ViewLoss:
    """How far splats at rest are from the photographs, one view at a time in random order.

    Only the object and its surroundings are drawn; the losses are means over the whole view all the same.
    """

    def __init__(
        self,
        views: ViewSet,
        implementation: Implementation = "auto",
        *,
        low_pass: float = LOW_PASS,
        antialiased: bool = True,
        weights: NDArray[Any] | None = None,
    ) -> None:
        count = len(views.images)
        if count == 0:
            raise ValueError("ViewLoss: there are no views")
        counts = np.ones(count) if weights is None else np.asarray(weights, np.float64)
        if counts.shape != (count,):
            raise ValueError(f"ViewLoss: weights of shape {list(counts.shape)} for {count} views")
        self._photographs = [
            _cropped(image, depth, camera, float(weight))
            for image, depth, camera, weight in zip(
                views.images, views.depth, views.cameras, counts, strict=True
            )
        ]
        known = views.depth[np.isfinite(views.depth)]
        self._depth_unit = 0.5 * float(np.ptp(known)) if len(known) else 0.0
        self._implementation: Implementation = implementation
        self._low_pass, self._antialiased = low_pass, antialiased
        self.order: list[int] = []
        """The views of this round that are still to come, last first."""

    @property
    def count(self) -> int:
        """Of the views."""
        return len(self._photographs)

    def of_next(self, splats: SplatParameters, generator: torch.Generator) -> Tensor:
        """L1, SSIM, mask and depth of the next view, over a random background (so that alpha is learnt)."""
        if not self.order:
            self.order = torch.randperm(len(self._photographs), generator=generator).tolist()
        view = self._photographs[self.order.pop()]
        background = torch.rand(3, generator=generator)
        target = view.premultiplied + (1.0 - view.mask)[..., None] * background
        rendered = render(
            *(splats, view.camera, background, self._implementation),
            low_pass=self._low_pass,
            antialiased=self._antialiased,
        )
        loss = (
            (1.0 - _WEIGHT_SSIM) * (rendered.image - target).abs().mean()
            + _WEIGHT_SSIM * dissimilarity(rendered.image, target)
            + _WEIGHT_MASK * (rendered.alpha - view.mask).abs().mean()
        )
        if self._depth_unit > 0:
            loss = loss + _WEIGHT_DEPTH * self._depth_error(rendered, view)
        return view.share * loss

    def _depth_error(self, rendered: Rendered, view: _Photograph) -> Tensor:
        """Mean over the pixels, of which those without a depth count 0."""
        known = (view.depth > 0) & torch.isfinite(rendered.depth)
        apart = (rendered.depth[known] - view.depth[known]).abs() / self._depth_unit
        return apart.clamp(max=_WORST_DEPTH).sum() / known.numel()


def _cropped(image: NDArray[Any], depth: NDArray[Any], camera: Camera, weight: float) -> _Photograph:
    """The rectangle around the object; of a view that shows nothing, all of it."""
    covered = image[..., 3] > 0
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    if len(rows) == 0:
        rows, columns = np.arange(camera.height), np.arange(camera.width)
    top, bottom = max(int(rows[0]) - _MARGIN, 0), min(int(rows[-1]) + 1 + _MARGIN, camera.height)
    left, right = max(int(columns[0]) - _MARGIN, 0), min(int(columns[-1]) + 1 + _MARGIN, camera.width)
    part = np.s_[top:bottom, left:right]
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2, 2] -= (left, top)
    rgba = torch.from_numpy(image[part].astype(np.float32) / 255.0)
    solid = np.isfinite(depth[part]) & (image[part][..., 3] >= _COVERED)
    return _Photograph(
        camera=Camera(camera.world_to_camera, intrinsics, right - left, bottom - top),
        premultiplied=rgba[..., :3] * rgba[..., 3:],
        mask=rgba[..., 3],
        depth=torch.from_numpy(np.where(solid, depth[part], 0.0).astype(np.float32)),
        share=weight * float((bottom - top) * (right - left)) / (camera.width * camera.height),
    )


def _optimiser(splats: SplatParameters, spacing: float) -> torch.optim.Adam:
    groups = []
    for name, rate in _RATES.items():
        unit = spacing if name == "means" else 1.0
        groups.append({"params": [getattr(splats, name)], "lr": rate * unit})
    return torch.optim.Adam(groups, eps=1e-8, fused=True)
