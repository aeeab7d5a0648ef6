"""Uni3D's network (Zhou et al. 2024, "Uni3D: Exploring Unified 3D Representation at Scale").

1. 512 centres by farthest point sampling, from the first point on; points within √0.001 of the origin are not
   picked (a habit of the CUDA kernel that Uni3D was trained with). Around each centre its 64 nearest points,
   as offsets from the centre and colours.
2. A mini-PointNet turns each patch into one vector: two convolutions, the maximum over the patch beside each
   point, two more, the maximum again.
3. These vectors, with an embedding of their centre added, and a learned ``cls`` token before them go through
   a vision transformer (EVA or EVA-02, without its own patches and positions), and one matrix projects the
   result into the space of the CLIP that was the teacher.

Names and shapes of all parameters are those of the published checkpoints.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from uni4d.encoders.full.eva import EvaShape, EvaTrunk
from uni4d.encoders.grouping import group

__all__ = ["DIMENSIONS", "GROUPS", "SIZES", "UNUSED", "Uni3DNetwork"]

SIZES = {
    "ti": EvaShape(width=192, depth=12, heads=3, hidden=512, feed="glu", fused=True),
    "s": EvaShape(width=384, depth=12, heads=6, hidden=1_024, feed="glu", fused=True),
    "b": EvaShape(width=768, depth=12, heads=12, hidden=2_048, feed="swiglu", fused=False),
    "l": EvaShape(width=1_024, depth=24, heads=16, hidden=2_730, feed="swiglu", fused=False),
    "g": EvaShape(width=1_408, depth=40, heads=16, hidden=6_144, feed="gelu", fused=True),
}
"""timm's ``eva02_tiny_patch14_224``, ``eva02_small_patch14_224``, ``eva02_base_patch14_448``,
``eva02_large_patch14_448`` and ``eva_giant_patch14_560``."""

UNUSED = (
    "point_encoder.visual.cls_token",
    "point_encoder.visual.pos_embed",
    "point_encoder.visual.patch_embed.proj.weight",
    "point_encoder.visual.patch_embed.proj.bias",
    "point_encoder.visual.head.weight",
    "point_encoder.visual.head.bias",
)
"""What published checkpoints also hold: the picture's half of the transformer, which points never go through
(``ti`` and ``s`` have no head)."""

GROUPS, GROUP_SIZE = 512, 64
DIMENSIONS = 1_024
"""Of the teacher's space, EVA02-E-14-plus."""
_PATCH_WIDTH = 512
_UNPICKED_SQUARE_NORM = 1e-3


class Uni3DNetwork(nn.Module):
    """Coloured points to tokens in CLIP's space; a checkpoint's ``module`` is its state."""

    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.point_encoder = _PointEncoder(shape)

    def forward(self, points: Tensor, colors: Tensor) -> Tensor:
        """Tokens ``[B, 513, 1024]`` of points and colours ``[B, N, 3]``: the ``cls`` token, whose vector is
        the cloud's, then the patches, put through the same norm and projection."""
        return self.point_encoder(points, colors)


class _PointEncoder(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.encoder = _MiniPointNet()
        self.encoder2trans = nn.Linear(_PATCH_WIDTH, shape.width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.cls_pos = nn.Parameter(torch.randn(1, 1, shape.width))
        self.pos_embed = nn.Sequential(nn.Linear(3, 128), nn.GELU(), nn.Linear(128, shape.width))
        self.visual = EvaTrunk(shape)
        self.trans2embed = nn.Linear(shape.width, DIMENSIONS)

    def forward(self, points: Tensor, colors: Tensor) -> Tensor:
        # Neighbours are found in full precision, whatever the parameters have.
        groups = group(
            points.float(), colors.float(), GROUPS, GROUP_SIZE, unpicked_square_norm=_UNPICKED_SQUARE_NORM
        )
        kind = self.cls_token.dtype
        patches = self.encoder2trans(self.encoder(groups.neighbourhoods.to(kind)))
        patches = patches + self.pos_embed(groups.centres.to(kind))
        first = (self.cls_token + self.cls_pos).expand(len(points), -1, -1)
        return self.trans2embed(self.visual(torch.cat([first, patches], dim=1)))


class _MiniPointNet(nn.Module):
    """Patches ``[B, G, K, 6]`` to vectors ``[B, G, 512]``."""

    def __init__(self) -> None:
        super().__init__()
        self.first_conv = _two_layers(6, 128, 256)
        self.second_conv = _two_layers(512, 512, _PATCH_WIDTH)

    def forward(self, patches: Tensor) -> Tensor:
        batch, count, size, _ = patches.shape
        points = self.first_conv(patches.flatten(0, 1).transpose(1, 2))  # [B G, 256, K]
        whole = points.amax(dim=2, keepdim=True).expand(-1, -1, size)
        points = self.second_conv(torch.cat([whole, points], dim=1))
        return points.amax(dim=2).view(batch, count, _PATCH_WIDTH)


def _two_layers(width_in: int, hidden: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(width_in, hidden, 1), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Conv1d(hidden, width_out, 1)
    )
