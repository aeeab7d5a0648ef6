"""Tokens and pooled vectors of OpenCLIP's towers, in one space.

For a picture, a patch's vector is what the tower's own end (norm, pooling, projection) gives when this patch
is all there is to see. Where the end is a norm and a matrix, that is the norm and the matrix; where it pools
by attention, the weights over equal patches drop out and its value path remains.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["image_features", "text_features"]


def text_features(model: Any, pieces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of word pieces ``[B, L]``: unit vectors ``[B, D]``, tokens ``[B, L, D]``, and which tokens are real,
    up to and with the end of the text (models that pool elsewhere: all)."""
    tower = getattr(model, "text", model)
    outputs: list[Any] = []
    hook = tower.transformer.register_forward_hook(lambda module, given, output: outputs.append(output))
    try:
        pooled = model.encode_text(pieces)
    finally:
        hook.remove()
    if hasattr(tower, "ln_final"):
        hidden = tower.ln_final(outputs[0][:, : pieces.shape[1]])
        projection = tower.text_projection
        if projection is not None:
            hidden = projection(hidden) if callable(projection) else hidden @ projection
        mask = _until_end(tower, pieces)
    else:  # a text tower of transformers
        hidden = tower.proj(outputs[0].last_hidden_state)
        mask = pieces != tower.config.pad_token_id
    return functional.normalize(pooled.float(), dim=-1), hidden.float(), mask


def _until_end(tower: Any, pieces: Tensor) -> Tensor:
    pooling = getattr(tower, "text_pool_type", None) or tower.pool_type
    if pooling == "argmax":  # the end-of-text piece has the highest number
        end = pieces.argmax(dim=1)
    elif pooling == "eos":
        number = getattr(tower, "text_eos_id", None) or tower.eos_id
        end = (pieces == number).int().argmax(dim=1)
    else:  # the model reads the padding too
        end = torch.full_like(pieces[:, 0], pieces.shape[1] - 1)
    return torch.arange(pieces.shape[1], device=pieces.device) <= end[:, None]


def image_features(tower: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Of prepared pictures ``[B, 3, H, W]``: unit vectors ``[B, D]`` and tokens ``[B, patches, D]``."""
    if hasattr(tower, "trunk"):
        pooled, tokens = _of_timm(tower, pixels)
    elif hasattr(tower, "attnpool"):
        pooled, tokens = _of_resnet(tower, pixels)
    else:
        pooled, tokens = _of_transformer(tower, pixels)
    return functional.normalize(pooled.float(), dim=-1), tokens.float()


def _of_transformer(tower: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """``open_clip.transformer.VisionTransformer``; CoCa's, which pools by attention with many queries, gives
    the other queries as tokens."""
    sequence = tower.transformer(tower._embeds(pixels))
    pooled, tokens = tower._pool(sequence)
    if tower.attn_pool is None:
        tokens = tower.ln_post(sequence[:, 1:])
    return (pooled, tokens) if tower.proj is None else (pooled @ tower.proj, tokens @ tower.proj)


def _of_timm(tower: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """``open_clip.timm_model.TimmModel``: vision transformers and convolutional networks."""
    trunk = tower.trunk

    def end(features: Tensor) -> Tensor:
        return tower.head(trunk.forward_head(features))

    features = trunk.forward_features(pixels)
    if features.ndim == 3:
        first = trunk.num_prefix_tokens
        patches = features[:, first:]
        # As long a sequence as has one patch; wherever the end looks, it sees that patch.
        alone = patches.flatten(0, 1)[:, None].expand(-1, first + 1, -1)
    else:
        last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
        patches = features.flatten(1, 2) if last else features.flatten(2).transpose(1, 2)
        alone = patches.flatten(0, 1)
        alone = alone[:, None, None, :] if last else alone[:, :, None, None]
    return end(features), end(alone).view(*patches.shape[:2], -1)


def _of_resnet(tower: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """``open_clip.modified_resnet.ModifiedResNet``: a patch goes through the values and the output matrix of
    the pooling attention (as in MaskCLIP, Zhou et al. 2022)."""
    grid = tower.stem(pixels)
    for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
        grid = layer(grid)
    pool = tower.attnpool
    return pool(grid), pool.c_proj(pool.v_proj(grid.flatten(2).transpose(1, 2)))
