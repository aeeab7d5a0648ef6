"""Which splats a distant light reaches: a shadow map (Williams 1978), drawn by the rasteriser."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from uni4d.fourd.photometry import Lens, slack_of
from uni4d.splatting.binding import Carried
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.rasterise import rasterise
from uni4d_shared.cameras import look_at
from uni4d_shared.types import Camera

__all__ = ["ShadowCaster"]

_WIDTH = 192
"""Pixels of a shadow map."""
_DISTANCE = 40.0
"""Radii from which the map is drawn: the rays are as good as parallel."""
_MARGIN = 1.05
_PENUMBRA = 0.5
"""Share of the slack over which light gives way to shadow."""


class ShadowCaster:
    """The splats of one object as what stands in each other's light."""

    def __init__(self, splats: SplatParameters, radius: float) -> None:
        """``radius``: of the object, metres."""
        self._splats, self._radius = splats.detached(), radius
        self._slack = slack_of(splats, radius)

    @torch.no_grad()
    def lit(self, carried: Carried, direction: Tensor) -> Tensor:
        """``[N]`` in [0, 1]: how much of a light from the unit ``direction`` ``[3]`` gets as far as each
        splat."""
        camera = self._camera(carried.means, direction)
        splats, lens = self._splats, Lens(camera)
        drawn = rasterise(
            *(*carried, splats.scales, splats.opacities, torch.zeros_like(carried.means), camera)
        )
        pixels, depths, _ = lens.seen(carried.means)
        column, row = pixels.long().clamp(0, _WIDTH - 1).unbind(1)
        before = drawn.depth[row, column] + self._slack - depths
        return (before / (_PENUMBRA * self._slack)).clamp(0.0, 1.0)

    def _camera(self, means: Tensor, direction: Tensor) -> Camera:
        """Far away in the ``direction``, and so narrow that it just sees everything."""
        centre, far = means.mean(0), _DISTANCE * self._radius
        matrix = look_at((centre + far * direction).numpy(), centre.numpy())
        across = (means - centre) @ torch.from_numpy(matrix[:2, :3]).float().T
        reach = _MARGIN * max(float(across.abs().max()), 1e-6 * self._radius)
        focal = 0.5 * _WIDTH * (far - reach) / reach
        intrinsics = np.array([[focal, 0.0, _WIDTH / 2], [0.0, focal, _WIDTH / 2], [0.0, 0.0, 1.0]])
        return Camera(matrix, intrinsics, _WIDTH, _WIDTH)
