"""How well a fit reproduces its clip."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from uni4d.fourd.targets import foreground
from uni4d.splatting.image_losses import dilated, psnr
from uni4d_shared.types import Clip

__all__ = ["foreground_psnr"]

_DILATION = 2
_CEILING = 99.0


def foreground_psnr(images: Tensor, clip: Clip) -> float:
    """PSNR in dB of ``images`` ``[T, H, W, 3]`` against the clip's frames, over their foreground.

    The foreground of a frame is where any channel differs from the clip's background by more than 8/255,
    dilated by two pixels (so that a silhouette in the wrong place costs on both sides). The value is the mean
    over frames of each frame's PSNR; frames that show nothing are left out; a perfect frame counts 99 dB.
    """
    targets = torch.from_numpy(clip.frames.astype(np.float32) / 255.0)
    if images.shape != targets.shape:
        raise ValueError(
            f"foreground_psnr: images {list(images.shape)} do not match the clip {list(targets.shape)}"
        )
    masks = dilated(foreground(clip.frames, clip.background), _DILATION)
    values = [
        min(psnr(image, target, mask), _CEILING)
        for image, target, mask in zip(images, targets, masks, strict=True)
        if bool(mask.any())
    ]
    if not values:
        raise ValueError("foreground_psnr: no frame shows anything but the background")
    return float(np.mean(values))
