"""Patches of a point cloud: centres by farthest point sampling, and around each its nearest neighbours.

Farthest point sampling (Eldar et al. 1997) starts at one point and adds, again and again, the point that is
farthest from all chosen so far: d_i ← min(d_i, |p_i − p_last|²), next = argmax_i d_i. The loop in plain
PyTorch is the truth, on any device; on the CPU the package ``fpsample`` prunes the same search with a k-d
tree (Han et al. 2023, QuickFPS), and SciPy's k-d tree finds the neighbours. They give the same indices; only
among exactly equal distances (grids, repeated points) may they choose differently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from uni4d_shared.errors import Uni4DError

__all__ = ["Groups", "farthest_points", "group", "nearest", "plain_farthest_points", "plain_nearest"]

_BLOCK = 1 << 24
"""Distances held at once by :func:`plain_nearest`: 64 MB."""
_PICKING_TREE_MINIMUM, _NEIGHBOUR_TREE_MINIMUM = 3_000, 1_500
"""Points from which on a tree is worth its building (measured)."""
_TREE_HEIGHT = 5


@frozen(eq=False)
class Groups:
    """A batch of clouds, each cut into overlapping patches."""

    centres: Tensor
    """``[B, G, 3]``: points of the cloud."""
    neighbourhoods: Tensor
    """``[B, G, K, 6]``: positions relative to the patch's centre, then colours; the nearest first."""


def group(
    points: Tensor, colors: Tensor, count: int, size: int, *, unpicked_square_norm: float | None = None
) -> Groups:
    """``count`` patches of the ``size`` points nearest to each centre.

    ``points`` and ``colors`` ``[B, N, 3]``; ``unpicked_square_norm`` as in :func:`farthest_points`.
    """
    chosen = farthest_points(points, count, unpicked_square_norm=unpicked_square_norm)
    centres = points.gather(1, chosen[..., None].expand(-1, -1, 3))
    index = nearest(points, centres, size).flatten(1)[..., None].expand(-1, -1, 3)
    shape = (len(points), count, size, 3)
    relative = points.gather(1, index).view(shape) - centres[:, :, None]
    return Groups(centres, torch.cat([relative, colors.gather(1, index).view(shape)], dim=-1))


def farthest_points(
    points: Tensor, count: int, start: int = 0, *, unpicked_square_norm: float | None = None
) -> Tensor:
    """The indices ``[B, count]`` of farthest point sampling in ``points`` ``[B, N, 3]``, ``start`` first.

    Points whose squared distance from the origin is at most ``unpicked_square_norm`` are chosen only as the
    start (a habit of PointNet++'s CUDA kernel, and so of the models that were trained with it).
    """
    length = points.shape[1]
    if not 0 < count <= length or not 0 <= start < length:
        raise Uni4DError(
            "points-too-few",
            f"{count} centres, starting with point {start}, were asked of a cloud of {length} points.",
            "Sample more points from the mesh, or ask for fewer groups.",
        )
    if points.device.type == "cpu" and points.dtype == torch.float32 and _fpsample() is not None:
        clouds = points.detach().numpy()
        rows = [_sample_cloud(np.ascontiguousarray(c), count, start, unpicked_square_norm) for c in clouds]
        return torch.from_numpy(np.stack(rows)) if rows else torch.empty(0, count, dtype=torch.int64)
    return plain_farthest_points(points, count, start, unpicked_square_norm)


def plain_farthest_points(
    points: Tensor, count: int, start: int = 0, unpicked_square_norm: float | None = None
) -> Tensor:
    """:func:`farthest_points` without ``fpsample``: the same loop on any device, all clouds at once."""
    x, y, z = (points[..., axis].contiguous() for axis in range(3))
    distances = torch.full_like(x, torch.inf)
    if unpicked_square_norm is not None:
        distances[(x * x + y * y + z * z) <= unpicked_square_norm] = -1.0  # a minimum never raises it again
    chosen = torch.empty(len(points), count, dtype=torch.int64, device=points.device)
    latest = torch.full((len(points), 1), start, device=points.device)
    for place in range(count):
        chosen[:, place] = latest[:, 0]
        dx, dy, dz = (axis - axis.gather(1, latest) for axis in (x, y, z))
        distances = torch.minimum(distances, dx * dx + dy * dy + dz * dz)
        latest = distances.argmax(dim=1, keepdim=True)
    return chosen


