"""How the splats' colours change over the clip: lamps that light up, shades that wander as things turn.

With the splats in place, a visible splat i differs in frame t from the frame's colour by x_ti [3]. The
changes are sought as

    x_ti ≈ Σ_r w_tr b_ri,      few r,

by alternating least squares over what is visible. What is not seen changes as the splats near it do that have
its colour. A change that is not of so low a rank is no light but a misfit, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.color_change import ColorChange
from uni4d.fourd.layers import Layer
from uni4d.fourd.photometry import Lens
from uni4d.fourd.sight import slack_of
from uni4d.splatting.binding import Carried

__all__ = ["color_change"]

_RANK = 2
_ROUNDS = 12
_RIDGE = 0.5
"""Observations of no change that each splat starts with."""
_BLUR = 3
"""Pixels over which the difference is averaged: a splat a pixel off is no change of its colour."""
_SOLID = 0.98
"""Alpha from which a pixel shows nothing but the object."""
_LEAST = 0.03
"""Root mean square of the changes below which colours are taken as constant …"""
_EXPLAINED = 0.8
"""… and the share of their square that they must explain."""
_NEIGHBOURS = 12
_COLOR_UNIT = 4.0
"""Radii that a difference of colour of one counts as, when a splat looks for others like it."""
_SEEN = 3.0
"""Frames in which a splat must be visible to speak for itself."""


@torch.no_grad()
def color_change(layers: Sequence[Layer], placed: Sequence[Carried], radius: float) -> ColorChange | None:
    """The change that the cameras of ``layers`` (of one level) see, the splats being ``placed`` so in each
    frame; ``None`` where colours keep constant, or where what is different is no change of colour."""
    changes, seen = _observed(layers, placed, radius)
    total = float((changes.square() * seen[..., None]).sum())
    if total < _LEAST**2 * 3.0 * float(seen.sum()):
        return None
    weights, basis = _factors(changes, seen)
    left = changes - torch.einsum("tr,rnc->tnc", weights, basis)
    if float((left.square() * seen[..., None]).sum()) > (1.0 - _EXPLAINED) * total:
        return None
    splats = layers[0].splats
    places = torch.cat([splats.means / radius, _COLOR_UNIT * splats.colors], dim=1)
    return ColorChange(_spread(basis, seen.sum(0), places), weights)


def _observed(layers: Sequence[Layer], placed: Sequence[Carried], radius: float) -> tuple[Tensor, Tensor]:
    """Changes ``[T, N, 3]``, and in how many cameras each was seen ``[T, N]``."""
    count, frames = len(layers[0].splats), len(placed)
    changes, seen = torch.zeros(frames, count, 3), torch.zeros(frames, count)
    slack = slack_of(layers[0].splats, radius)
    for layer in layers:
        lens = Lens(layer.targets.camera)
        for frame, (means, quaternions) in enumerate(placed):
            rendered = layer.draw(means, quaternions)
            solid = ((rendered.alpha > _SOLID) & (layer.targets.masks[frame] > _SOLID)).float()
            pixels, index = lens.visible(rendered, means, slack)
            column, row = pixels[index].long().unbind(1)
            difference = (layer.targets.images[frame] - rendered.image) * solid[..., None]
            planes = torch.cat([difference, solid[..., None]], dim=-1).permute(2, 0, 1)[None]
            mean = functional.avg_pool2d(planes, _BLUR, 1, _BLUR // 2)[0]
            share = mean[3, row, column]
            kept = index[share > 0.5]
            changes[frame, kept] += (mean[:3, row, column] / share.clamp(min=1e-6)).T[share > 0.5]
            seen[frame, kept] += 1.0
    return changes / seen.clamp(min=1.0)[..., None], seen


def _factors(changes: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Weights ``[T, R]`` of length 1 and basis ``[R, N, 3]``, by alternating least squares."""
    frames, count = seen.shape
    rank = min(_RANK, frames)
    filled = (changes * (seen > 0)[..., None]).reshape(frames, -1)
    weights = torch.linalg.svd(filled @ filled.T)[0][:, :rank]
    basis = torch.zeros(rank, count, 3)
    ridge = _RIDGE / frames * torch.eye(rank)
    for _ in range(_ROUNDS):
        grams = torch.einsum("tn,tr,ts->nrs", seen, weights, weights) + ridge
        sides = torch.einsum("tn,tr,tnc->nrc", seen, weights, changes)
        basis = torch.linalg.solve(grams, sides).permute(1, 0, 2)
        grams = torch.einsum("tn,rnc,snc->trs", seen, basis, basis) + 1e-9 * torch.eye(rank)
        sides = torch.einsum("tn,rnc,tnc->tr", seen, basis, changes)
        weights = torch.linalg.solve(grams, sides[..., None])[..., 0]
        length = weights.norm(dim=0).clamp(min=1e-9)
        weights, basis = weights / length, basis * length[:, None, None]
    return weights, basis


def _spread(basis: Tensor, seen: Tensor, places: Tensor) -> Tensor:
    """``basis`` ``[R, N, 3]``, each splat averaged with those like it (``places`` ``[N, 6]``) that were
    ``seen`` ``[N]`` often enough."""
    known = (seen >= _SEEN).nonzero()[:, 0]
    if len(known) == 0:
        return basis
    near = min(_NEIGHBOURS, len(known))
    distances, found = cKDTree(places[known].numpy()).query(places.numpy(), k=near)
    distances, found = np.reshape(distances, (-1, near)), np.reshape(found, (-1, near))
    shares = torch.from_numpy(1.0 / (distances + 0.02)).float() * seen[known][torch.from_numpy(found)]
    shares = shares / shares.sum(1, keepdim=True)
    return torch.einsum("nk,rnkc->rnc", shares, basis[:, known][:, torch.from_numpy(found)])
