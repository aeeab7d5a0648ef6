"""Splats as a ray tracer shows them, which Blender's Cycles and EEVEE are: ordered anew along every ray, by
where it meets their shapes, and blended in linear light.

The rasteriser orders splats by their centres and blends sRGB; that is what the fit is done with, and what
readers of splat files do. Where splats that lie on one another have different colours, the ray tracer's
picture is another: paler, as hidden ones come to light and as linear light favours the bright. How much of
each splat a ray shows does not depend on the colours, so the linear colours c that make up for it are found
by least squares,

    min over c of  Σ over rays of |Σ_i w_ri c_i − a_r L(image_r)|² + λ |c − L(colours)|²,

with the weights w and their sum a along a ray, the image that the rasteriser draws there, and L from sRGB to
linear light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.linalg import LinearOperator, cg

from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import NEAR
from uni4d.splatting.rasterise import render
from uni4d_shared.cameras import scaled
from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.progress import Progress, silent
from uni4d_shared.splat_shapes import EXTENT, shapes_of, widened
from uni4d_shared.types import Camera, Splats

__all__ = ["ray_weights", "traced_change"]

Array = NDArray[np.float64]

_VIEWS = 16
"""Cameras from which rays are shot, of many."""
_RAYS = 4
"""About how many a splat, over all cameras."""
_COVERED = 0.5
"""Opacity from which a pixel shows the object."""
_RIDGE = 0.1
"""λ, in rays: what few rays show keeps its colour."""
_STEPS, _ENOUGH = 30, 1e-3
"""Of conjugate gradients, and share of the residual that may be left."""
_FAINT = 1e-4
"""Weight along a ray that changes no picture."""
_NONE = -1e9
"""The reach of a splat that is nearer than the rasteriser draws."""
_CHUNK = 1_000_000
"""Pairs of a ray and a splat that are held in memory at once."""


@torch.no_grad()
def traced_change(
    splats: SplatParameters, cameras: Sequence[Camera], lens: Camera, progress: Progress = silent
) -> NDArray[np.float32]:
    """``[N, 3]``: what added to the splats' linear colours makes a ray tracer's pictures those of
    :func:`~uni4d.splatting.rasterise.render`, as ``cameras`` at the size of ``lens`` see them. ``lens``: the
    camera by whose pixels the splats are widened (:mod:`uni4d_shared.splat_shapes`)."""
    chosen = [scaled(camera, lens.width) for camera in cameras[:: -(-len(cameras) // _VIEWS)]]
    rendered = [render(splats, camera, (0.0, 0.0, 0.0)) for camera in chosen]
    covered = [(picture.alpha > _COVERED).numpy() for picture in rendered]
    stride = max(int((sum(mask.sum() for mask in covered) / (_RAYS * len(splats))) ** 0.5), 1)
    plain = splats.activated()
    bodies = _Bodies.of(plain, lens)
    weights, wanted = [], []
    for index, (camera, picture, mask) in enumerate(zip(chosen, rendered, covered, strict=True)):
        progress(index / len(chosen), "colours for ray tracers")
        alpha = picture.alpha.clamp(min=_COVERED)[..., None]
        light = linear_from_srgb((picture.image / alpha).clamp(0.0, 1.0).numpy()[::stride, ::stride])
        seen = _weights(bodies, camera, stride)
        kept = np.flatnonzero(mask[::stride, ::stride])
        weights.append(seen[kept])
        wanted.append(light.reshape(-1, 3)[kept] * np.asarray(weights[-1].sum(axis=1)))
    return _solved(vstack(weights).tocsr(), np.concatenate(wanted), plain).astype(np.float32)


def _solved(weights: csr_matrix, wanted: Array, splats: Splats) -> Array:
    """The ridge regression of the module's formula, for the change of the colours."""
    count = weights.shape[1]
    missing = weights.T @ (wanted - weights @ linear_from_srgb(splats.colors.astype(np.float64)))
    normal = LinearOperator(
        (count, count), matvec=lambda x: weights.T @ (weights @ x) + _RIDGE * x, dtype=np.float64
    )
    channels = (cg(normal, column, rtol=_ENOUGH, maxiter=_STEPS)[0] for column in missing.T)
    return np.stack(list(channels), axis=1)


def ray_weights(splats: Splats, camera: Camera, lens: Camera, stride: int = 1) -> csr_matrix:
    """``[R, N]``: how much of each splat the ray through every ``stride``-th pixel's centre, of every
    ``stride``-th row, shows."""
    return _weights(_Bodies.of(splats, lens), camera, stride)


