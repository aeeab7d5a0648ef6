"""By how much the colour of a frame differs from that of the splats that it shows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.fourd.layers import Layer
from uni4d.fourd.photometry import Lens
from uni4d.splatting.rasterise import Rendered

__all__ = ["Differences", "differences"]

_BLUR = 3
"""Pixels over which the difference is averaged: a splat a pixel off is no change of its colour."""
_SOLID = 0.98
"""Alpha from which a pixel shows nothing but the object."""


class Differences(NamedTuple):
    """Of ``V`` splats that are well inside the silhouette."""

    splats: Tensor  # [V] int64, which ones
    colors: Tensor  # [V, 3] the frame's less theirs


@torch.no_grad()
def differences(
    layer: Layer, lens: Lens, frame: int, rendered: Rendered, means: Tensor, slack: float
) -> Differences:
    """``rendered``: the splats at ``means`` ``[N, 3]``, as ``layer`` draws them; ``slack``: see
    :meth:`uni4d.fourd.photometry.Lens.visible`."""
    solid = ((rendered.alpha > _SOLID) & (layer.targets.masks[frame] > _SOLID)).float()
    pixels, index = lens.visible(rendered, means, slack)
    column, row = pixels[index].long().unbind(1)
    difference = (layer.targets.images[frame] - rendered.image) * solid[..., None]
    planes = torch.cat([difference, solid[..., None]], dim=-1).permute(2, 0, 1)[None]
    mean = functional.avg_pool2d(planes, _BLUR, 1, _BLUR // 2)[0]
    share = mean[3, row, column]
    kept = share > 0.5
    return Differences(index[kept], (mean[:3, row, column] / share.clamp(min=1e-6)).T[kept])
