"""Where light comes from, told by an object whose colours are known: an even light, and a few distant lamps.

A matt surface of albedo a and normal n shows

    c = a · E(n),   E(n) = e + Σ_k v_k s_k max(n · l_k, 0),

in linear light, v_k in [0, 1] being what the object's own shadow leaves. Lamps are found one after another:
of many directions that in which a lamp explains most, its shadow included, for as long as one more explains
much. Errors count by their size (reweighted least squares), for gloss and the colours of neighbours are in
what is seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from uni4d.fourd.rotations import exponential
from uni4d.splatting.projection import rotation_matrices

__all__ = ["Illumination", "Lit", "illumination_of"]

_DIRECTIONS = 400
_TRIED = 8
"""Directions whose shadows are cast."""
_REFINED_DEGREES = (8.0, 4.0, 2.0)
_AROUND = 6
_MOST_LAMPS = 3
_GAIN = 0.1
"""Share of the error that one more lamp must explain."""
_OBSERVATIONS = 3000
_DARKEST = 0.05
"""Albedo below which a surface says little about its light."""
_ROUNDS = 6
_RIDGE = 1e-3
"""For lamps that reach nothing; small beside one observation."""
_SURE = 0.02
"""Error of the light from which on errors count by their size, not by their square."""

Lit = Callable[[Tensor], Tensor]
"""Unit direction ``[3]`` → ``[N]`` in [0, 1], what gets to each surface."""


@dataclass(frozen=True)
class Illumination:
    """An even light and ``L`` distant lamps. Linear light; 1 shows a surface in its own colour."""

    even: Tensor
    """``[3]``"""
    directions: Tensor
    """``[L, 3]`` unit vectors to the lamps, in the world."""
    strengths: Tensor
    """``[L, 3]``"""

    def at(self, normals: Tensor, lit: Lit) -> Tensor:
        """``[N, 3]``: what surfaces of unit ``normals`` ``[N, 3]`` get."""
        total = self.even.expand(len(normals), 3)
        for direction, strength in zip(self.directions, self.strengths, strict=True):
            total = total + (_received(normals, direction) * lit(direction))[:, None] * strength
        return total


def illumination_of(colors: Tensor, albedo: Tensor, normals: Tensor, lit: Lit) -> Illumination | None:
    """The light in which surfaces of ``albedo`` ``[N, 3]`` and ``normals`` ``[N, 3]`` look like ``colors``
    ``[N, 3]``, all linear; ``None`` where it is even, or where there is too little to tell."""
    told = (albedo.amax(1) > _DARKEST).nonzero()[:, 0]
    told = told[:: -(-len(told) // _OBSERVATIONS) or 1]
    if len(told) < 10 * _MOST_LAMPS:
        return None
    own, seen = albedo[told], colors[told]
    brightness = own.norm(dim=1)
    shades = _Shades((seen * own).sum(1) / brightness.square(), brightness)
    columns = torch.ones(len(told), 1)
    error = float(shades.error(columns[None])[0])
    lamps: list[Tensor] = []
    while len(lamps) < _MOST_LAMPS:
        better, lamp, column = _next_lamp(shades, columns, normals[told], lambda d: lit(d)[told])
        if better > (1.0 - _GAIN) * error:
            break
        columns, error = torch.cat([columns, column[:, None]], dim=1), better
        lamps.append(lamp)
    if not lamps:
        return None
    found = torch.stack([_strengths(columns * own[:, c, None], seen[:, c]) for c in range(3)], dim=1)
    return Illumination(found[0], torch.stack(lamps), found[1:])


class _Shades:
    """What the surfaces say that they get."""

    def __init__(self, values: Tensor, weights: Tensor) -> None:
        """``values``, ``weights``: ``[N]``"""
        self._values, self._weights = values, weights

    def error(self, columns: Tensor) -> Tensor:
        """``[D]``: weighted sums of absolute errors of the best blends of ``columns`` ``[D, N, K]``; infinite
        where a blend takes light away."""
        columns = columns.double()
        values = self._values[None, :, None].double()
        weights = self._weights.double().expand(len(columns), -1)
        ridge = _RIDGE * torch.eye(columns.shape[2], dtype=torch.float64)
        sure = weights
        for _ in range(_ROUNDS):
            weighted = columns * sure[..., None]
            grams = weighted.transpose(1, 2) @ columns + ridge
            blend = torch.linalg.solve(grams, weighted.transpose(1, 2) @ values)
            errors = (columns @ blend - values).abs()[..., 0]
            sure = weights / errors.clamp(min=_SURE)
        total = (weights * errors).sum(1)
        return torch.where((blend[..., 0] >= 0.0).all(1), total, torch.inf)


def _next_lamp(shades: _Shades, columns: Tensor, normals: Tensor, lit: Lit) -> tuple[float, Tensor, Tensor]:
    """The error with one more lamp, the unit direction to it, and what the surfaces get of it ``[N]``."""
    known = columns.expand(_DIRECTIONS, -1, -1)
    directions = _sphere(_DIRECTIONS)
    received = torch.stack([_received(normals, direction) for direction in directions])
    errors = shades.error(torch.cat([known, received[..., None]], dim=2))
    best = _best(shades, columns, normals, lit, directions[errors.topk(_TRIED, largest=False).indices])
    for degrees in _REFINED_DEGREES:
        best = min(best, _best(shades, columns, normals, lit, _around(best[1], degrees)), key=lambda b: b[0])
    return best


def _best(
    shades: _Shades, columns: Tensor, normals: Tensor, lit: Lit, directions: Tensor
) -> tuple[float, Tensor, Tensor]:
    """As :func:`_next_lamp`, of some ``directions`` ``[D, 3]``, with their shadows."""
    received = torch.stack([_received(normals, direction) * lit(direction) for direction in directions])
    known = columns.expand(len(directions), -1, -1)
    errors = shades.error(torch.cat([known, received[..., None]], dim=2))
    index = int(errors.argmin())
    return float(errors[index]), directions[index], received[index]


def _strengths(columns: Tensor, values: Tensor) -> Tensor:
    """``[K]``, none below 0: the blend of ``columns`` ``[N, K]`` with the least absolute errors."""
    sure = torch.ones(len(values))
    for _ in range(_ROUNDS):
        blend = torch.from_numpy(nnls((columns * sure[:, None]).numpy(), (values * sure).numpy())[0]).float()
        sure = (columns @ blend - values).abs().clamp(min=_SURE).rsqrt()
    return blend


def _received(normals: Tensor, direction: Tensor) -> Tensor:
    """``[N]`` (Lambert)"""
    return (normals @ direction).clamp(min=0.0)


def _sphere(count: int) -> Tensor:
    """``[count, 3]`` unit vectors on a spiral, evenly."""
    steps = np.arange(count) + 0.5
    heights, turns = 1.0 - 2.0 * steps / count, np.pi * (1.0 + 5.0**0.5) * steps
    rings = np.sqrt(1.0 - heights**2)
    return torch.from_numpy(np.stack([rings * np.cos(turns), rings * np.sin(turns), heights], axis=1)).float()


def _around(direction: Tensor, degrees: float) -> Tensor:
    """``[D, 3]``: a ring of directions."""
    helper = torch.eye(3)[int(direction.abs().argmin())]
    first = torch.linalg.cross(direction, helper)
    first = first / first.norm()
    second = torch.linalg.cross(direction, first)
    turns = torch.arange(_AROUND) * (2.0 * np.pi / _AROUND)
    axes = turns.cos()[:, None] * first + turns.sin()[:, None] * second
    return rotation_matrices(exponential(np.radians(degrees) * axes)) @ direction
