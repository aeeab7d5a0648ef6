"""Whole calls of the rasteriser with everything that gradients can reach, for the tests of each topic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from uni4d.splatting import CameraTensors, rasterise
from uni4d.splatting.rasterise import Rendered
from uni4d_shared.cameras import look_at, pinhole_intrinsics
from uni4d_shared.types import Camera


def camera_of(width: int, height: int, distance: float = 4.0) -> Camera:
    return Camera(
        look_at((distance * 0.6, -distance * 0.7, distance * 0.4), (0, 0, 0)),
        pinhole_intrinsics(width, height, math.radians(40)),
        width,
        height,
    )


@dataclass(frozen=True)
class Call:
    """Arguments of one call; ``leaves`` in the order of ``NAMES``."""

    leaves: tuple[Tensor, ...]
    width: int
    height: int
    antialiased: bool = False

    NAMES = (
        *("means", "quaternions", "scales", "opacities", "colors"),
        *("world_to_camera", "intrinsics", "background"),
        *("other_means", "other_world_to_camera", "other_intrinsics"),
    )

    @classmethod
    def random(
        cls, scene: Sequence[Tensor], camera: Camera, seed: int, *, flow: bool, antialiased: bool = False
    ) -> Call:
        """A camera with skew and a principal point off the centre, and a moment that is a little off."""
        generator = torch.Generator().manual_seed(seed)
        means = scene[0]
        tensors = CameraTensors.of(camera, means)
        view, intrinsics = tensors.world_to_camera.clone(), tensors.intrinsics.clone()
        intrinsics[0, 1], intrinsics[0, 2] = 0.02 * camera.width, intrinsics[0, 2] + 0.05 * camera.width
        leaves = [*scene, view, intrinsics, torch.rand(3, generator=generator).to(means.dtype)]
        if flow:
            moved = means + 0.1 * torch.randn(means.shape, generator=generator).to(means.dtype)
            shifted = view.clone()
            shifted[:3, 3] += 0.05 * torch.randn(3, generator=generator).to(means.dtype)
            leaves += [moved, shifted, intrinsics * 1.02]
        return cls(tuple(leaves), camera.width, camera.height, antialiased)

    def at(self, dtype: torch.dtype, *, requires_grad: bool = True) -> Call:
        leaves = tuple(t.detach().to(dtype).clone().requires_grad_(requires_grad) for t in self.leaves)
        return Call(leaves, self.width, self.height, self.antialiased)

    def draw(self, implementation: Any) -> Rendered:
        *splats, view, intrinsics, background = self.leaves[:8]
        other: dict[str, Any] = {}
        if len(self.leaves) > 8:
            means, other_view, other_intrinsics = self.leaves[8:]
            size = self.width, self.height
            other = {
                "other_means": means,
                "other_cameras": CameraTensors(other_view, other_intrinsics, *size),
            }
        seen_by = CameraTensors(view, intrinsics, self.width, self.height)
        means, quaternions, scales, opacities, colors = splats
        return rasterise(
            *(means, quaternions, scales, opacities, colors, seen_by, background, implementation),
            low_pass=0.3,
            antialiased=self.antialiased,
            **other,
        )

    def gradients(self, rendered: Rendered) -> dict[str, Tensor]:
        found = torch.autograd.grad(weighted_sum(rendered), self.leaves)
        return dict(zip(self.NAMES, found, strict=False))


def weighted_sum(rendered: Rendered) -> Tensor:
    """A scalar in which every pixel of every output has a weight of its own."""
    weights = torch.linspace(-1.0, 1.0, rendered.image.numel(), dtype=rendered.image.dtype)
    weights = torch.sin(37.0 * weights).reshape(rendered.image.shape)
    solid = rendered.alpha > 0.1
    depth = torch.where(solid, rendered.depth, torch.zeros_like(rendered.depth))
    total = (rendered.image * weights).sum() + (rendered.alpha * weights[..., 1]).sum()
    total = total + (depth * weights[..., 2]).sum()
    if rendered.flow is not None:
        flow = torch.where(solid[..., None], rendered.flow, torch.zeros_like(rendered.flow))
        total = total + 0.1 * (flow * weights[..., :2].flip(-1)).sum()
    return total
