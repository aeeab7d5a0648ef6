"""How far splats at rest are from the photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.splatting.image_losses import dissimilarity
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS
from uni4d.splatting.rasterise import Implementation, Rendered, rasterise, render
from uni4d_shared.types import Camera, ViewSet

__all__ = ["ViewLoss", "picture_loss"]

_WEIGHT_SSIM = 0.2
_WEIGHT_SQUARES = 0.08
"""Of the root mean square beside the mean amount: the few pixels that are far off, on rims and fine patterns,
count for more. With three times as much clean pictures gain 0.2 dB more, but noise is learnt, too."""
_WEIGHT_MASK = 0.5
_WEIGHT_DEPTH = 0.3
"""Per (error / half the object's depth range), of which no more counts than …"""
_WORST_DEPTH = 0.1
"""… this: where a splat of the far side shows through, how far it lies behind does not matter."""
_COVERED = 250
"""Alpha of 255 from which a pixel shows nothing but the object; samples do not always sum to all of it."""
_MARGIN = 8
"""Pixels around the object that are looked at."""


def picture_loss(image: Tensor, target: Tensor, share: float = 1.0) -> Tensor:
    """How far a picture ``[h, w, 3]`` is from what it should be, in units of colour: the mean amount of the
    errors, structure, and the errors' root mean square. Of a crop, which is ``share`` of the pixels of a
    picture that has no errors elsewhere: what the whole would have."""
    apart = image - target
    mean = (1.0 - _WEIGHT_SSIM) * apart.abs().mean() + _WEIGHT_SSIM * dissimilarity(image, target)
    return share * mean + _WEIGHT_SQUARES * share**0.5 * _root_mean_square(apart)


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
    """of the whole view's pixels"""
    weight: float
    """how much the view counts"""


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
        """The next view's errors of colour, mask and depth, over a random background (so alpha is learnt)."""
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
        loss = _WEIGHT_MASK * (rendered.alpha - view.mask).abs().mean()
        if self._depth_unit > 0:
            loss = loss + _WEIGHT_DEPTH * self._depth_error(rendered, view)
        return view.weight * (picture_loss(rendered.image, target, view.share) + view.share * loss)

    def missed(self, splats: SplatParameters) -> Tensor:
        """``[N]`` by how much the views are missed where each splat is: Σ w e² over the pixels of all views,
        over white, w being the splat's weight in the blended colour and e² the error's square."""
        own = splats.detached()
        total = torch.zeros(len(own))
        for view in self._photographs:
            tint = own.colors.requires_grad_(True)
            drawn = rasterise(
                *(own.means, own.quaternions, own.scales, own.opacities, tint, view.camera),
                (1.0, 1.0, 1.0), self._implementation,
                low_pass=self._low_pass, antialiased=self._antialiased,
            ).image  # fmt: skip
            target = view.premultiplied + (1.0 - view.mask)[..., None]
            error = (drawn.detach() - target).square().sum(dim=-1)
            (weights,) = torch.autograd.grad((drawn[..., 0] * error).sum(), tint)
            total += view.weight * weights[:, 0]
        return total

    def _depth_error(self, rendered: Rendered, view: _Photograph) -> Tensor:
        """Mean over the pixels, of which those without a depth count 0."""
        known = (view.depth > 0) & torch.isfinite(rendered.depth)
        apart = (rendered.depth[known] - view.depth[known]).abs() / self._depth_unit
        return apart.clamp(max=_WORST_DEPTH).sum() / known.numel()


def _root_mean_square(values: Tensor) -> Tensor:
    return (values.square().mean() + 1e-12).sqrt()  # it has a gradient at zero, too


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
        share=float((bottom - top) * (right - left)) / (camera.width * camera.height),
        weight=weight,
    )
