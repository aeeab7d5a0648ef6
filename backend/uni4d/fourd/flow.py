"""Where the pixels of one frame are in the next: dense inverse search (Kroeger et al. 2016), by OpenCV.

It follows a limb that moved by its own width, for which the colours alone have no slope; it knows nothing of
the object, so it only proposes where the nodes might be.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["flow_between"]

_ROUND_TRIP = 1.5
"""Pixels that a way there and back may miss its start by."""


def flow_between(here: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Displacements ``[H, W, 2]`` in pixels (x, y) from ``here`` to ``there``, both ``[H, W, 3]`` in [0, 1],
    and where they can be trusted ``[H, W]`` bool: the way back ends where it began."""
    first, second = (_gray(image) for image in (here, there))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    height, width = first.shape
    still = np.zeros((height, width, 2), np.float32)
    forth = np.asarray(search.calc(first, second, still.copy()), np.float32)
    back = np.asarray(search.calc(second, first, still), np.float32)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    returned = cv2.remap(back, columns + forth[..., 0], rows + forth[..., 1], cv2.INTER_LINEAR)
    trusted = np.linalg.norm(forth + returned, axis=-1) < _ROUND_TRIP
    return torch.from_numpy(forth), torch.from_numpy(trusted)


def _gray(image: Tensor) -> NDArray[np.uint8]:
    return np.rint(255.0 * image.clamp(0.0, 1.0).mean(-1).numpy()).astype(np.uint8)
