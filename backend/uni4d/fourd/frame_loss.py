"""How far a rendered frame is from the clip's, for fits by gradient descent."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from uni4d.splatting.rasterise import Rendered

__all__ = ["frame_loss"]

_BLURS = (2, 4, 8)
_WEIGHT_COVERED = 0.5


def frame_loss(rendered: Rendered, image: Tensor, mask: Tensor) -> Tensor:
    """L1, sharp and at three blurs, and how much certain foreground ``mask`` ``[H, W]`` is uncovered."""
    difference = (rendered.image - image).permute(2, 0, 1)[None]
    total = difference.abs().mean()
    for factor in _BLURS:
        if min(difference.shape[-2:]) >= 2 * factor:
            total = total + functional.avg_pool2d(difference, factor).abs().mean()
    return total + _WEIGHT_COVERED * (mask * (1.0 - rendered.alpha)).mean()
