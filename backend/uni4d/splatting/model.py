"""Splats as free parameters: what an optimiser may move, in the terms of the 3DGS ecosystem."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from uni4d.splatting import harmonics
from uni4d_shared.types import Splats

__all__ = ["SplatParameters"]

_OPACITY_RANGE = (0.005, 0.995)  # keeps the logits finite


@dataclass(frozen=True)
class SplatParameters:
    """``N`` Gaussians before activation; every value is a valid splat, so gradient steps need no limits."""

    means: Tensor
    """``[N, 3]`` metres."""
    quaternions: Tensor
    """``[N, 4]`` wxyz of any non-zero length."""
    log_scales: Tensor
    """``[N, 3]`` natural logarithm of the standard deviations in metres."""
    opacity_logits: Tensor
    """``[N]``"""
    coefficients: Tensor
    """``[N, K, 3]`` spherical harmonics of the sRGB colour; K = 1 does not depend on the view."""

    @classmethod
    def from_activated(
        cls, means: Tensor, quaternions: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor
    ) -> SplatParameters:
        """From linear scales ``[N, 3]`` > 0, opacities ``[N]`` in [0, 1] and sRGB colours ``[N, 3]``."""
        return cls(
            means=means,
            quaternions=quaternions,
            log_scales=scales.log(),
            opacity_logits=opacities.clamp(*_OPACITY_RANGE).logit(),
            coefficients=harmonics.from_colors(colors),
        )

    def __len__(self) -> int:
        return len(self.means)

    @property
    def scales(self) -> Tensor:
        """``[N, 3]`` metres."""
        return self.log_scales.exp()

    @property
    def opacities(self) -> Tensor:
        """``[N]`` in (0, 1)."""
        return self.opacity_logits.sigmoid()

    @property
    def colors(self) -> Tensor:
        """``[N, 3]`` the view-independent part of the colour, at least 0."""
        up = torch.zeros_like(self.means)
        return harmonics.evaluate(self.coefficients[:, :1], up)

    def colors_from(self, position: Tensor) -> Tensor:
        """``[N, 3]`` colours as seen from ``position`` ``[3]`` in world space."""
        if self.coefficients.shape[1] == 1:
            return self.colors
        directions = torch.nn.functional.normalize(self.means.detach() - position, dim=1)
        return harmonics.evaluate(self.coefficients, directions)

    def replaced(self, **values: Tensor) -> SplatParameters:
        """With some of the tensors replaced, e.g. ``means`` and ``quaternions`` of another moment."""
        return replace(self, **values)

    def select(self, index: Tensor) -> SplatParameters:
        """The splats at ``index`` (integers or a mask)."""
        return SplatParameters(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def detached(self, *, trainable: bool = False) -> SplatParameters:
        """Copies of all values, cut from the graph; leaves that require gradients if ``trainable``."""
        values = {f.name: getattr(self, f.name).detach().clone() for f in fields(self)}
        return replace(self, **{name: value.requires_grad_(trainable) for name, value in values.items()})

    def activated(self) -> Splats:
        """As the value type that travels and is saved."""
        with torch.no_grad():
            arrays = [
                self.means,
                torch.nn.functional.normalize(self.quaternions, dim=1),
                self.scales,
                self.opacities,
                self.colors.clamp(0.0, 1.0),
            ]
            return Splats(*(a.numpy().astype(np.float32) for a in arrays))
