"""CrOSSMA, cross-attention of a text to photographs (Uni4D §3.4): what do the views show of what it says?

Text tokens are the query, features of the views key and value, then a linear layer and an FFN:

    H = softmax(Q Kᵀ / √d) V,    Q = LN(t − μ_t) W_q,  K, V = LN(v − μ_v) W_k, W_v
    x = H W_o,    x ← x + FFN(LN(x)),    tokens = LN(x) W_c
    a_v = mean of the attention on view v, over heads and text tokens
    I = unit( Σ_v a_v I_v + W_i mean(x) )

``tokens`` condition the video model; ``a`` says how well each view shows what the text says; I is the
pictures' vector in the joint space of retrieval, where I_v are the vectors of the single views. There is no
way from the query to the output but the attention, so the text chooses among what is seen and cannot put
itself into the answer. W_i starts at zero: an untrained CrOSSMA averages views.
"""

from __future__ import annotations

import torch
from attrs import field, frozen, validators
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Crossma", "CrossmaConfig", "CrossmaOutput", "pairwise"]


@frozen
class CrossmaConfig:
    """Sizes of the network."""

    text_width: int = 384
    view_width: int = 1280
    joint: int = 768
    """Of the joint space of retrieval."""
    width: int = field(default=128, validator=validators.ge(8))
    heads: int = field(default=4, validator=validators.ge(1))
    conditioning: int = field(default=384, validator=validators.ge(1))
    """Width of the conditioning tokens."""
    dropout: float = field(default=0.1, validator=[validators.ge(0.0), validators.lt(1.0)])


@frozen(eq=False)
class CrossmaOutput:
    """For a batch; ``...`` is ``[B]``, or ``[B_t, B_o]`` for all pairs of texts and objects."""

    tokens: Tensor
    """``[..., L, conditioning]``; meaningless where the text has no token."""
    attention: Tensor
    """``[..., V]``, sums to 1 over the views that are there."""
    vector: Tensor
    """``[..., joint]`` unit."""


class Crossma(nn.Module):
    """The network."""

    def __init__(self, config: CrossmaConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.text_mean = nn.Parameter(torch.zeros(config.text_width), requires_grad=False)
        self.view_mean = nn.Parameter(torch.zeros(config.view_width), requires_grad=False)
        self.query = nn.Linear(config.text_width, width)
        self.key = nn.Linear(config.view_width, width)
        self.value = nn.Linear(config.view_width, width)
        self.linear = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(2 * width, width),
        )
        self.final_norm = nn.LayerNorm(width)
        self.to_tokens = nn.Linear(width, config.conditioning)
        self.to_vector = nn.Linear(width, config.joint)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.zeros_(self.to_vector.weight)
        nn.init.zeros_(self.to_vector.bias)

    def forward(
        self,
        text: Tensor,  # [B, L, text_width]
        text_mask: Tensor,  # [B, L] bool
        views: Tensor,  # [B, V, view_width]
        view_mask: Tensor,  # [B, V] bool
        view_vectors: Tensor,  # [B, V, joint]
    ) -> CrossmaOutput:
        """Each text with the views of its own row."""
        query, key, value = self._projected(text, views)
        scores = torch.einsum("blhd,bvhd->bhlv", query, key) * self._scale
        weights = _softmax(scores, view_mask[:, None, None, :])
        seen = torch.einsum("bhlv,bvhd->blhd", self.dropout(weights), value)
        return self._finished(weights, seen, text_mask, view_vectors)

    def pairs(
        self, text: Tensor, text_mask: Tensor, views: Tensor, view_mask: Tensor, view_vectors: Tensor
    ) -> CrossmaOutput:
        """Every text ``[B_t, …]`` with the views of every object ``[B_o, …]``."""
        query, key, value = self._projected(text, views)
        scores = torch.einsum("alhd,bvhd->abhlv", query, key) * self._scale
        weights = _softmax(scores, view_mask[None, :, None, None, :])
        seen = torch.einsum("abhlv,bvhd->ablhd", self.dropout(weights), value)
        return self._finished(weights, seen, text_mask[:, None], view_vectors[None])

    @property
    def _scale(self) -> float:
        return (self.config.width // self.config.heads) ** -0.5

    def _projected(self, text: Tensor, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        text = functional.layer_norm(text - self.text_mean, text.shape[-1:])
        views = functional.layer_norm(views - self.view_mean, views.shape[-1:])
        return self._heads(self.query(text)), self._heads(self.key(views)), self._heads(self.value(views))

    def _heads(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:-1], self.config.heads, -1)

    def _finished(
        self,
        weights: Tensor,  # [..., H, L, V]
        seen: Tensor,  # [..., L, H, d]
        text_mask: Tensor,  # [..., L], may need broadcasting
        view_vectors: Tensor,  # [..., V, joint], may need broadcasting
    ) -> CrossmaOutput:
        hidden = self.linear(seen.flatten(-2))
        hidden = self.final_norm(hidden + self.feed_forward(hidden))
        attention = _mean(weights.mean(dim=-3), text_mask)
        looked_at = (attention[..., None] * view_vectors).sum(dim=-2)
        vector = functional.normalize(looked_at + self.to_vector(_mean(hidden, text_mask)), dim=-1)
        return CrossmaOutput(self.to_tokens(hidden), attention, vector)


def pairwise(
    output: CrossmaOutput,  # of Crossma.pairs
    texts: Tensor,  # [B_t, joint] unit
    objects: Tensor,  # [B_o, joint] unit
    levels: tuple[float, float, float],
) -> Tensor:
    """``[B_t, B_o]``: L_align of every text with every object, λ₁, λ₂, λ₃ the ``levels``."""
    text_shape = texts @ objects.T
    shape_image = (output.vector * objects[None]).sum(dim=-1)
    image_text = (output.vector * texts[:, None]).sum(dim=-1)
    first, second, third = levels
    return first * (1.0 - text_shape) + second * (1.0 - shape_image) + third * (1.0 - image_text)


def _softmax(scores: Tensor, mask: Tensor) -> Tensor:
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """``[..., L, D]`` → ``[..., D]`` over the real tokens."""
    shares = mask.to(values.dtype)[..., None]
    return (values * shares).sum(dim=-2) / shares.sum(dim=-2).clamp(min=1.0)
