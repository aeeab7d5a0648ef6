"""How the splats' colours change over the clip: lamps that light up, shades that wander as things turn.

With the splats in place, a visible splat i differs in frame t from the frame's colour by x_ti [3]. Two kinds
of change are sought, the simpler one first:

- that of a part p(i) as a whole (:mod:`uni4d.fourd.colors.parts`), m_tp, on which its visible splats agree
  (paint that changes, a shade that lights up). What is not seen of the part changes with it;
- that of each splat by itself in what is left, where it is of low rank over time,  x_ti ≈ Σ_r w_tr b_ri,
  by alternating least squares over what is visible. What is not seen changes as the splats near it do that
  have its colour, and far from them as its part agrees on. It is sought only where the parts leave much:
  what splats cannot show of the object at rest would pass for it.

A change that is of neither kind is no light but a misfit, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.colors.differences import differences
from uni4d.fourd.colors.tints import SPOKESMEN, Palette, alike
from uni4d.fourd.layers import Layer
from uni4d.fourd.photometry import Lens, slack_of
from uni4d.splatting.binding import Carried

__all__ = ["color_change"]

_RANK = 2
_PARTS_RANK, _PARTS_LEFT = 6, 3e-4
"""Most courses that are told apart, and the share of their squares that may be left: what gives way to
another takes a bent path, for light adds up before it is encoded, and each lamp has its own."""
_ROUNDS = 12
_RIDGE = 0.5
"""Observations of no change that each splat starts with."""
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
    whole, total = _of_parts(changes, seen, palette), _squares(changes, seen)
    if whole is not None:
        changes = changes - torch.einsum("tr,rnc->tnc", whole.weights, whole.basis)
        if _squares(changes, seen) < (1.0 - _EXPLAINED) * total:
            return whole
    splats = layers[0].splats
    places = torch.cat([splats.means / radius, _COLOR_UNIT * splats.colors], dim=1)
    own = _of_splats(changes, seen, places, palette.parts)
    if whole is None or own is None:
        return whole or own
    return ColorChange(torch.cat([whole.basis, own.basis]), torch.cat([whole.weights, own.weights], dim=1))


def _squares(changes: Tensor, seen: Tensor) -> float:
    return float((changes.square() * seen[..., None]).sum())


def _of_parts(changes: Tensor, seen: Tensor, palette: Palette) -> ColorChange | None:
    """Of those parts whose splats agree, in all frames together."""
    courses = torch.zeros(len(seen), palette.count, 4)
    for part in range(palette.count):
        own = (palette.parts == part).nonzero()[:, 0]
        told, before, after = [], [], []
        for frame in range(len(seen)):
            visible = own[seen[frame, own] > 0]
            if len(visible) < SPOKESMEN:
                continue
            differs = changes[frame, visible]
            tint = palette.tint(visible, differs)
            courses[frame, part] = tint
            told.append(frame)
            before.append(differs)
            after.append(differs - tint[:3] - tint[3] * palette.patterns[visible])
        if told and _changes(torch.cat(before), torch.cat(after)):
            courses[:, part] = _filled(courses[:, part], told)
        else:
            courses[:, part] = 0.0
    if not bool(courses.any()):
        return None
    weights, sizes, basis = torch.linalg.svd(courses.flatten(1), full_matrices=False)
    energy = sizes.square().cumsum(0) / sizes.square().sum()
    rank = min(int((energy < 1.0 - _PARTS_LEFT).sum()) + 1, _PARTS_RANK)
    tints = (sizes[:rank, None] * basis[:rank]).reshape(rank, palette.count, 4)
    return ColorChange(torch.stack([palette.added(tint) for tint in tints]), weights[:, :rank].contiguous())


def _filled(course: Tensor, told: list[int]) -> Tensor:
    """``[T, 4]``, straight between the frames that were ``told``."""
    moments, values = np.arange(len(course)), course.numpy()
    columns = [np.interp(moments, told, values[told, column]) for column in range(values.shape[1])]
    return torch.from_numpy(np.stack(columns, axis=1)).float()


def _changes(before: Tensor, after: Tensor) -> bool:
    """Whether what is taken away from ``before`` ``[V, 3]`` in ``after`` is much, and most of it."""
    return float((before - after).square().mean().sqrt()) >= _LEAST and alike(before, after)


def _of_splats(changes: Tensor, seen: Tensor, places: Tensor, parts: Tensor) -> ColorChange | None:
    """Of low rank; splats at ``places`` ``[N, 6]``, of ``parts`` ``[N]``."""
    total = _squares(changes, seen)
    if total < _LEAST**2 * 3.0 * float(seen.sum()):
        return None
    weights, basis = _factors(changes, seen)
    left = changes - torch.einsum("tr,rnc->tnc", weights, basis)
    times = (seen > 0).sum(0).float()
    free = (times - len(basis)).clamp(min=0.0).sum() / times.sum()  # noise loses the rest to the fit
    if _squares(left, seen) > (1.0 - _EXPLAINED) * float(free) * total:
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