def nearest(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """The indices ``[B, C, k]`` of the points ``[B, N, 3]`` nearest to each of ``centres`` ``[B, C, 3]``,
    the nearest first."""
    length = points.shape[1]
    if not 0 < k <= length:
        raise Uni4DError(
            "points-too-few",
            f"{k} neighbours were asked of a cloud of {length} points.",
            "Sample more points from the mesh, or ask for smaller groups.",
        )
    if points.device.type != "cpu" or length < _NEIGHBOUR_TREE_MINIMUM:
        return plain_nearest(points, centres, k)
    found = [
        cKDTree(cloud, balanced_tree=False, compact_nodes=False).query(middle, range(1, k + 1))[1]
        for cloud, middle in zip(points.detach().numpy(), centres.detach().numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(found)) if found else torch.empty(0, centres.shape[1], k).long()


def plain_nearest(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """:func:`nearest` without a tree: all distances, a bounded number of them at a time, on any device."""
    chunk = max(1, _BLOCK // points.shape[1])
    found = torch.empty(*centres.shape[:2], k, dtype=torch.int64, device=points.device)
    for cloud, middles, answer in zip(points, centres, found, strict=True):
        for some, place in zip(middles.split(chunk), answer.split(chunk), strict=True):
            distances = torch.cdist(some, cloud, compute_mode="donot_use_mm_for_euclid_dist")
            place.copy_(distances.topk(k, largest=False).indices)
    return found


def _fpsample() -> Any:
    """The package ``fpsample``, or ``None`` where it has no build for this Python."""
    try:
        import fpsample
    except ImportError:
        return None
    return fpsample


def _sample_cloud(
    cloud: NDArray[np.float32], count: int, start: int, unpicked_square_norm: float | None
) -> NDArray[np.int64]:
    """One cloud ``[N, 3]`` through ``fpsample``; what may not be picked is not even shown to it."""
    if unpicked_square_norm is None:
        return _sample(cloud, count, start)
    squares = cloud * cloud
    eligible = (squares[:, 0] + squares[:, 1]) + squares[:, 2] > unpicked_square_norm
    eligible[start] = True
    index = np.flatnonzero(eligible)
    if len(index) < count:
        plain = plain_farthest_points(torch.from_numpy(cloud)[None], count, start, unpicked_square_norm)
        return plain[0].numpy()
    return index[_sample(cloud[index], count, int(np.searchsorted(index, start)))]


def _sample(cloud: NDArray[np.float32], count: int, start: int) -> NDArray[np.int64]:
    """``fpsample``'s search, begun at the point asked for: exhaustive in small clouds, pruned in large ones.

    The pruned one counts its start index after it has put the points into the order of its tree (versions
    0.3.3 to 1.0.2), so the place of ``start`` in that order is worked out first. Should a version do
    otherwise, the first index is another one, and the exhaustive search, which counts as it should, is taken.
    """
    fpsample = _fpsample()
    if len(cloud) >= _PICKING_TREE_MINIMUM:
        place = _place_in_tree(cloud, start)
        chosen = fpsample.bucket_fps_kdline_sampling(cloud, count, _TREE_HEIGHT, place)
        if chosen[0] == start:
            return chosen.astype(np.int64)
    return fpsample.fps_sampling(cloud, count, start).astype(np.int64)


def _place_in_tree(cloud: NDArray[np.float32], start: int) -> int:
    """Where ``fpsample``'s tree puts point ``start``.

    Each node halves its points at their mean along its widest axis, exchanging misplaced points from both
    ends inwards (Hoare's partition); only the nodes that hold ``start`` need be followed.
    """
    order = np.arange(len(cloud))
    offset, place = 0, start
    for _ in range(_TREE_HEIGHT):
        part = cloud[order]
        values = part[:, int((part.max(axis=0) - part.min(axis=0)).argmax())]
        mean = np.cumsum(values)[-1] / np.float32(len(values))  # added one after the other, as there
        below = values < mean
        middle = int(below.sum())
        misplaced = np.flatnonzero(~below[:middle])
        partners = middle + np.flatnonzero(below[middle:])[::-1]
        order[misplaced], order[partners] = order[partners], order[misplaced]
        middle = max(middle, 1)
        place = int(np.flatnonzero(order == start)[0])
        if place < middle:
            order = order[:middle]
        else:
            order, offset, place = order[middle:], offset + middle, place - middle
        if len(order) == 1:
            break
    return offset + place
