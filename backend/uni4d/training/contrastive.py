"""The symmetric contrastive loss with several positives (Uni4D §3.2; Radford 2021; Khosla 2020).

For a batch of N pairs with vectors t_i, m_j and temperature τ,

    S_ij = cos(t_i, m_j) / τ,    L = ½ [ CE(S, P) + CE(Sᵀ, Pᵀ) ]

P_ij is 1/|positives of i| where text i also describes object j, and 0 elsewhere: two objects with one text
are positives of each other, never negatives. Without duplicates P is the identity, and L the usual loss.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["contrastive_loss", "contrastive_of_scores", "found_figures", "same"]


def contrastive_loss(
    texts: Tensor,  # [N, D] unit
    objects: Tensor,  # [N, D] unit
    temperature: Tensor | float,
    positives: Tensor | None = None,  # [N, N] bool
) -> Tensor:
    """The scalar loss; ``positives`` defaults to the diagonal, which must be set in any case."""
    if positives is None:
        positives = torch.eye(len(texts), dtype=torch.bool, device=texts.device)
    return contrastive_of_scores(texts @ objects.T / temperature, positives)


def contrastive_of_scores(
    scores: Tensor,  # [N, N]: row i belongs to text i, column j to object j
    positives: Tensor,  # [N, N] bool
) -> Tensor:
    """The loss from S itself, where it is not a cosine."""
    target = positives.to(scores.dtype)
    rows = target / target.sum(dim=1, keepdim=True)
    columns = target.T / target.T.sum(dim=1, keepdim=True)
    return 0.5 * (functional.cross_entropy(scores, rows) + functional.cross_entropy(scores.T, columns))


def found_figures(scores: Tensor, right: Tensor) -> dict[str, float]:
    """How well texts (rows) find what they say (columns) by ``scores [N, M]``; ``right [N, M]`` bool.

    ``accuracy``: a right one comes first; ``recall_10``: among the first ten; ``mrr``: the mean of 1 / (its
    place). What is wrong and as good comes before it.
    """
    best = scores.masked_fill(~right, -2.0).amax(dim=1, keepdim=True)
    ranks = ((scores >= best) & ~right).sum(dim=1)
    return {
        "accuracy": float((ranks < 1).float().mean()),
        "recall_10": float((ranks < 10).float().mean()),
        "mrr": float((1.0 / (1.0 + ranks)).mean()),
    }


def same(keys: Sequence[Hashable]) -> Tensor:
    """``[N, N]`` bool: which items have equal keys (texts, groups of near-duplicates)."""
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    places = torch.tensor([numbers[key] for key in keys])
    return places[:, None] == places[None, :]
