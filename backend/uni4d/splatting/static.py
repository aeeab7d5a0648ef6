"""The static stage: splats from the texture, refined on photographs of the object at rest.

The texture knows nothing of light, and a cloud has gaps and overlaps; a short descent on the rendered views
repairs both. Positions and sizes move a little, so that every splat still belongs to its triangle, and what
the photographs do not show stays as the mesh has it: it comes into sight when the object moves. On the way
splats are split where the photographs are missed most (:mod:`uni4d.splatting.splitting`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.splatting.adam import Adam
from uni4d.splatting.binding import BoundSplats
from uni4d.splatting.image_losses import dissimilarity
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS
from uni4d.splatting.rasterise import Implementation, Rendered, rasterise, render
from uni4d.splatting.splitting import split
from uni4d.splatting.surface import splats_from_mesh
from uni4d.splatting.visibility import SHOWN, shown_shares
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Camera, ViewSet

if TYPE_CHECKING:  # the library renders with this package
    from uni4d.library.geometry import TexturedMesh

__all__ = ["ViewLoss", "refine_on_views", "splats_at_rest"]

_WEIGHT_SSIM = 0.2
_WEIGHT_SQUARES = 0.08
"""Of the root mean square beside the mean amount: the few pixels that are far off, on rims and fine patterns,
count for more. With three times as much clean pictures gain 0.2 dB more, but noise is learnt, too."""
_WEIGHT_MASK = 0.5
_WEIGHT_DEPTH = 0.3
"""Per (error / half the object's depth range), of which no more counts than …"""
_WORST_DEPTH = 0.1
"""… this: where a splat of the far side shows through, how far it lies behind does not matter."""
_WEIGHT_OFFSET = 0.0005
"""Pull back to the surface, per (offset / size)². Weak: a splat on the surface stands out by about half its
size, so splats sink in by as much."""
_WEIGHTS_CHANGE = {"log_scales": 0.001, "opacity_logits": 0.001, "coefficients": 0.001}
"""Pull back to the start, or to what the last split left, per change². Adam moves a splat that is hardly seen
as far as any other; behind a rim it grows unpunished, until another camera sees it."""
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
_MARGIN = 8
"""Pixels around the object that are looked at."""
_ROUNDS = 4
"""How many times splats are split, if the steps suffice …"""
_STEPS_PER_ROUND = 50
"""… for so many to each; what is left after the last must do for the new ones to settle."""
_SPLIT_BEFORE = 0.4
"""The share of the steps after which no more are split."""


def splats_at_rest(
    mesh: TexturedMesh,
    views: ViewSet,
    count: int,
    iterations: int,
    progress: Progress = silent,
    *,
    placed_share: float = 1.0,
    seed: int = 0,
    weights: NDArray[Any] | None = None,
) -> BoundSplats:
    """The static stage: ``count`` splats of ``mesh``, refined on ``views`` in so many ``iterations``.

    Of the splats ``placed_share`` (at least a half) is spread evenly over the surface, the rest comes by
    splitting. With too few iterations for that, all are.
    """
    grows = iterations >= _STEPS_PER_ROUND
    placed = max(round(placed_share * count), 1) if grows else count
    progress(0.0, "placing splats on the mesh")
    bound = splats_from_mesh(mesh, placed, seed)
    return refine_on_views(
        *(bound, views, iterations, section(progress, 0.05, 1.0)),
        count=count, seed=seed, weights=weights,
    )  # fmt: skip


def refine_on_views(
    bound: BoundSplats,
    views: ViewSet,
    iterations: int = 150,
    progress: Progress = silent,
    *,
    count: int | None = None,
    seed: int = 0,
    implementation: Implementation = "auto",
    low_pass: float = LOW_PASS,
    antialiased: bool = True,
    weights: NDArray[Any] | None = None,
) -> BoundSplats:
    """``bound`` with colours, opacities, sizes and (slightly) places fitted to ``views``.

    Each step looks at one view (:class:`ViewLoss`). Splats that no view shows keep what they have, but draw
    back where they stick out. By splitting, there come to be ``count`` of them, at most twice as many as
    there were in each of up to four rounds of 50 or more iterations; ``None``: as many as there are.
    ``low_pass`` and ``antialiased`` are those of :func:`~uni4d.splatting.rasterise.rasterise`: refine with
    the values that the result will be rendered with. ``weights`` ``[V]``: how much each view counts, 1 on
    average. Deterministic for a seed.
    """
    generator = torch.Generator().manual_seed(seed)
    view_loss = ViewLoss(views, implementation, low_pass=low_pass, antialiased=antialiased, weights=weights)
    decay = _FINAL_RATE ** (1.0 / max(iterations, 1))
    hidden = shown_shares(bound.splats.detached(), views.cameras, implementation) < SHOWN
    growth = _growth(len(bound), len(bound) if count is None else count, iterations)
    descent = _Descent(bound, hidden, 1.0)
    for step in range(iterations):
        if step in growth:
            missed = view_loss.missed(descent.splats).masked_fill(descent.hidden, 0.0)
            descent = descent.split(missed.topk(growth[step] - len(missed)).indices, decay**step, seed)
        descent.step(view_loss.of_next(descent.splats, generator), decay)
        progress((step + 1) / iterations, f"refining the splats on the views, step {step + 1}")
    return descent.refined()


def _growth(now: int, count: int, iterations: int) -> dict[int, int]:
    """Before which steps splats are split, and how many there are to be then."""
    rounds = min(_ROUNDS, iterations // _STEPS_PER_ROUND) if count > now else 0
    steps = [round(_SPLIT_BEFORE * iterations * (number + 1) / rounds) for number in range(rounds)]
    counts = [now + (count - now) * (number + 1) // rounds for number in range(rounds)]
    return dict(zip(steps, counts, strict=True))


class _Descent:
    """Adam on splats between two splits."""

    def __init__(self, bound: BoundSplats, hidden: Tensor, factor: float) -> None:
        """``hidden`` ``[N]`` bool; ``factor``: of the learning rates."""
        self._bound, self.hidden = bound, hidden
        self._start, self._anchors = bound.splats.detached(), bound.anchors(bound.vertices)
        self.splats = self._start.detached(trainable=True)
        self._spacing = float(self._start.scales.median())
        rates = {}
        for name, rate in _RATES.items():
            unit = self._spacing if name == "means" else 1.0
            rates[getattr(self.splats, name)] = factor * rate * unit
        self._optimiser = Adam(rates, 1e-8, fused=True)

    def step(self, loss: Tensor, decay: float) -> None:
        """Down the loss of the pictures and of what pulls back; then the rates fall by ``decay``."""
        offset = (self.splats.means - self._anchors) / self._spacing
        loss = loss + _WEIGHT_OFFSET * offset.square().mean()
        for name, weight in _WEIGHTS_CHANGE.items():
            change = getattr(self.splats, name) - getattr(self._start, name)
            loss = loss + weight * change.square().mean()
        self._optimiser.step(torch.autograd.grad(loss, self._optimiser.parameters))
        self._keep()
        self._optimiser.slow_down(decay)

    @torch.no_grad()
    def _keep(self) -> None:
        """Put what is hidden back to where it was; smaller it may be: it is seen only if it sticks out."""
        hidden = self.hidden
        for name in _RATES:
            now, before = getattr(self.splats, name), getattr(self._start, name)[hidden]
            now[hidden] = torch.minimum(now[hidden], before) if name == "log_scales" else before

    def refined(self) -> BoundSplats:
        return replace(self._bound, splats=self.splats.detached())

    def split(self, which: Tensor, factor: float, seed: int) -> _Descent:
        """Go on with the splats at ``which`` split in two."""
        divided = split(self.refined(), which, seed)
        return _Descent(divided.bound, self.hidden[divided.parents], factor)


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
        apart = rendered.image - target
        loss = (
            (1.0 - _WEIGHT_SSIM) * apart.abs().mean()
            + _WEIGHT_SSIM * dissimilarity(rendered.image, target)
            + _WEIGHT_MASK * (rendered.alpha - view.mask).abs().mean()
        )
        if self._depth_unit > 0:
            loss = loss + _WEIGHT_DEPTH * self._depth_error(rendered, view)
        far_off = view.share**0.5 * _root_mean_square(apart)
        return view.weight * (view.share * loss + _WEIGHT_SQUARES * far_off)

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
