"""A change of the splats' colours over time, of low rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uni4d_shared.types import ColorMotion

__all__ = ["ColorChange"]

_LEFT = 1e-3
"""Share of the squares of what is added that may be left out."""


@dataclass(frozen=True)
class ColorChange:
    """What is added to the splats' colours; the tensors' twin of :class:`~uni4d_shared.types.ColorMotion`."""

    basis: Tensor
    """``[R, N, 3]`` sRGB differences."""
    weights: Tensor
    """``[T, R]``"""
    shades: int = 0
    """How many of the last of them are light and shade as things turn."""

    @classmethod
    def nearest(cls, added: Tensor) -> ColorChange:
        """Of the lowest rank that shows hardly less of ``added`` ``[T, N, 3]`` (Eckart & Young 1936)."""
        table = added.flatten(1)
        vectors, squares, _ = torch.linalg.svd(table @ table.T)
        left = squares.sum() - squares.cumsum(0)
        rank = min(int((left > _LEFT * squares.sum()).sum()) + 1, len(added))
        weights = vectors[:, :rank].contiguous()
        return cls((weights.T @ table).reshape(rank, *added.shape[1:]), weights)

    def at(self, frame: int) -> Tensor:
        """``[N, 3]``"""
        return torch.einsum("r,rnc->nc", self.weights[frame], self.basis)

    def exported(self) -> ColorMotion:
        return ColorMotion(self.basis.numpy(), self.weights.numpy(), self.shades)
