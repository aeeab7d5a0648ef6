"""ATMS, 3D-Text Multi-head Attention and Search (Uni4D §3.2, after MagicLens): one encoder for both sides.

Token sequences of frozen encoders go in: text tokens on one side; on the other the tokens of a point
encoder, the features of rendered views, or both. Every modality has an input projection and a type
embedding of its own; the stack of multi-head self-attention layers and the attention pool (a learned query)
are shared. One unit vector comes out; similarity is the cosine:

    x = LayerNorm(tokens − μ_m) P_m + e_m     per modality m, sequences of one item laid end to end
    z = SelfAttention^L(x)
    f = Pool(q, z) + mean_m(LayerNorm(mean(tokens_m) − μ_m) R_m),    output f / |f|

μ_m is the mean token of the training set: frozen features share a large common part that says nothing. The
second term of f is a residual path around the stack. With few training objects the frozen text vectors
order the world better than anything learnt from scratch, so R_text is the identity, and the stack learns a
correction to it.

Attention over one pooled vector would do nothing (softmax over one key is 1): sequences are needed, and
``AtmsConfig.attention = False`` is the ablation that keeps everything but them (mean pooling instead).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import attrs
import torch
from attrs import field, frozen, validators
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["ATMS", "TEMPERATURES", "AtmsConfig", "Sequences", "Tokens"]

TEMPERATURES = (0.01, 0.5)
"""Bounds of τ."""


@frozen
class AtmsConfig:
    """Sizes of the network."""

    inputs: dict[str, int] = field(factory=lambda: {"text": 384, "points": 192, "views": 1280, "size": 9})
    """Modalities with the width of their tokens."""
    width: int = field(default=256, validator=validators.ge(8))
    layers: int = field(default=1, validator=validators.ge(0))
    heads: int = field(default=4, validator=validators.ge(1))
    dimensions: int = field(default=384, validator=validators.ge(2))
    """Length of the vectors that come out."""
    dropout: float = field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])
    attention: bool = True
    """False: the mean of the projected tokens instead of attention stack and attention pool."""
    learns_temperature: bool = False
    """Whether τ of the loss is a weight that is learnt with the others (as in CLIP), not a setting."""


@frozen(eq=False)
class Tokens:
    """A batch of token sequences of one modality."""

    values: Tensor
    """``[B, L, D]`` float"""
    mask: Tensor
    """``[B, L]`` bool: which tokens are real; an item may have none."""


Sequences = Mapping[str, Tokens]
"""Modality → tokens; all of one batch."""


class ATMS(nn.Module):
    """The shared encoder."""

    def __init__(self, config: AtmsConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.means = nn.ParameterDict(
            {
                name: nn.Parameter(torch.zeros(size), requires_grad=False)
                for name, size in config.inputs.items()
            }
        )
        self.projections = nn.ModuleDict(
            {name: nn.Linear(size, width) for name, size in config.inputs.items()}
        )
        self.residuals = nn.ModuleDict(
            {name: nn.Linear(size, config.dimensions) for name, size in config.inputs.items()}
        )
        self.types = nn.ParameterDict(
            {name: nn.Parameter(torch.randn(width) * 0.02) for name in config.inputs}
        )
        self.layers = nn.ModuleList(
            _Layer(width, config.heads, config.dropout)
            for _ in range(config.layers if config.attention else 0)
        )
        self.final_norm = nn.LayerNorm(width)
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pool = nn.MultiheadAttention(width, config.heads, batch_first=True) if config.attention else None
        self.output = nn.Linear(width, config.dimensions)
        self.dropout = nn.Dropout(config.dropout)
        self.log_temperature = nn.Parameter(torch.tensor(0.07).log()) if config.learns_temperature else None
        self._start_near_the_text()

    def forward(self, sequences: Sequences) -> Tensor:
        """Unit vectors ``[B, dimensions]`` of items with any subset of the modalities."""
        values, masks, means = [], [], []
        for name, tokens in sequences.items():
            if name not in self.config.inputs:
                raise ValueError(f"ATMS has no modality {name!r}; known: {', '.join(self.config.inputs)}")
            values.append(self.projections[name](self.centred(name, tokens.values)) + self.types[name])
            masks.append(tokens.mask)
            means.append((self.residuals[name](self.summary(name, tokens)), tokens.mask.any(dim=1)))
        hidden, mask = torch.cat(values, dim=1), torch.cat(masks, dim=1)
        pooled = self._attend(self.dropout(hidden), mask)
        present = torch.stack([there for _, there in means]).to(pooled.dtype)[..., None]
        residual = (torch.stack([mean for mean, _ in means]) * present).sum(dim=0) / present.sum(dim=0).clamp(
            min=1.0
        )
        return functional.normalize(self.output(self.final_norm(pooled)) + residual, dim=1)

    def frozen_text(self, tokens: Tokens) -> Tensor:
        """``[B, dimensions]`` unit: what texts are without the stack, the anchor of training."""
        return functional.normalize(self.residuals["text"](self.summary("text", tokens)), dim=1)

    def temperature(self, given: Tensor | float) -> Tensor | float:
        """τ: the learnt one, within :data:`TEMPERATURES`, or what is ``given``."""
        if self.log_temperature is None:
            return given
        return self.log_temperature.exp().clamp(*TEMPERATURES)

    def centred(self, name: str, values: Tensor) -> Tensor:
        """Tokens ``[..., D]`` of a modality without what all have in common, at one scale."""
        return functional.layer_norm(values - self.means[name], values.shape[-1:])

    def summary(self, name: str, tokens: Tokens) -> Tensor:
        """``[B, D]``: what the residual path reads of a modality, the centred mean token."""
        return self.centred(name, _masked_mean(tokens))

    def _attend(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """``[B, L, W]`` tokens to ``[B, W]``."""
        if self.pool is None:
            weights = mask.to(hidden.dtype)[..., None]
            return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        query = self.query.expand(len(hidden), -1, -1)
        pooled, _ = self.pool(query, hidden, hidden, key_padding_mask=~mask, need_weights=False)
        return pooled[:, 0]

    def _start_near_the_text(self) -> None:
        """The residual path of texts is the frozen text vectors themselves; the stack starts small."""
        text = self.config.inputs.get("text")
        if text == self.config.dimensions:
            residual = cast("nn.Linear", self.residuals["text"])
            nn.init.eye_(residual.weight)
            # Layer-normed vectors are √D long: the residual path starts at unit length.
            residual.weight.data /= text**0.5
            nn.init.zeros_(residual.bias)
            residual.requires_grad_(requires_grad=False)
        nn.init.normal_(self.output.weight, std=0.02 / self.config.width**0.5)
        nn.init.zeros_(self.output.bias)

    def settings(self) -> dict[str, Any]:
        """The configuration as plain values, for the head of a weights file."""
        return attrs.asdict(self.config)


class _Layer(nn.Module):
    """A pre-norm transformer layer (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        normed = self.attention_norm(hidden)
        mixed, _ = self.attention(normed, normed, normed, key_padding_mask=~mask, need_weights=False)
        hidden = hidden + self.dropout(mixed)
        return hidden + self.dropout(self.feed_forward(hidden))


def _masked_mean(tokens: Tokens) -> Tensor:
    """``[B, D]`` mean of the real tokens; zero for an item that has none."""
    weights = tokens.mask.to(tokens.values.dtype)[..., None]
    return (tokens.values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)
