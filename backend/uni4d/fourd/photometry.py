"""How the colours of a frame pull on the splats: the first-order picture of a registration.

A visible splat at world point x is seen at pixel u(x). With I the frame, R what is rendered now, and both
slopes averaged, which makes a Gauss-Newton step correct to second order (Malis 2004, ESM),

    residual  r = I(u) − R(u)  [3],        d(I − R)/dx = ½ (∇I + ∇R) ∂u/∂x  [3, 3].

Large residuals count less (Huber), for they come from what is hidden or lit differently.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from uni4d.splatting import kernels, native
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.types import Camera

__all__ = ["Lens", "Linearised", "robust_cost", "robust_loss", "robust_loss_plainly", "slack_of"]

_NOISE = 0.05
"""Standard deviation of a colour about what the model says, where all is in place."""
_HUBER = 0.15
"""Difference of a colour from which it grows linearly."""
_SLACK_SPACINGS, _SLACK_RADII = 3.0, 0.02


_TINY = 1e-12
"""Keeps the root differentiable where nothing differs."""


class Linearised(NamedTuple):
    """``V`` visible splats."""

    splats: Tensor  # [V] int64, which ones
    residuals: Tensor  # [V, 3]
    slopes: Tensor  # [V, 3, 3] per metre of the splat's place
    weights: Tensor  # [V] 1/variance, robust


class Lens:
    """A camera as the registration needs it."""

    def __init__(self, camera: Camera) -> None:
        self._matrix = torch.as_tensor(camera.world_to_camera, dtype=torch.float32)
        self.rotation, self.shift = self._matrix[:3, :3], self._matrix[:3, 3]
        self._intrinsics = torch.as_tensor(camera.intrinsics, dtype=torch.float32)
        self.width, self.height = camera.width, camera.height

    @property
    def focal(self) -> float:
        """Pixels."""
        return float(self._intrinsics[0, 0])

    def depths(self, points: Tensor) -> Tensor:
        """``[N]`` metres along z."""
        return points @ self.rotation[2] + self.shift[2]

    def seen(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels ``[N, 2]``, depths ``[N]`` and ∂u/∂x ``[N, 2, 3]`` of world points ``[N, 3]``."""
        x, y, z = (points @ self.rotation.T + self.shift).unbind(1)
        z = z.clamp(min=1e-6)
        u, v = x / z, y / z
        fx, fy = self._intrinsics[0, 0], self._intrinsics[1, 1]
        pixels = torch.stack([fx * u + self._intrinsics[0, 2], fy * v + self._intrinsics[1, 2]], dim=1)
        right, down, ahead = self.rotation
        slopes = torch.stack([fx * (right - u[:, None] * ahead), fy * (down - v[:, None] * ahead)], dim=1)
        return pixels, z, slopes / z[:, None, None]

    def linearised(self, frame: Tensor, rendered: Rendered, points: Tensor, slack: float) -> Linearised:
        """What ``frame`` ``[H, W, 3]`` says about splats at ``points`` ``[N, 3]``; hidden are those that lie
        ``slack`` metres and more behind the rendered depth."""
        if not native.available():
            return self.linearised_plainly(frame, rendered, points, slack)
        camera, drawn = (self._matrix, self._intrinsics), (rendered.image, rendered.depth)
        return Linearised(*kernels.observe(points, camera, frame, drawn, slack, _NOISE, _HUBER))

    def linearised_plainly(
        self, frame: Tensor, rendered: Rendered, points: Tensor, slack: float
    ) -> Linearised:
        """The twin of the kernel."""
        pixels, index = self.visible(rendered, points, slack)
        moved = self.seen(points[index])[2]
        slopes = _slopes(0.5 * (frame + rendered.image))
        planes = torch.cat([frame - rendered.image, slopes.flatten(2)], dim=-1)
        found = self._sampled(planes, pixels[index])
        residuals = found[:, :3]
        weights = _HUBER / residuals.norm(dim=1).clamp(min=_HUBER) / _NOISE**2
        return Linearised(index, residuals, found[:, 3:].reshape(-1, 3, 2) @ moved, weights)

    def visible(self, rendered: Rendered, points: Tensor, slack: float) -> tuple[Tensor, Tensor]:
        """Pixels ``[N, 2]`` of points ``[N, 3]``, and the indices of those inside the picture that lie less
        than ``slack`` metres behind the rendered depth."""
        pixels, depths, _ = self.seen(points)
        size = torch.tensor([self.width, self.height])
        inside = ((pixels > 0) & (pixels < size)).all(1)
        column, row = pixels.long().clamp(min=0).minimum(size - 1).unbind(1)
        return pixels, (inside & (depths < rendered.depth[row, column] + slack)).nonzero()[:, 0]

    def _sampled(self, planes: Tensor, pixels: Tensor) -> Tensor:
        """``[V, C]`` of planes ``[H, W, C]``, bilinearly."""
        grid = 2.0 * pixels / torch.tensor([self.width, self.height]) - 1.0
        return functional.grid_sample(
            planes.permute(2, 0, 1)[None], grid[None, None], padding_mode="border", align_corners=False
        )[0, :, 0].T