def _weights(bodies: _Bodies, camera: Camera, stride: int) -> csr_matrix:
    placed = _Placed.of(bodies, camera)
    size = rows, columns = -(-camera.height // stride), -(-camera.width // stride)
    found = [_met(placed, camera, own, stride, size) for own in placed.chunks(stride, size)]
    rays, splat, alpha, depth = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((depth, rays))
    rays, splat, alpha = rays[order], splat[order], alpha[order]
    shown = alpha * _transmittance(rays, alpha)
    kept = shown > _FAINT
    return csr_matrix((shown[kept], (rays[kept], splat[kept])), shape=(rows * columns, len(bodies.means)))


class _Bodies(NamedTuple):
    """Splats as shapes, widened by a lens."""

    means: Array
    into: Array
    """``[N, 3, 3]``: takes the world's directions to the space in which the splat is the unit Gaussian."""
    out: Array
    """``[N, 3, 3]``: back."""
    opacities: Array
    flat: NDArray[np.bool_]

    @classmethod
    def of(cls, splats: Splats, lens: Camera) -> _Bodies:
        shapes, means = shapes_of(splats), splats.means.astype(np.float64)
        sizes = widened(shapes, means, lens)
        into = shapes.turns.transpose(0, 2, 1) / sizes[:, :, None]
        out = shapes.turns * sizes[:, None, :]
        return cls(means, into, out, splats.opacities.astype(np.float64), shapes.flat)


class _Placed(NamedTuple):
    """Splats before a camera."""

    eye: Array
    """``[N, 3]``: the camera in each splat's space."""
    along: Array
    """``[N, 3, 3]``: takes a direction of the camera's axes there."""
    pixels: Array
    """``[N, 2]``: the centres."""
    reach: Array
    """``[N, 2]`` pixels: the bounding box's half sides."""
    opacities: Array
    flat: NDArray[np.bool_]

    @classmethod
    def of(cls, bodies: _Bodies, camera: Camera) -> _Placed:
        to_camera = camera.world_to_camera[:3]
        places = bodies.means @ to_camera[:, :3].T + to_camera[:, 3]
        focal, before = camera.intrinsics[[0, 1], [0, 1]], places[:, 2:] > NEAR
        slants = places[:, :2] / np.where(before, places[:, 2:], 1.0)
        pixels = slants * focal + camera.intrinsics[:2, 2]
        along = bodies.into @ to_camera[:, :3].T
        spread = to_camera[:, :3] @ bodies.out
        sides = np.linalg.norm(spread[:, :2] - slants[:, :, None] * spread[:, 2:], axis=2)
        reach = np.where(before, EXTENT * sides * focal / np.where(before, places[:, 2:], 1.0) + 1.0, _NONE)
        eye = -(along @ places[:, :, None])[:, :, 0]
        return cls(eye, along, pixels, reach, bodies.opacities, bodies.flat)

    def chunks(self, stride: int, size: tuple[int, int]) -> list[NDArray[np.int64]]:
        """Indices of splats that meet about as many rays of ``size`` (rows, columns) as are held at once."""
        sides = 2.0 * np.maximum(self.reach, 0.0) / stride + 1.0
        rays = np.cumsum(np.minimum(sides, (size[1], size[0])).prod(axis=1))
        ends = np.searchsorted(rays, np.arange(_CHUNK, rays[-1], _CHUNK))
        return np.split(np.arange(len(rays)), ends)


def _met(
    placed: _Placed, camera: Camera, own: NDArray[np.int64], stride: int, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
    """Rays, the splats of ``own`` that they meet, with which opacity, and how far away."""
    splat, row, column = _pairs(placed, own, stride, size)
    pixel = np.stack([column, row], axis=1) * stride + 0.5
    direction = np.ones((len(splat), 3))
    direction[:, :2] = (pixel - camera.intrinsics[:2, 2]) / camera.intrinsics[[0, 1], [0, 1]]
    ray = np.einsum("nij,nj->ni", placed.along[splat], direction)
    eye, length = placed.eye[splat], np.einsum("ni,ni->n", ray, ray)
    nearest = -np.einsum("ni,ni->n", eye, ray) / length
    away = ((eye + nearest[:, None] * ray) ** 2).sum(axis=1)
    steep = np.where(np.abs(ray[:, 2]) > 1e-12, ray[:, 2], 1e-12)
    crossed = -eye[:, 2] / steep
    on_disc = ((eye + crossed[:, None] * ray)[:, :2] ** 2).sum(axis=1)
    entered = nearest - np.sqrt(np.maximum(EXTENT**2 - away, 0.0) / length)
    flat = placed.flat[splat]
    depth = np.where(flat, crossed, entered)
    met = (np.where(flat, on_disc, away) < EXTENT**2) & (depth > 0.0)
    alpha = placed.opacities[splat] * np.exp(-0.5 * away)
    return (row * size[1] + column)[met], splat[met], alpha[met], depth[met]


def _pairs(
    placed: _Placed, own: NDArray[np.int64], stride: int, size: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Splats, and the rows and columns of the grid of rays within their bounding boxes."""
    last = np.array([size[1], size[0]]) - 1
    low = np.ceil((placed.pixels[own] - placed.reach[own] - 0.5) / stride).clip(0, last + 1)
    high = np.floor((placed.pixels[own] + placed.reach[own] - 0.5) / stride).clip(-1, last)
    low, wide = low.astype(np.int64), np.maximum(high - low + 1, 0).astype(np.int64)
    counts = wide.prod(axis=1)
    index = np.repeat(np.arange(len(own)), counts)
    within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(within, wide[index, 0])
    return own[index], row + low[index, 1], column + low[index, 0]


def _transmittance(rays: NDArray[np.int64], alpha: Array) -> Array:
    """What is left of a ray before each of what it meets, of ``rays`` in order."""
    absorbed = np.log1p(-np.minimum(alpha, 0.9999))
    total = np.cumsum(absorbed) - absorbed
    starts = np.flatnonzero(np.diff(rays, prepend=-1))
    lengths = np.diff(np.append(starts, len(rays)))
    return np.exp(total - np.repeat(total[starts], lengths))
