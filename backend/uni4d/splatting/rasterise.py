"""Splats → image, alpha, depth, flow; differentiable. One interface over three implementations that agree.

==========  =========================================================================================
``cpu``     the C kernel (:mod:`uni4d.splatting.cpu`): tiles, threads, SIMD, hand-written gradients; float32
``torch``   the plain twin (:mod:`uni4d.splatting.reference`): any float type; slow
``gsplat``  the gsplat package on a CUDA device
``auto``    ``gsplat`` for tensors on a CUDA device, else ``cpu``; where no C compiler works, ``torch``
            and one warning
==========  =========================================================================================

Conventions are those of 3D Gaussian splatting: EWA projection, alpha at most 0.99 and nothing below 1/255,
pixel centres at +0.5, a pixel finished at transmittance 1e-4; but for the low-pass, which here is as wide as
a pixel and keeps the weight of small splats (``low_pass=0.3, antialiased=False`` is theirs). Colours are
blended as they are given (sRGB throughout Uni4D).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from uni4d.splatting import cpu, cuda, native, reference
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import LOW_PASS, NEAR
from uni4d.splatting.scene import AnyCameras, CameraTensors, OtherMoment, Rendered, Scene, broadcast
from uni4d.splatting.supersampling import averaged, finer_cameras

__all__ = ["Implementation", "Rendered", "rasterise", "render"]

Implementation = Literal["auto", "cpu", "torch", "gsplat"]


def rasterise(
    means: Tensor,  # [..., N, 3] metres, world
    quaternions: Tensor,  # [..., N, 4] wxyz, any non-zero length
    scales: Tensor,  # [..., N, 3] standard deviations in metres
    opacities: Tensor,  # [..., N] in [0, 1]
    colors: Tensor,  # [..., N, 3]
    cameras: AnyCameras,  # [...]
    background: Sequence[float] | Tensor = (1.0, 1.0, 1.0),  # [..., 3]
    implementation: Implementation = "auto",
    *,
    near: float = NEAR,
    low_pass: float = LOW_PASS,
    antialiased: bool = True,
    finer: int = 1,
    other_means: Tensor | None = None,  # [..., N, 3] metres, world
    other_cameras: AnyCameras | None = None,  # [...]
) -> Rendered:
    """Render one image, or a batch of them in one call.

    The leading dimensions ``...`` of splats, cameras (a sequence of ``B`` has ``[B]``) and background
    broadcast together as in torch, and what has none is shared by all images: means ``[T, 1, N, 3]`` seen by
    cameras ``[C]`` make images ``[T, C, H, W, 3]``.

    ``other_means`` (the same splats at another moment) and ``other_cameras`` (those of that moment), one or
    both, ask for ``flow``; what is not given does not move. A splat that is behind the camera at either
    moment counts as still.

    Splats nearer than ``near`` metres are left out. ``low_pass`` is the variance in pixels² that is added on
    the image plane; to render a smaller copy of what another size shows, scale it with the square of the
    size. ``antialiased`` multiplies opacities by √(det Σ / det Σ'), so that a splat smaller than a pixel
    keeps its weight. ``finer`` draws the picture that many times as wide and high and averages it, the
    low-pass being in the finer pixels. Differentiable in splats, cameras
    (:class:`~uni4d.splatting.scene.CameraTensors`), those of the other moment and ``background``; the same
    to the last bit for any number of threads.
    """
    if finer < 1:
        raise ValueError(f"rasterise: finer must be at least 1, got {finer}")
    splats = (means, quaternions, scales, opacities, colors)
    _check_splats(splats)
    chosen = _choose(implementation, means)
    seen_by = CameraTensors.of(cameras, means)
    backdrop = torch.as_tensor(background, dtype=means.dtype, device=means.device)
    other = None
    if other_means is not None or other_cameras is not None:
        other = OtherMoment(
            means if other_means is None else other_means,
            seen_by if other_cameras is None else CameraTensors.of(other_cameras, means),
        )
    _check_others(means, seen_by, backdrop, other)
    shape = _batch_shape(splats, seen_by, backdrop, other)
    if finer > 1:
        seen_by = finer_cameras(seen_by, finer)
        other = other and OtherMoment(other.means, finer_cameras(other.cameras, finer))
    if other is not None:
        other = OtherMoment(_batched(other.means, 2, shape), _batched_cameras(other.cameras, shape))
    scene = Scene(
        means=_batched(means, 2, shape),
        quaternions=_batched(quaternions, 2, shape),
        scales=_batched(scales, 2, shape),
        opacities=_batched(opacities, 1, shape),
        colors=_batched(colors, 2, shape),
        cameras=_batched_cameras(seen_by, shape),
        background=backdrop.expand(*shape, 3).reshape(-1, 3),
        other=other,
        near=near,
        low_pass=low_pass,
        antialiased=antialiased,
    )
    image, alpha, depth, flow = {"cpu": cpu, "torch": reference, "gsplat": cuda}[chosen].render(scene)
    rendered = Rendered(
        image.reshape(*shape, *image.shape[1:]),
        alpha.reshape(*shape, *alpha.shape[1:]),
        depth.reshape(*shape, *depth.shape[1:]),
        None if flow is None else flow.reshape(*shape, *flow.shape[1:]),
    )
    return rendered if finer == 1 else averaged(rendered, finer)


def render(
    splats: SplatParameters,
    cameras: AnyCameras,
    background: Sequence[float] | Tensor = (1.0, 1.0, 1.0),
    implementation: Implementation = "auto",
    *,
    low_pass: float = LOW_PASS,
    antialiased: bool = True,
    finer: int = 1,
) -> Rendered:
    """:func:`rasterise` of free parameters, with the colours that each of the cameras sees."""
    seen_by = CameraTensors.of(cameras, splats.means)
    return rasterise(
        splats.means,
        splats.quaternions,
        splats.scales,
        splats.opacities,
        _seen_colors(splats, seen_by),
        seen_by,
        background,
        implementation,
        low_pass=low_pass,
        antialiased=antialiased,
        finer=finer,
    )


def _seen_colors(splats: SplatParameters, cameras: CameraTensors) -> Tensor:
    """``[..., N, 3]``, or ``[N, 3]`` if they do not depend on the view."""
    if splats.coefficients.shape[1] == 1:
        return splats.colors
    positions = cameras.positions.detach()
    seen = torch.stack([splats.colors_from(position) for position in positions.reshape(-1, 3)])
    return seen.reshape(*positions.shape[:-1], *seen.shape[1:])


_NAMES = ("means", "quaternions", "scales", "opacities", "colors")
_RANKS = (2, 2, 2, 1, 2)
_LAST = (3, 4, 3, None, 3)


def _check_splats(splats: Sequence[Tensor]) -> None:
    first = splats[0]
    if not first.is_floating_point():
        raise TypeError(f"rasterise: means must be floating point, got {first.dtype}")
    count = first.shape[-2] if first.ndim >= 2 else -1
    for name, tensor, rank, last in zip(_NAMES, splats, _RANKS, _LAST, strict=True):
        shape = [count] if last is None else [count, last]
        _check_tensor(name, tensor, shape if count >= 0 else ["N", 3], rank, first)


def _check_tensor(name: str, tensor: Tensor, shape: Sequence[int | str], rank: int, like: Tensor) -> None:
    if list(tensor.shape[-rank:]) != list(shape):
        wanted = ", ".join(str(size) for size in shape)
        raise ValueError(f"rasterise: {name} must have shape [..., {wanted}], got {list(tensor.shape)}")
    if tensor.dtype != like.dtype or tensor.device != like.device:
        raise TypeError(
            f"rasterise: {name} is {tensor.dtype} on {tensor.device}, means {like.dtype} on {like.device}"
        )


def _check_others(
    means: Tensor, cameras: CameraTensors, background: Tensor, other: OtherMoment | None
) -> None:
    _check_cameras("cameras", cameras, means)
    _check_tensor("background", background, [3], 1, means)
    if other is None:
        return
    _check_tensor("other_means", other.means, list(means.shape[-2:]), 2, means)
    _check_cameras("other_cameras", other.cameras, means)
    sizes = {(c.width, c.height) for c in (cameras, other.cameras)}
    if len(sizes) > 1:
        raise ValueError(f"rasterise: cameras of different sizes {sorted(sizes)} in one call")


def _check_cameras(name: str, cameras: CameraTensors, means: Tensor) -> None:
    _check_tensor(f"world_to_camera of {name}", cameras.world_to_camera, [4, 4], 2, means)
    _check_tensor(f"intrinsics of {name}", cameras.intrinsics, [3, 3], 2, means)
    if min(cameras.width, cameras.height) < 1:
        raise ValueError(f"rasterise: image size {cameras.width, cameras.height} must be positive")


def _batch_shape(
    splats: Sequence[Tensor], cameras: CameraTensors, background: Tensor, other: OtherMoment | None
) -> torch.Size:
    shapes = {name: t.shape[:-rank] for name, t, rank in zip(_NAMES, splats, _RANKS, strict=True)}
    shapes |= {"cameras": cameras.batch_shape, "background": background.shape[:-1]}
    if other is not None:
        shapes |= {"other_means": other.means.shape[:-2], "other_cameras": other.cameras.batch_shape}
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items() if shape)
    try:
        together = broadcast(*shapes.values())
    except RuntimeError:
        raise ValueError(f"rasterise: leading dimensions do not broadcast together: {listed}") from None
    if together.numel() == 0:
        raise ValueError(f"rasterise: a batch without images: {listed}")
    return together


def _batched(tensor: Tensor, rank: int, shape: torch.Size) -> Tensor:
    """As ``[B, ...]``, or as it is for all images if it has no leading dimensions."""
    own = tensor.shape[-rank:]
    if tensor.shape[:-rank].numel() == 1:
        return tensor.reshape(own)
    return tensor.expand(*shape, *own).reshape(-1, *own)


def _batched_cameras(cameras: CameraTensors, shape: torch.Size) -> CameraTensors:
    return CameraTensors(
        cameras.world_to_camera.expand(*shape, 4, 4).reshape(-1, 4, 4),
        cameras.intrinsics.expand(*shape, 3, 3).reshape(-1, 3, 3),
        cameras.width,
        cameras.height,
    )


def _choose(implementation: Implementation, means: Tensor) -> str:
    if implementation == "auto":
        if means.is_cuda:
            return "gsplat"
        return "cpu" if means.dtype == torch.float32 and native.available() else "torch"
    if implementation == "cpu":
        if means.dtype != torch.float32 or means.device.type != "cpu":
            raise TypeError(
                f"rasterise: the cpu kernel takes float32 on the CPU, got {means.dtype} on {means.device}"
            )
        native.load()
    elif implementation not in ("torch", "gsplat"):
        raise ValueError(f"rasterise: unknown implementation {implementation!r}")
    return implementation
