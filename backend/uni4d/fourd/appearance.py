"""How the splats' colours change over the clip: lamps that light up, shades that wander as things turn.

With the splats in place, a visible splat i differs in frame t from the frame's colour by x_ti [3]. Two kinds
of change are sought, the simpler one first:

- that of a part p(i) as a whole (:mod:`uni4d.fourd.parts`), m_tp, on which its visible splats agree (paint
  that changes, a shade that lights up). What is not seen of the part changes with it;
- that of each splat by itself in what is left, where it is of low rank over time:  x_ti ≈ Σ_r w_tr b_ri. What
  is not seen changes as the splats near it do that have its colour, and far from them as its part agrees on.

Both are alternating least squares over what is visible. A change that is of neither kind is no light but a
misfit, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from uni4d.fourd.color_change import ColorChange
from uni4d.fourd.differences import differences
from uni4d.fourd.layers import Layer
from uni4d.fourd.photometry import Lens
from uni4d.fourd.sight import slack_of
from uni4d.fourd.tints import SPOKESMEN, Palette, alike
from uni4d.splatting.binding import Carried

__all__ = ["color_change"]

_RANK = 2
_PARTS_RANK = 3
"""A colour that gives way to another takes a bent path, for light adds up before it is encoded."""
_ROUNDS = 12
_RIDGE = 0.5
"""Observations of no change that each splat starts with."""
_PARTS_RIDGE = 1e-3
"""The same of a part, of which many splats speak."""
_LEAST = 0.03
"""Root mean square of the changes below which colours are taken as constant …"""
_EXPLAINED = 0.8
"""… and the share of their square that they must explain."""
_NEIGHBOURS = 12
_COLOR_UNIT = 4.0
"""Radii that a difference of colour of one counts as, when a splat looks for others like it."""
_REACH = 0.5
"""Radii over which a splat that is not seen changes as the nearest that are: what they show of a shade or
of a misfit ends somewhere."""
_SEEN = 3.0
"""Frames in which a splat must be visible to speak for itself."""


@torch.no_grad()
def color_change(
    layers: Sequence[Layer], placed: Sequence[Carried], radius: float, palette: Palette
) -> ColorChange | None:
    """The change that the cameras of ``layers`` (of one level) see, the splats, of ``palette``, being
    ``placed`` so in each frame; ``None`` where colours keep constant, or where what is different is no change
    of colour."""
    changes, seen = _observed(layers, placed, radius)
    found = []
    whole = _of_parts(changes, seen, palette)
    if whole is not None:
        changes = changes - torch.einsum("tr,rnc->tnc", whole.weights, whole.basis)
        found.append(whole)
    splats = layers[0].splats
    places = torch.cat([splats.means / radius, _COLOR_UNIT * splats.colors], dim=1)
    own = _of_splats(changes, seen, places, palette.parts)
    if own is not None:
        found.append(own)
    if not found:
        return None
    return ColorChange(
        torch.cat([change.basis for change in found]), torch.cat([change.weights for change in found], dim=1)
    )


def _of_parts(changes: Tensor, seen: Tensor, palette: Palette) -> ColorChange | None:
    """Of those parts whose splats agree, in all frames together."""
    frames = len(seen)
    tints, spoke = torch.zeros(frames, palette.count, 4), torch.zeros(frames, palette.count)
    for part in range(palette.count):
        own = (palette.parts == part).nonzero()[:, 0]
        course, before, after = torch.zeros(frames, 4), [], []
        for frame in range(frames):
            visible = own[seen[frame, own] > 0]
            if len(visible) < SPOKESMEN:
                continue
            differs = changes[frame, visible]
            course[frame] = palette.tint(visible, differs)
            before.append(differs)
            after.append(differs - course[frame, :3] - course[frame, 3] * palette.patterns[visible])
            spoke[frame, part] = 1.0
        if before and _changes(torch.cat(before), torch.cat(after)):
            tints[:, part] = course
        else:
            spoke[:, part] = 0.0
    if not bool(spoke.any()):
        return None
    weights, basis = _factors(tints, spoke, min(_PARTS_RANK, frames), _PARTS_RIDGE)
    return ColorChange(torch.stack([palette.added(tint) for tint in basis]), weights)


def _changes(before: Tensor, after: Tensor) -> bool:
    """Whether what is taken away from ``before`` ``[V, 3]`` in ``after`` is much, and most of it."""
    return float((before - after).square().mean().sqrt()) >= _LEAST and alike(before, after)


def _of_splats(changes: Tensor, seen: Tensor, places: Tensor, parts: Tensor) -> ColorChange | None:
    """Of low rank; splats at ``places`` ``[N, 6]``, of ``parts`` ``[N]``."""
    total = float((changes.square() * seen[..., None]).sum())
    if total < _LEAST**2 * 3.0 * float(seen.sum()):
        return None
    weights, basis = _factors(changes, seen, min(_RANK, len(seen)), _RIDGE)
    left = changes - torch.einsum("tr,rnc->tnc", weights, basis)
    if float((left.square() * seen[..., None]).sum()) > (1.0 - _EXPLAINED) * total:
        return None
    return ColorChange(_spread(basis, seen.sum(0), places, parts), weights)


def _observed(layers: Sequence[Layer], placed: Sequence[Carried], radius: float) -> tuple[Tensor, Tensor]:
    """Changes ``[T, N, 3]``, and in how many cameras each was seen ``[T, N]``."""
    count, frames = len(layers[0].splats), len(placed)
    changes, seen = torch.zeros(frames, count, 3), torch.zeros(frames, count)
    slack = slack_of(layers[0].splats, radius)
    for layer in layers:
        lens = Lens(layer.targets.camera)
        for frame, (means, quaternions) in enumerate(placed):
            rendered = layer.draw(means, quaternions)
            index, colors = differences(layer, lens, frame, rendered, means, slack)
            changes[frame, index] += colors
            seen[frame, index] += 1.0
    return changes / seen.clamp(min=1.0)[..., None], seen


def _factors(changes: Tensor, seen: Tensor, rank: int, held: float) -> tuple[Tensor, Tensor]:
    """Weights ``[T, R]`` of length 1 and basis ``[R, N, C]``, of changes ``[T, N, C]``, by alternating least
    squares; ``held``: observations of no change that each of the ``N`` starts with."""
    frames, count = seen.shape
    filled = (changes * (seen > 0)[..., None]).reshape(frames, -1)
    weights = torch.linalg.svd(filled @ filled.T)[0][:, :rank]
    basis = torch.zeros(rank, count, changes.shape[2])
    ridge = held / frames * torch.eye(rank)
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


def _spread(basis: Tensor, seen: Tensor, places: Tensor, parts: Tensor) -> Tensor:
    """``basis`` ``[R, N, 3]``, each splat averaged with those like it (``places`` ``[N, 6]``) that were
    ``seen`` ``[N]`` often enough; far from all of these, what its part agrees on."""
    known = (seen >= _SEEN).nonzero()[:, 0]
    if len(known) == 0:
        return basis
    near = min(_NEIGHBOURS, len(known))
    distances, found = cKDTree(places[known].numpy()).query(places.numpy(), k=near)
    distances, found = np.reshape(distances, (-1, near)), np.reshape(found, (-1, near))
    shares = torch.from_numpy(1.0 / (distances + 0.02)).float() * seen[known][torch.from_numpy(found)]
    shares = shares / shares.sum(1, keepdim=True)
    told = torch.einsum("nk,rnkc->rnc", shares, basis[:, known][:, torch.from_numpy(found)])
    usual = told.clone()
    for part in sorted(set(parts[known].tolist())):
        own = basis[:, known[parts[known] == part]]
        middle = own.median(dim=1, keepdim=True).values
        if alike(own.flatten(0, 1), (own - middle).flatten(0, 1)):
            usual[:, parts == part] = middle
    trusted = torch.from_numpy(np.exp(-((distances[:, :1] / _REACH) ** 2))).float()
    return trusted * told + (1.0 - trusted) * usual
