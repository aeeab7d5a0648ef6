"""Our own small point encoder: coloured clouds to tokens that texts and pictures can be compared with.

The design is that of Point-BERT and Uni3D (Yu et al. 2022; Zhou et al. 2023) at a hundredth of the size:
patches around farthest points, a PointNet over each patch, a transformer over the patches' tokens and a
class token. It was trained by :mod:`uni4d.training.points` against text and image features; ``points.md``
describes the weights beside this module (``points.safetensors``) and what they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn

from uni4d.encoders.grouping import Groups, group
from uni4d.encoders.protocols import Encoded
from uni4d_shared.errors import Uni4DError

__all__ = ["WEIGHTS", "LocalPoints", "PointNetwork", "PointNetworkConfig", "load_network", "save_network"]

WEIGHTS = Path(__file__).with_name("points.safetensors")
_FORMAT = "uni4d-points-1"
_BATCH = 32


@frozen
class PointNetworkConfig:
    """Sizes of the network."""

    groups: int = field(default=32, validator=validators.ge(1))
    """Patches of a cloud."""
    neighbours: int = field(default=16, validator=validators.ge(1))
    """Points of a patch."""
    width: int = field(default=192, validator=validators.ge(8))
    layers: int = field(default=3, validator=validators.ge(1))
    heads: int = field(default=6, validator=validators.ge(1))
    dropout: float = field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])


class PointNetwork(nn.Module):
    """Patches to tokens ``[B, 1 + G, width]``, the class token first."""

    def __init__(self, config: PointNetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch = _PatchNet(width)
        self.place = nn.Sequential(nn.Linear(3, 64), nn.GELU(), nn.Linear(64, width))
        self.first = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                3 * width,
                config.dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, groups: Groups) -> Tensor:
        tokens = self.patch(groups.neighbourhoods) + self.place(groups.centres)
        tokens = torch.cat([self.first.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


class _PatchNet(nn.Module):
    """A PointNet (Qi et al. 2017) over each patch, with the patch's maximum seen by its points once."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.points = nn.Sequential(nn.Linear(6, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 96))
        self.joined = nn.Sequential(nn.Linear(192, 192), nn.LayerNorm(192), nn.GELU(), nn.Linear(192, width))

    def forward(self, neighbourhoods: Tensor) -> Tensor:
        """``[B, G, K, 6]`` → ``[B, G, width]``."""
        relative, colors = neighbourhoods[..., :3], neighbourhoods[..., 3:]
        # Patches are about a tenth of the object: bring both kinds of input to the same size.
        points = self.points(torch.cat([relative * 8.0, colors * 2.0 - 1.0], dim=-1))
        whole = points.amax(dim=2, keepdim=True).expand_as(points)
        return self.joined(torch.cat([points, whole], dim=-1)).amax(dim=2)


class LocalPoints:
    """The point encoder of the ``local`` profile (:class:`uni4d.encoders.protocols.PointEncoder`)."""

    name = "uni4d-points"

    def __init__(self, weights: Path = WEIGHTS) -> None:
        self._network = load_network(weights).eval()
        self.dimensions = self._network.config.width

    @torch.inference_mode()
    def encode(self, points: NDArray[Any], colors: NDArray[Any]) -> Encoded:
        """Clouds ``[B, N, 3]`` Y-up in the unit ball with sRGB colours to tokens ``[B, 1 + G, D]``; pooled is
        the class token. N may be any number from the patches' own up; some thousand points are usual."""
        config = self._network.config
        parts = []
        for start in range(0, len(points), _BATCH):
            some = slice(start, start + _BATCH)
            groups = group(
                torch.from_numpy(np.ascontiguousarray(points[some], np.float32)),
                torch.from_numpy(np.ascontiguousarray(colors[some], np.float32)),
                config.groups,
                config.neighbours,
            )
            parts.append(self._network(groups).numpy())
        tokens = (
            np.concatenate(parts) if parts else np.zeros((0, 1 + config.groups, self.dimensions), np.float32)
        )
        return Encoded(tokens[:, 0], tokens, np.ones(tokens.shape[:2], dtype=bool))


def save_network(network: PointNetwork, path: Path, about: Mapping[str, str]) -> None:
    """Write the weights with their sizes and ``about`` (data, command, seed) into one safetensors file."""
    from safetensors.torch import save_file

    header = {**about, "format": _FORMAT, "config": json.dumps(attrs.asdict(network.config))}
    weights = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, header)


def load_network(path: Path) -> PointNetwork:
    """The network of a file of :func:`save_network`; ``Uni4DError("weights-unreadable")`` names the file."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ValueError("it does not hold the weights of a point encoder")
        network = PointNetwork(PointNetworkConfig(**json.loads(header["config"])))
        network.load_state_dict(load_file(path))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise Uni4DError(
            "weights-unreadable",
            f"{path} cannot be used: {error}.",
            "Install uni4d again, or train the encoder: uni4d train points --help",
        ) from error
    return network
