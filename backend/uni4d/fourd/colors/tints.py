"""The colours as they were last seen: while the clip is followed, each part takes on what its splats show.

A lamp that lights up does so within some frames, and all of its shade alike; paint that changes gives way to
another colour, patterns and all. So where the splats i of a part p, of colours c_i at rest, differ by x_i,

    x_i ≈ m_p + s_p (c_i − c̄_p),

and what its visible splats do not agree on is for the motion to explain. Where they agree on nothing, the
tint (m, s) stays as it was: a part that has been lost is no lamp.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["SPOKESMEN", "Lighting", "Palette", "Tints", "alike"]

SPOKESMEN = 24
"""Splats of a part that must be seen to speak for it."""
_LEAST = 0.02
"""Difference of a colour below which nothing is told apart from none."""
_AGREED = 0.6
"""Share of the differences' lengths that may be left once what a part agrees on is taken away."""
_HARMED = 0.1
"""Share of the lengths by which others may grow: what half of a part does not join in is not the part's."""
_SPREAD = 0.03
"""Deviation of the colours at rest that is no pattern: below it, how a pattern fades is not to be seen."""


class Lighting(Protocol):
    """What is added to the splats' colours over the clip."""

    def at(self, frame: int) -> Tensor | None:
        """``[N, 3]``, or nothing."""
        ...


class Palette:
    """The splats' colours at rest, part by part."""

    def __init__(self, colors: Tensor, parts: Tensor) -> None:
        """``colors`` ``[N, 3]``; ``parts`` ``[N]``: see :func:`uni4d.fourd.colors.parts.parts_of`."""
        self.parts, self.count = parts, int(parts.max()) + 1
        means = torch.stack([colors[parts == part].mean(0) for part in range(self.count)])
        self.patterns = colors - means[parts]
        """``[N, 3]`` from the mean colours of their parts."""

    def added(self, tints: Tensor) -> Tensor:
        """``[N, 3]`` for tints ``[G, 4]``: m, then s."""
        own = tints[self.parts]
        return own[:, :3] + own[:, 3:] * self.patterns

    def tint(self, splats: Tensor, differences: Tensor) -> Tensor:
        """``[4]`` of the part that ``splats`` ``[V]`` belong to, which differ by ``[V, 3]``."""
        patterns = self.patterns[splats]
        middle, usual = differences.median(dim=0).values, patterns.median(dim=0).values
        apart = patterns - usual
        along = ((differences - middle) * apart).sum()
        slope = (along / (apart.square().sum() + len(apart) * _SPREAD**2)).clamp(-1.0, 1.0)
        return torch.cat([(differences - slope * patterns).median(dim=0).values, slope[None]])


class Tints:
    """One tint for each part and frame."""

    def __init__(self, palette: Palette, frames: int) -> None:
        self._palette = palette
        self.table = torch.zeros(frames, palette.count, 4)
        """``[T, G, 4]``"""

    @property
    def plain(self) -> bool:
        """Whether no part has changed its colour."""
        return not bool(self.table.any())

    def at(self, frame: int) -> Tensor | None:
        tints = self.table[frame]
        return self._palette.added(tints) if bool(tints.any()) else None

    def go_on(self, frame: int) -> None:
        """``frame`` starts with the tints of the one before."""
        if frame > 0:
            self.table[frame] = self.table[frame - 1]

    def learn(self, frame: int, splats: Tensor, differences: Tensor) -> bool:
        """Add what ``splats`` ``[V]`` agree on to differ by from their present colours, ``differences``
        ``[V, 3]``, part by part; whether they do."""
        found = False
        parts = self._palette.parts[splats]
        for part in range(self._palette.count):
            own = parts == part
            if int(own.sum()) < SPOKESMEN:
                continue
            index, differs = splats[own], differences[own]
            tint = self._palette.tint(index, differs)
            if float(tint.abs().max()) < _LEAST:
                continue
            patterns = self._palette.patterns[index]
            left = differs - (tint[:3] + tint[3] * patterns)
            known = self.table[frame, part]
            if alike(differs + known[:3] + known[3] * patterns, left):
                self.table[frame, part] += tint
                found = True
        return found


def alike(before: Tensor, after: Tensor) -> bool:
    """Whether differences ``before`` ``[V, 3]`` had in common what is taken away in ``after``: little is
    left, and hardly any of them was made larger by it."""
    most, left = before.norm(dim=1), after.norm(dim=1)
    total = float(most.sum())
    return float(left.sum()) < _AGREED * total and float((left - most).clamp(min=0.0).sum()) < _HARMED * total
