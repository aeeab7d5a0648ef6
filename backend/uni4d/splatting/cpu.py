"""The C kernel as a differentiable operation of torch: projection, binning and compositing in two calls.

The forward pass keeps what it made (shapes on the image plane, which splat touches which tile), the backward
pass reuses it. Gradients reach every tensor of the scene and the cameras of both moments.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from uni4d.splatting import native
from uni4d.splatting.scene import Scene

__all__ = ["render"]

_NAMES = (
    *("means", "quaternions", "scales", "opacities", "colors", "views", "intrinsics"),
    *("other_means", "other_views", "other_intrinsics"),
)
"""The differentiable inputs: fields of :class:`native.Batch` and :class:`native.Gradients`."""
_RANKS = {"means": 2, "quaternions": 2, "scales": 2, "opacities": 1, "colors": 2, "other_means": 2}
"""Of the splats of one image; one more if every image has its own."""
_RECORD_FLOATS = 16
_MOMENTS = 6
_TILE = 16


def render(scene: Scene) -> Tensor:
    """``[B, F + 1, H, W]``: premultiplied red, green, blue, depth, with flow its x and y; transmittance."""
    cameras, other = scene.cameras, scene.other
    tensors = [scene.means, scene.quaternions, scene.scales, scene.opacities, scene.colors]
    tensors += [cameras.world_to_camera, cameras.intrinsics]
    if other is not None:
        tensors += [other.means, other.cameras.world_to_camera, other.cameras.intrinsics]
    planes: Tensor = _Planes.apply(scene, *tensors)  # type: ignore[no-untyped-call]
    return planes


class _Planes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scene: Scene, *tensors: Tensor) -> Tensor:
        inputs = [t.detach().contiguous() for t in tensors]
        ctx.job = _Job(inputs, scene)
        ctx.save_for_backward(*inputs)
        return ctx.job.composite()  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors  # raises if one was changed in place meanwhile
        return (None, *ctx.job.backward(gradients[0].contiguous(), inputs))


class _Job:
    """One batch of images: the structure that C reads, and the tensors that it points into."""

    def __init__(self, inputs: list[Tensor], scene: Scene) -> None:
        images, count = scene.images, scene.means.shape[-2]
        width, height = scene.cameras.width, scene.cameras.height
        tiles = -(-width // _TILE) * -(-height // _TILE)
        self._features = 4 if scene.other is None else 6
        self._shape = images, self._features + 1, height, width
        self._records = torch.empty(images, count, _RECORD_FLOATS)
        self._first_pair = torch.empty(images * count + 1, dtype=torch.int64)
        self._tile_start = torch.empty(images * tiles + 1, dtype=torch.int32)
        self._batch = native.Batch(
            images=images,
            count=count,
            width=width,
            height=height,
            features=self._features,
            antialiased=scene.antialiased,
            threads=torch.get_num_threads(),
            near=scene.near,
            low_pass=scene.low_pass,
            records=self._records.data_ptr(),
            first_pair=self._first_pair.data_ptr(),
            tile_start=self._tile_start.data_ptr(),
        )
        for name, tensor in zip(_NAMES, inputs, strict=False):  # without flow there are fewer
            setattr(self._batch, name, tensor.data_ptr())
            if name in _RANKS:
                own = tensor.ndim > _RANKS[name]
                setattr(self._batch, f"{name}_step", tensor[0].numel() if own else 0)

    def composite(self) -> Tensor:
        """``[B, F + 1, H, W]``"""
        library, batch = native.load(), ctypes.byref(self._batch)
        total = library.uni4d_project(batch)
        if total < 0:
            raise MemoryError(f"rasterise: the splats cover more than 2³¹ tiles, in images {self._shape}")
        self._pairs = torch.empty(total, 2, dtype=torch.int32)
        out = torch.empty(self._shape)
        self._batch.pairs, self._batch.out = self._pairs.data_ptr(), out.data_ptr()
        if library.uni4d_composite(batch):
            raise MemoryError(f"rasterise: no memory to sort {self._records.shape[1]} splats")
        self._out = out.detach()  # shares the storage without being the output, which would keep this alive
        return out

    def backward(self, gradient: Tensor, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Gradients of the inputs, in their order."""
        found = [torch.zeros_like(t) for t in inputs]
        room = torch.empty(len(self._pairs), _MOMENTS + self._features)
        to = native.Gradients(out=gradient.data_ptr(), pairs=room.data_ptr())
        for name, tensor in zip(_NAMES, found, strict=False):
            setattr(to, name, tensor.data_ptr())
        if native.load().uni4d_backward(ctypes.byref(self._batch), ctypes.byref(to)):
            raise MemoryError("rasterise: no memory for the gradients of the cameras")
        return found
