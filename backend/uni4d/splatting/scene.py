"""What one call of the rasteriser draws: splats, cameras that gradients can reach; and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from uni4d_shared.types import Camera

__all__ = ["AnyCameras", "CameraTensors", "OtherMoment", "Rendered", "Scene", "broadcast"]


def broadcast(*shapes: torch.Size) -> torch.Size:
    """The shape they have together."""
    batched = {shape for shape in shapes if shape}
    if len(batched) <= 1:  # what torch.broadcast_shapes would say, in a tenth of the time
        return next(iter(batched), torch.Size())
    return torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class CameraTensors:
    """One camera or a batch ``[...]`` of equal size, in tensors, so that gradients reach them.

    Accepted wherever a :class:`~uni4d_shared.types.Camera` is; the same conventions.
    """

    world_to_camera: Tensor
    """``[..., 4, 4]``; only the upper three rows are read."""
    intrinsics: Tensor
    """``[..., 3, 3]``: focal lengths, skew and principal point in pixels."""
    width: int
    height: int

    @classmethod
    def of(cls, cameras: AnyCameras, like: Tensor) -> CameraTensors:
        """``cameras`` with the type and device of ``like``; a sequence of ``B`` becomes a batch ``[B]``."""
        if isinstance(cameras, CameraTensors):
            return cameras
        if isinstance(cameras, Camera):
            views, intrinsics = (
                torch.as_tensor(np.asarray(array), dtype=like.dtype, device=like.device)
                for array in (cameras.world_to_camera, cameras.intrinsics)
            )
            return cls(views, intrinsics, cameras.width, cameras.height)
        if not cameras:
            raise ValueError("rasterise: no camera given")
        each = [cls.of(camera, like) for camera in cameras]
        sizes = {(camera.width, camera.height) for camera in each}
        if len(sizes) > 1:
            raise ValueError(f"rasterise: cameras of different sizes {sorted(sizes)} in one call")
        return cls(
            torch.stack([camera.world_to_camera for camera in each]),
            torch.stack([camera.intrinsics for camera in each]),
            each[0].width,
            each[0].height,
        )

    @property
    def batch_shape(self) -> torch.Size:
        """``[...]``"""
        return broadcast(self.world_to_camera.shape[:-2], self.intrinsics.shape[:-2])

    @property
    def positions(self) -> Tensor:
        """``[..., 3]`` the centres of projection in the world."""
        rotation, shift = self.world_to_camera[..., :3, :3], self.world_to_camera[..., :3, 3]
        return torch.linalg.solve(rotation, -shift[..., None])[..., 0]


AnyCameras = Camera | CameraTensors | Sequence[Camera | CameraTensors]


class Rendered(NamedTuple):
    """What :func:`~uni4d.splatting.rasterise.rasterise` returns; ``...``: the dimensions of a batch."""

    image: Tensor
    """``[..., H, W, 3]`` composited over the background."""
    alpha: Tensor
    """``[..., H, W]`` in [0, 1]."""
    depth: Tensor
    """``[..., H, W]`` expected depth Σ w z / Σ w in metres; ``inf`` where nothing is."""
    flow: Tensor | None = None
    """``[..., H, W, 2]`` expected displacement Σ w (p' - p) / Σ w in pixels (x, y) to the other moment,
    if one was given; 0 where nothing is."""


@dataclass(frozen=True)
class OtherMoment:
    """Where the same splats are at another moment, for flow."""

    means: Tensor
    """``[N, 3]`` or ``[B, N, 3]`` metres, world."""
    cameras: CameraTensors
    """``[B]``"""


@dataclass(frozen=True)
class Scene:
    """``B`` images to draw; a tensor of splats without a leading dimension ``B`` is shared by all of them."""

    means: Tensor
    """``[N, 3]`` or ``[B, N, 3]`` metres, world."""
    quaternions: Tensor
    """``[N, 4]`` or ``[B, N, 4]`` wxyz."""
    scales: Tensor
    """``[N, 3]`` or ``[B, N, 3]`` standard deviations in metres."""
    opacities: Tensor
    """``[N]`` or ``[B, N]``"""
    colors: Tensor
    """``[N, 3]`` or ``[B, N, 3]``"""
    cameras: CameraTensors
    """``[B]``"""
    background: Tensor
    """``[B, 3]``"""
    other: OtherMoment | None
    """With it, flow is drawn too."""
    near: float
    """Metres; splats nearer than this are left out."""
    low_pass: float
    """Variance in pixels² added on the image plane."""
    antialiased: bool
    """Whether opacities make up for what the low-pass adds."""

    @property
    def images(self) -> int:
        """``B``"""
        return len(self.cameras.world_to_camera)
