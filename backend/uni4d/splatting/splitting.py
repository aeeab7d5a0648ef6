"""One splat becomes two where one is not enough.

A splat stands for a cell of the surface (:mod:`uni4d.splatting.surface`). Cut across its longer side, the
cell leaves two of half the length, and each child is to its own cell what the parent was to the whole: half
as long, and moved by a quarter of the cell's length.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import NamedTuple

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from uni4d.splatting.binding import BoundSplats, triangle_frames
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.projection import rotation_matrices

__all__ = ["Divided", "split"]

_AWAY = 0.44
"""From the parent's centre to a child's, in standard deviations of the parent: √12 / 4 of those of a cell, of
which a splat has 1.95."""
_POINTS_PER_SPLAT = 8
"""Of the surface, among which each child looks for its triangle; but no more than …"""
_MOST_POINTS = 400_000
_NORMAL_UNIT = 2.0
"""Normals at right angles are as far apart as points at √2 times this, in units of the points' spacing: of
two sheets close to each other a child stays on that of its parent."""


class Divided(NamedTuple):
    """Splats after a split."""

    bound: BoundSplats
    parents: Tensor  # [N'] int64: what each was before


def split(bound: BoundSplats, which: Tensor, seed: int = 0) -> Divided:
    """Replace the splats at ``which`` ``[K]`` (each once) by two children each, bound to the surface where
    they lie; all in the order of their triangles. Deterministic for a seed."""
    splats = bound.splats.detached()
    lone = torch.ones(len(bound), dtype=torch.bool)
    lone[which] = False
    first, second = _children(splats.select(which))
    normals = triangle_frames(bound.vertices[bound.corners[which]])[..., 2]
    faces, places = _surface(bound, torch.cat([first.means, second.means]), normals.repeat(2, 1), seed)
    joined = SplatParameters(
        **{
            item.name: torch.cat([getattr(part, item.name) for part in (splats.select(lone), first, second)])
            for item in fields(SplatParameters)
        }
    )
    face_index = torch.cat([bound.face_index[lone], faces])
    barycentric = torch.cat([bound.barycentric[lone], places])
    parents = torch.cat([lone.nonzero()[:, 0], which, which])
    order = torch.argsort(face_index, stable=True)
    divided = replace(
        bound,
        splats=joined.select(order),
        face_index=face_index[order],
        barycentric=barycentric[order],
    )
    return Divided(divided, parents[order])


def _children(parents: SplatParameters) -> tuple[SplatParameters, SplatParameters]:
    rows = torch.arange(len(parents))
    longest = parents.log_scales.argmax(dim=1)
    axes = rotation_matrices(parents.quaternions)[rows, :, longest]
    away = _AWAY * parents.scales[rows, longest][:, None] * axes
    sizes = parents.log_scales.clone()
    sizes[rows, longest] -= torch.log(torch.tensor(2.0))
    first, second = (
        parents.replaced(means=parents.means + sign * away, log_scales=sizes) for sign in (-1, 1)
    )
    return first, second


def _surface(bound: BoundSplats, means: Tensor, normals: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Triangle ``[M]`` and barycentric place ``[M, 3]`` near to each of ``means`` ``[M, 3]``, on surface that
    faces where ``normals`` ``[M, 3]`` point."""
    count = min(_POINTS_PER_SPLAT * len(bound), _MOST_POINTS)
    corners = bound.vertices[bound.faces]
    edges = corners[:, 1:] - corners[:, :1]
    areas = 0.5 * torch.linalg.cross(edges[:, 0], edges[:, 1]).norm(dim=1).double()
    total = areas.cumsum(0)
    generator = torch.Generator().manual_seed(seed)
    draws = (torch.arange(count) + torch.rand(count, generator=generator).double()) / count * total[-1]
    owners = torch.searchsorted(total, draws, right=True).clamp(max=int(areas.nonzero()[-1]))
    root, share = torch.rand(2, count, generator=generator)
    weights = torch.stack([1 - root.sqrt(), root.sqrt() * (1 - share), root.sqrt() * share], dim=1)
    points = (weights[:, :, None] * corners[owners]).sum(1)
    unit = _NORMAL_UNIT * float((total[-1] / count).sqrt())
    facing = triangle_frames(corners)[..., 2]
    tree = cKDTree(torch.cat([points, unit * facing[owners]], dim=1).numpy())
    nearest = torch.from_numpy(tree.query(torch.cat([means, unit * normals], dim=1).numpy())[1])
    faces = owners[nearest]
    return faces, _within(corners[faces], means)


def _within(corners: Tensor, points: Tensor) -> Tensor:
    """Barycentric places ``[M, 3]`` in triangles ``[M, 3, 3]``: of ``points`` seen along the normal, those
    outside moved in."""
    first, second, to = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    ff, fs, ss = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    tf, ts = (to * first).sum(1), (to * second).sum(1)
    determinant = (ff * ss - fs * fs).clamp(min=1e-30)
    v, w = (ss * tf - fs * ts) / determinant, (ff * ts - fs * tf) / determinant
    inside = torch.stack([1 - v - w, v, w], dim=1).clamp(0.0, 1.0)
    return inside / inside.sum(dim=1, keepdim=True)
