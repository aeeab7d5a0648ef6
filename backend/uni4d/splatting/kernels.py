"""Calls of the C kernels that are no pictures: tensors in, tensors out, on the CPU and in single precision.

Each has a plain twin where it is used, which documents the formulas. Nothing here is differentiable.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from uni4d.splatting import native
from uni4d.splatting.threads import kernel_threads

__all__ = [
    "average",
    "average_slope",
    "huber",
    "observe",
    "pull",
    "similarity",
    "similarity_slope",
    "tie",
    "turn",
]


def average(image: Tensor, alpha: Tensor, depth: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Squares of ``factor`` × ``factor`` pixels as one, of pictures ``[B, H, W, 3]``, ``[B, H, W]`` twice."""
    images, height, width = alpha.shape[0], *(side // factor for side in alpha.shape[1:])
    mean_alpha, mean_depth = (torch.empty(images, height, width) for _ in range(2))
    means = torch.empty(images, height, width, 3), mean_alpha, mean_depth
    native.load().uni4d_average(
        *(images, height, width, factor),
        *(t.data_ptr() for t in (image, alpha, depth, *means)),
        kernel_threads(),
    )
    return means


def average_slope(
    fine: tuple[Tensor, Tensor],  # alpha, depth [B, H, W]
    means: tuple[Tensor, Tensor],  # alpha, depth [B, H / factor, W / factor]
    gradients: Sequence[Tensor | None],  # of the averaged image, alpha and depth
    factor: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of image, alpha and depth, from those of what :func:`average` made of them."""
    images, height, width = means[0].shape
    given = [None if g is None else g.contiguous() for g in gradients]
    found = torch.empty(*fine[0].shape, 3), torch.empty_like(fine[0]), torch.empty_like(fine[1])
    native.load().uni4d_average_backward(
        *(images, height, width, factor),
        *(None if t is None else t.data_ptr() for t in (*fine, *means, *given, *found)),
        kernel_threads(),
    )
    return found


def huber(
    image: Tensor,  # [..., 3]
    target: Tensor,  # [..., 3]
    limit: float,
    *,
    slopes: bool,
) -> tuple[float, Tensor | None]:
    """Huber's function of the colours' differences, summed over the pixels, and its gradient by the image, if
    wanted."""
    gradient = torch.empty_like(image) if slopes else None
    pixels = image.numel() // 3
    to = None if gradient is None else gradient.data_ptr()
    return native.load().uni4d_huber(pixels, image.data_ptr(), target.data_ptr(), limit, to), gradient


def observe(
    points: Tensor,  # [N, 3]
    camera: tuple[Tensor, Tensor],  # world to camera [4, 4], intrinsics [3, 3]
    frame: Tensor,  # [H, W, 3]
    rendered: tuple[Tensor, Tensor],  # image [H, W, 3], depth [H, W]
    slack: float,
    noise: float,
    huber: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which points are seen ``[V]`` int64, residuals ``[V, 3]``, slopes ``[V, 3, 3]`` and weights ``[V]``."""
    height, width = rendered[1].shape
    inputs = [t.detach().contiguous() for t in (points, *camera, frame, *rendered)]
    seen = torch.empty(len(points), dtype=torch.int64)
    found = seen, *(torch.empty(len(points), *own) for own in ((3,), (3, 3), ()))
    count = native.load().uni4d_observe(
        *(len(points), width, height),
        *(t.data_ptr() for t in inputs),
        *(slack, noise, huber),
        *(t.data_ptr() for t in found),
    )
    which, residuals, slopes, weights = (t[:count] for t in found)
    return which, residuals, slopes, weights


def pull(
    hessian: Tensor,  # [K², 6, 6], added to
    gradient: Tensor,  # [K, 6], added to
    splats: Tensor,  # [V] int64, which ones
    observed: tuple[Tensor, Tensor, Tensor],  # residuals [V, R], slopes [V, R, 3], weights [V]
    moved: tuple[Tensor, Tensor, Tensor],  # movers [N, S] int64, shares [N, S], arms [N, S, 3] at rest
    turns: Tensor,  # [K, 3, 3]
    radius: float,
) -> None:
    """Add to normal equations how splats pull at the nodes that move them."""
    inputs = [t.detach().contiguous() for t in (splats, *observed, *moved, turns)]
    failed = native.load().uni4d_pull(
        *(*observed[0].shape, moved[0].shape[1], len(turns)),
        *(t.data_ptr() for t in inputs),
        radius,
        *(hessian.data_ptr(), gradient.data_ptr()),
    )
    if failed:
        raise ValueError(f"pull: {moved[0].shape[1]} nodes move a splat, which are too many")


def similarity(
    image: Tensor,  # [B, H, W, 3]
    target: Tensor,  # [B, H, W, 3]
    weights: Tensor,  # [2 half + 1] of the blur
    *,
    slopes: bool,
) -> tuple[float, Tensor | None]:
    """The mean structural similarity, and, if wanted, what :func:`similarity_slope` needs."""
    images, height, width, _ = image.shape
    kept = torch.empty(3, *image.shape) if slopes else None
    sums, work = torch.empty(images, height, dtype=torch.float64), _room(width, weights)
    native.load().uni4d_similarity(
        *(images, height, width, len(weights) // 2),
        *(t.data_ptr() for t in (weights, image, target)),
        *(None if kept is None else kept.data_ptr(), sums.data_ptr(), work.data_ptr()),
        kernel_threads(),
    )
    return float(sums.sum()) / image.numel(), kept


def similarity_slope(image: Tensor, target: Tensor, weights: Tensor, slopes: Tensor, scale: float) -> Tensor:
    """``[B, H, W, 3]``: ``scale`` times the gradient, by the image, of the similarity's sum."""
    images, height, width, _ = image.shape
    gradient, work = torch.empty_like(image), _room(width, weights)
    native.load().uni4d_similarity_backward(
        *(images, height, width, len(weights) // 2),
        *(t.data_ptr() for t in (weights, image, target, slopes)),
        *(scale, gradient.data_ptr(), work.data_ptr(), kernel_threads()),
    )
    return gradient


def tie(
    hessian: Tensor,  # [K², 6, 6], added to
    gradient: Tensor,  # [K, 6], added to
    ends: Tensor,  # [E, 2] int64, nodes
    levers: tuple[Tensor, Tensor],  # arms [2, E, 3] at rest, lengths [E]
    turns: Tensor,  # [K, 3, 3]
    strain: tuple[Tensor, Tensor],  # stretch [E, 3], bend [E, 3]
    weights: Tensor,  # [E, 2]
    radius: float,
) -> None:
    """Add to normal equations how edges hold the nodes at their ends."""
    inputs = [t.detach().contiguous() for t in (ends, *levers, turns, *strain, weights)]
    native.load().uni4d_tie(
        *(len(ends), len(turns)),
        *(t.data_ptr() for t in inputs),
        radius,
        *(hessian.data_ptr(), gradient.data_ptr()),
    )


def turn(
    edges: Tensor,  # [B, N, 2, 3] of the moved triangles
    frames: Tensor,  # [N, 3, 3] of the triangles at rest
    quaternions: Tensor,  # [N, 4] at rest
    offsets: Tensor,  # [N, 3] from the triangles, at rest
) -> tuple[Tensor, Tensor]:
    """Quaternions ``[B, N, 4]`` and offsets ``[B, N, 3]`` of splats that turn with their triangles."""
    moments, count = edges.shape[:2]
    inputs = [t.detach().contiguous() for t in (edges, frames, quaternions, offsets)]
    turned, moved = torch.empty(moments, count, 4), torch.empty(moments, count, 3)
    native.load().uni4d_turn(
        moments,
        count,
        *(t.data_ptr() for t in (*inputs, turned, moved)),
        kernel_threads(),
    )
    return turned, moved


def _room(width: int, weights: Tensor) -> Tensor:
    """What the threads of similarity work in."""
    each = native.load().uni4d_similarity_room(width, len(weights) // 2)
    return torch.zeros(kernel_threads(), each)