def slack_of(splats: SplatParameters, radius: float) -> float:
    """How far, in metres, behind the rendered depth a splat still counts as seen."""
    return _SLACK_SPACINGS * float(splats.scales.detach().median()) + _SLACK_RADII * radius


def robust_loss(rendered: Tensor, image: Tensor) -> Tensor:
    """Σ over pixels ``[H, W, 3]`` of Huber's function of the colours' difference, in units of the noise.

    Not differentiable in ``image``, the frame.
    """
    if rendered.shape != image.shape or rendered.shape[-1] != 3:
        raise ValueError(f"robust_loss: pictures of {list(rendered.shape)} and {list(image.shape)}")
    if not (rendered.dtype == image.dtype == torch.float32 and native.available()):
        return robust_loss_plainly(rendered, image)
    loss: Tensor = _Huber.apply(rendered, image)  # type: ignore[no-untyped-call]
    return loss


class _Huber(torch.autograd.Function):
    """The kernel, differentiable in the rendered picture."""

    @staticmethod
    def forward(ctx: Any, rendered: Tensor, image: Tensor) -> Tensor:
        pictures = rendered.detach().contiguous(), image.detach().contiguous()
        value, slopes = kernels.huber(*pictures, _HUBER, slopes=ctx.needs_input_grad[0])
        if slopes is not None:
            ctx.save_for_backward(slopes)
        return torch.tensor(value / _NOISE**2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (slopes,) = ctx.saved_tensors
        return gradients[0] / _NOISE**2 * slopes, None


def robust_loss_plainly(rendered: Tensor, image: Tensor) -> Tensor:
    """The twin of the kernel."""
    size = ((rendered - image).square().sum(-1) + _TINY).sqrt()
    huber = torch.where(size < _HUBER, size.square(), 2.0 * _HUBER * size - _HUBER**2)
    return huber.sum() / _NOISE**2


def robust_cost(rendered: Tensor, image: Tensor) -> float:
    """:func:`robust_loss` as a number."""
    return float(robust_loss(rendered, image))


_SMOOTH = torch.tensor([3.0, 10.0, 3.0]) / 16.0
_DIFFERENCE = torch.tensor([-0.5, 0.0, 0.5])


def _slopes(image: Tensor) -> Tensor:
    """``[H, W, C, 2]``: Scharr's derivative of ``[H, W, C]``."""
    planes = functional.pad(image.permute(2, 0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    smooth, difference = _SMOOTH[None, None, None], _DIFFERENCE[None, None, None]
    along = functional.conv2d(functional.conv2d(planes, difference), smooth.transpose(2, 3))
    down = functional.conv2d(functional.conv2d(planes, smooth), difference.transpose(2, 3))
    return torch.stack([along[:, 0], down[:, 0]], dim=-1).permute(1, 2, 0, 3)
