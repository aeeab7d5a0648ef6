"""A change of the splats' colours over time, of low rank."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from uni4d_shared.types import ColorMotion

__all__ = ["ColorChange"]


@dataclass(frozen=True)
class ColorChange:
    """What is added to the splats' colours; the tensors' twin of :class:`~uni4d_shared.types.ColorMotion`."""

    basis: Tensor
    """``[R, N, 3]`` sRGB differences."""
    weights: Tensor
    """``[T, R]``"""

    def at(self, frame: int) -> Tensor:
        """``[N, 3]``"""
        return torch.einsum("r,rnc->nc", self.weights[frame], self.basis)

    def exported(self) -> ColorMotion:
        return ColorMotion(self.basis.numpy(), self.weights.numpy())
