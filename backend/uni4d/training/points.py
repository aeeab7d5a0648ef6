"""What the local point encoder learns from: clouds beside the names and the pictures of the same objects.

Two symmetric contrastive losses share one point network: against the name (through the frozen text encoder)
and against the pictures (through the frozen image encoder). Every step draws a new sample of points and a
new pose, size and tint:

    cloud → a random subset of 512 … 2,048 points → turn about the vertical, small tilt, stretch, jitter
          → brightness and contrast of the colours, or no colours at all
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from uni4d.encoders.grouping import group
from uni4d.encoders.local.points import PointNetwork, PointNetworkConfig
from uni4d.library.clouds import Cloud
from uni4d.training.contrastive import contrastive_loss, found_figures, same
from uni4d.training.distributed import Ranks, gather
from uni4d.training.loop import LoopConfig

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["PointLearner", "PointObjects", "PointTask", "PointTrainConfig"]

Array = NDArray[Any]

_JOINT = 256
"""Width of the space in which clouds meet pictures."""
_EXPECTED_POINTS = 1024
"""For validation."""


@frozen
class PointTrainConfig:
    """What ``uni4d train points`` reads from the table ``[points]`` of its settings file."""

    model: PointNetworkConfig = field(factory=PointNetworkConfig)
    loop: LoopConfig = field(factory=lambda: LoopConfig(steps=3000, batch=64, temperature=0.1))
    point_counts: tuple[int, ...] = (512, 1024, 1024, 2048)
    """One of these per step."""
    text_weight: float = field(default=1.0, validator=validators.ge(0.0))
    image_weight: float = field(default=1.0, validator=validators.ge(0.0))
    colourless_share: float = field(default=0.15, validator=[validators.ge(0.0), validators.le(1.0)])
    """How often an object is shown in plain grey, so that shape alone must do."""


@frozen(eq=False)
class PointObjects:
    """Objects to learn from, or to validate with."""

    names: tuple[str, ...]
    clouds: Sequence[Cloud]
    """All of one length."""
    views: Array
    """``[N, V, E]`` float32 image features."""


class PointLearner(nn.Module):
    """The point network with the heads that training needs and nobody else."""

    def __init__(self, config: PointNetworkConfig, text_width: int, image_width: int) -> None:
        super().__init__()
        self.network = PointNetwork(config)
        self.to_text = nn.Linear(config.width, text_width)
        self.to_image = nn.Linear(config.width, _JOINT)
        self.image_head = nn.Sequential(nn.Dropout(0.3), nn.Linear(image_width, _JOINT))

    def forward(self, points: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors beside texts ``[B, T]`` and beside pictures ``[B, 256]`` of clouds ``[B, N, 3]``."""
        config = self.network.config
        # Class token and mean of the patches: both must carry what ATMS is to read.
        tokens = self.network(group(points, colors, config.groups, config.neighbours))
        whole = tokens[:, 0] + tokens[:, 1:].mean(dim=1)
        return functional.normalize(self.to_text(whole), dim=1), functional.normalize(
            self.to_image(whole), dim=1
        )

    def images(self, features: Tensor) -> Tensor:
        """Unit vectors ``[B, 256]`` of centred image features ``[B, E]``."""
        return functional.normalize(self.image_head(features), dim=1)


