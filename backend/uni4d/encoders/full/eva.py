"""The transformer of EVA (Fang et al. 2023) and EVA-02 (Fang et al. 2024), as Uni3D uses it.

Pre-norm blocks, x ← x + Attention(LN(x)), x ← x + MLP(LN(x)), whose keys have no bias. Only the blocks and
the last norm are here: Uni3D makes its own tokens, and calls the blocks without rotary positions. The
parameters have the names that they have in ``timm`` (from 0.9.7, which Uni3D was trained with, to 1.0.31 at
least), so that published files fit; a test compares the blocks with those of ``timm``.

==========  =============================  ==================================================
feed        parameters                     formula
==========  =============================  ==================================================
``gelu``    ``fc1``, ``fc2``               W₂ GELU(W₁ x)                          (EVA)
``glu``     ``fc1`` (both halves), ``fc2``  W₂ (SiLU(a) ⊙ b), [a, b] = W₁ x        (EVA-02 ti, s)
``swiglu``  ``fc1_g``, ``fc1_x``, ``norm``,  W₂ LN(SiLU(W_g x) ⊙ W_x x)             (EVA-02 b, l)
            ``fc2``
==========  =============================  ==================================================
"""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EvaBlock", "EvaShape", "EvaTrunk"]

_EPSILON = 1e-6


@frozen
class EvaShape:
    """The measures of one size."""

    width: int
    depth: int
    heads: int
    hidden: int
    """Width inside the feed-forward network (of one half, where it is gated)."""
    feed: str
    """``gelu``, ``glu`` or ``swiglu``, see the table above."""
    fused: bool
    """Whether queries, keys and values come from one matrix ``qkv``."""


class EvaTrunk(nn.Module):
    """The blocks and the last norm: ``[B, L, width]`` to ``[B, L, width]``."""

    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EvaBlock(shape) for _ in range(shape.depth))
        self.fc_norm = nn.LayerNorm(shape.width, eps=_EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc_norm(tokens)


class EvaBlock(nn.Module):
    """One block: ``[B, L, width]`` to ``[B, L, width]``."""

    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.attn = _FusedAttention(shape) if shape.fused else _SplitAttention(shape)
        self.norm2 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.mlp = {"gelu": _Gelu, "glu": _Glu, "swiglu": _SwiGlu}[shape.feed](shape)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class _FusedAttention(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(shape.width))
        self.v_bias = nn.Parameter(torch.zeros(shape.width))
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.q_bias), self.v_bias])
        queries, keys, values = functional.linear(tokens, self.qkv.weight, bias).chunk(3, dim=-1)
        return self.proj(_attend(queries, keys, values, self.heads))


class _SplitAttention(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed = _attend(self.q_proj(tokens), self.k_proj(tokens), self.v_proj(tokens), self.heads)
        return self.proj(mixed)


def _attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    batch, length, width = queries.shape

    def split(projected: Tensor) -> Tensor:
        return projected.view(batch, length, heads, width // heads).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(split(queries), split(keys), split(values))
    return mixed.transpose(1, 2).reshape(batch, length, width)


class _Gelu(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(tokens)))


class _Glu(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, 2 * shape.hidden)
        self.fc2 = nn.Linear(shape.hidden, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, value = self.fc1(tokens).chunk(2, dim=-1)
        return self.fc2(functional.silu(gate) * value)


class _SwiGlu(nn.Module):
    def __init__(self, shape: EvaShape) -> None:
        super().__init__()
        self.fc1_g = nn.Linear(shape.width, shape.hidden)
        self.fc1_x = nn.Linear(shape.width, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=_EPSILON)
        self.fc2 = nn.Linear(shape.hidden, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(self.norm(functional.silu(self.fc1_g(tokens)) * self.fc1_x(tokens)))
