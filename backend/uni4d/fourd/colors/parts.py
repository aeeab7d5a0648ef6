"""Splats that change their colour together: of one material, and of about one colour at rest."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["parts_of"]

_ALIKE = 0.12
"""Difference from their mean colour, root mean square, up to which the splats of a material are one part."""
_MOST = 4
"""Parts of one material."""
_ROUNDS = 10
_OUTLIERS = 0.05
"""Share of the splats that may be of any colour: edges have that of what is beside them."""


@torch.no_grad()
def parts_of(colors: Tensor, materials: Tensor) -> Tensor:
    """``[N]`` int64, numbered from 0: the part of each splat, by its colour ``[N, 3]`` at rest and its
    material ``[N]``."""
    parts, count = torch.zeros_like(materials), 0
    for material in sorted(set(materials.tolist())):
        own = (materials == material).nonzero()[:, 0]
        clusters = _clustered(colors[own])
        parts[own] = clusters + count
        count += int(clusters.max()) + 1
    return parts


def _clustered(colors: Tensor) -> Tensor:
    """k-means from the most different colours, with as few means as will do."""
    means = colors.median(dim=0).values[None]
    while True:
        for _ in range(_ROUNDS):
            nearest = torch.cdist(colors, means).argmin(dim=1)
            sizes = torch.bincount(nearest, minlength=len(means)).clamp(min=1)
            means = torch.zeros_like(means).index_add_(0, nearest, colors) / sizes[:, None]
        distances, nearest = torch.cdist(colors, means).min(dim=1)
        usual = distances.sort().values[: max(round((1.0 - _OUTLIERS) * len(distances)), 1)]
        if float(usual.square().mean().sqrt()) < _ALIKE or len(means) == _MOST:
            return _numbered(nearest)
        far = (distances - float(usual[-1])).abs().argmin()
        means = torch.cat([means, colors[far][None]])


def _numbered(labels: Tensor) -> Tensor:
    """The same from 0 without gaps."""
    return torch.from_numpy(np.unique(labels.numpy(), return_inverse=True)[1].reshape(-1).astype(np.int64))