class PointTask:
    """:class:`uni4d.training.loop.Task` of the point encoder."""

    def __init__(
        self, train: PointObjects, validation: PointObjects, texts: TextEncoder, config: PointTrainConfig
    ) -> None:
        self._config = config
        self.size = len(train.names)
        self._names = [name.lower() for name in train.names]
        self._points = torch.from_numpy(np.stack([cloud.points for cloud in train.clouds])).half()
        self._colors = torch.from_numpy(np.stack([cloud.colors for cloud in train.clouds])).half()
        vectors = texts.encode(self._names).pooled
        self._mean = vectors.mean(axis=0)
        self._texts = _unit(vectors - self._mean)
        look = np.sqrt(np.maximum(train.views, 0.0)).mean(axis=1)
        self._look = torch.from_numpy(look - look.mean(axis=0))
        self._look = functional.layer_norm(self._look, self._look.shape[1:])
        self._held_names = [name.lower() for name in validation.names]
        self._held_texts = _unit(texts.encode(self._held_names).pooled - self._mean)
        self._held = _stack(validation.clouds, _EXPECTED_POINTS)

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        model = cast("PointLearner", model)
        mine = torch.from_numpy(ranks.share(rows))
        points, colors = self._shown(mine)
        beside_text, beside_image = model(points, colors)
        positives = same([self._names[row] for row in ranks.gathered(rows)])
        text = contrastive_loss(
            gather(self._texts[mine], ranks), gather(beside_text, ranks), temperature, positives
        )
        looks = model.images(self._look[mine])
        image = contrastive_loss(gather(looks, ranks), gather(beside_image, ranks), temperature)
        return self._config.text_weight * text + self._config.image_weight * image

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Recall by name among the validation objects, from points alone."""
        batches = zip(*(torch.split(part, 64) for part in self._held), strict=True)  # type: ignore[no-untyped-call]
        parts = [model(points, colors)[0] for points, colors in batches]
        scores = self._held_texts @ torch.cat(parts).T
        right = same(self._held_names)
        loss = float(contrastive_loss(self._held_texts, torch.cat(parts), 0.1, right))
        return {**found_figures(scores, right), "loss": loss}

    def _shown(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The clouds of ``rows`` as one step shows them."""
        counts = self._config.point_counts
        count = min(counts[int(torch.randint(len(counts), ()))], self._points.shape[1])
        # Clouds are stored in random order, so that a window is a random sample.
        start = int(torch.randint(self._points.shape[1] - count + 1, ()))
        points = self._points[rows, start : start + count].float()
        colors = self._colors[rows, start : start + count].float()
        return posed(points), tinted(colors, self._config.colourless_share)


def posed(points: Tensor) -> Tensor:
    """Clouds ``[B, N, 3]`` (Y up) turned about the vertical by any angle, tilted by a few degrees, stretched
    by up to a seventh along each axis, jittered, and brought back into the unit ball."""
    batch = len(points)
    angle = torch.rand(batch) * 2.0 * math.pi
    tilt = torch.randn(batch, 2) * 0.06
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros(batch), torch.ones(batch)
    turn = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=1).view(batch, 3, 3)
    lean = torch.stack(
        [one, -tilt[:, 0], zero, tilt[:, 0], one, -tilt[:, 1], zero, tilt[:, 1], one], dim=1
    ).view(batch, 3, 3)
    stretch = torch.exp(torch.empty(batch, 1, 3).uniform_(-0.14, 0.14))
    moved = (points * stretch) @ (lean @ turn).transpose(1, 2)
    moved = moved + 0.004 * torch.randn_like(moved)
    moved = moved - moved.mean(dim=1, keepdim=True)
    return moved / moved.norm(dim=2).amax(dim=1)[:, None, None].clamp(min=1e-6)


def tinted(colors: Tensor, colourless_share: float) -> Tensor:
    """Colours ``[B, N, 3]`` in another light (contrast, brightness, a slight tint), some plain grey."""
    batch = len(colors)
    contrast = torch.empty(batch, 1, 1).uniform_(0.7, 1.2)
    shift = 0.1 * torch.randn(batch, 1, 1) + 0.04 * torch.randn(batch, 1, 3)
    changed = ((colors - 0.5) * contrast + 0.5 + shift).clamp(0.0, 1.0)
    grey = torch.rand(batch, 1, 1) < colourless_share
    return torch.where(grey, torch.full_like(changed, 0.5), changed)


def _unit(vectors: Array) -> Tensor:
    return functional.normalize(torch.from_numpy(vectors), dim=1)


def _stack(clouds: Sequence[Cloud], count: int) -> tuple[Tensor, Tensor]:
    points = torch.from_numpy(np.stack([cloud.points[:count] for cloud in clouds]))
    return points, torch.from_numpy(np.stack([cloud.colors[:count] for cloud in clouds]))
