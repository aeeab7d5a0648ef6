"""The C kernel as a differentiable operation of torch: projection, binning and compositing in two calls.

The forward pass keeps what it made (shapes on the image plane, which splat touches which tile), the backward
pass reuses it. Gradients reach every tensor of the scene and the cameras of both moments.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from uni4d.splatting import native
from uni4d.splatting.scene import Rendered, Scene
from uni4d.splatting.threads import kernel_threads

__all__ = ["render"]

_NAMES = (
    *("means", "quaternions", "scales", "opacities", "colors", "views", "intrinsics", "backgrounds"),
    *("other_means", "other_views", "other_intrinsics"),
)
"""The differentiable inputs: fields of :class:`native.Batch` and :class:`native.Gradients`."""
_OUTPUTS = ("image", "alpha", "depth", "flow")
_RANKS = {"means": 2, "quaternions": 2, "scales": 2, "opacities": 1, "colors": 2, "other_means": 2}
"""Of the splats of one image; one more if every image has its own."""
_RECORD_FLOATS = 16
_MOMENTS = 6
_COLORS = 3
_TILE = 16


def render(scene: Scene) -> Rendered:
    """``B`` images."""
    cameras, other = scene.cameras, scene.other
    tensors = [scene.means, scene.quaternions, scene.scales, scene.opacities, scene.colors]
    tensors += [cameras.world_to_camera, cameras.intrinsics, scene.background]
    if other is not None:
        tensors += [other.means, other.cameras.world_to_camera, other.cameras.intrinsics]
    return Rendered(*_Rasterised.apply(scene, *tensors))  # type: ignore[no-untyped-call]


class _Rasterised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scene: Scene, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        inputs = [t.detach().contiguous() for t in tensors]
        ctx.job = _Job(inputs, scene)
        ctx.save_for_backward(*inputs)
        return ctx.job.drawn()  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors  # raises if one was changed in place meanwhile
        return (None, *ctx.job.backward(gradients, inputs))


class _Job:
    """One batch of images: the structure that C reads, and the tensors that it points into."""

    def __init__(self, inputs: list[Tensor], scene: Scene) -> None:
        images, count = scene.images, scene.means.shape[-2]
        width, height = scene.cameras.width, scene.cameras.height
        tiles = -(-width // _TILE) * -(-height // _TILE)
        self._features = 4 if scene.other is None else 6
        self._shape = images, height, width
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
            threads=kernel_threads(),
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

    def drawn(self) -> tuple[Tensor, ...]:
        """Image, alpha, depth, and flow if there is another moment."""
        library, batch = native.load(), ctypes.byref(self._batch)
        total = library.uni4d_project(batch)
        if total < 0:
            raise MemoryError(f"rasterise: the splats cover more than 2³¹ tiles, in images {self._shape}")
        images, height, width = self._shape
        self._pairs = torch.empty(total, 2, dtype=torch.int32)
        self._planes = torch.empty(images, 2 * self._features + 1 - _COLORS, height, width)
        self._batch.pairs, self._batch.planes = self._pairs.data_ptr(), self._planes.data_ptr()
        if library.uni4d_composite(batch):
            raise MemoryError(f"rasterise: no memory to sort {self._records.shape[1]} splats")
        channels: list[list[int]] = [[3], [], []] if self._features == 4 else [[3], [], [], [2]]
        drawn = tuple(torch.empty(images, height, width, *own) for own in channels)
        for name, tensor in zip(_OUTPUTS, drawn, strict=False):
            setattr(self._batch, name, tensor.data_ptr())
        library.uni4d_finish(batch)
        return drawn

    def backward(self, gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of the inputs, in their order."""
        found = [torch.zeros_like(t) for t in inputs]
        given = [None if g is None else g.contiguous() for g in gradients]
        images, height, width = self._shape
        planes = torch.empty(images, self._features + 1, height, width)
        pairs = torch.empty(len(self._pairs), _MOMENTS + self._features)
        to = native.Gradients(planes=planes.data_ptr(), pairs=pairs.data_ptr())
        for name, tensor in (*zip(_OUTPUTS, given, strict=False), *zip(_NAMES, found, strict=False)):
            if tensor is not None:
                setattr(to, name, tensor.data_ptr())
        if native.load().uni4d_backward(ctypes.byref(self._batch), ctypes.byref(to)):
            raise MemoryError("rasterise: no memory for the gradients of cameras and backgrounds")
        return found
