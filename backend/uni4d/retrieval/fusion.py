"""Scores of several kinds in one: a weighted sum, with weights learnt from prompts with known answers.

    score(q, a) = Σ_m w_m s_m(q, a),     w ≥ 0

Every s_m is a cosine or lies in [0, 1]. The weights minimise the negative log-likelihood of the accepted
assets A_q under a softmax over all assets,

    −mean_q log Σ_{a ∈ A_q} softmax(Σ_m w_m z_m(q, ·))_a + λ |w − w₀|²,

with z_m = s_m / σ_m, σ_m the mean spread of s_m over the assets. λ pulls towards the prior w₀ (equal
weights), for there are few prompts. The shipped weights are in ``data/fusion.toml`` with where they come
from; ``uni4d train fusion`` makes such a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tomllib
from attrs import frozen
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError

__all__ = ["MODALITIES", "SHIPPED", "Fusion", "Judged", "learn", "quality", "shipped_fusion"]

Array = NDArray[Any]

SHIPPED = Path(__file__).parent / "data" / "fusion.toml"

MODALITIES = ("name", "text", "description", "concept", "words", "appearance", "spelling")
"""name, text: cosine with the asset's name, and with name, tags and category; description, concept, words:
see :class:`~uni4d.retrieval.text_index.TextScores`; appearance: cosine in the joint space of shapes;
spelling: :mod:`uni4d.retrieval.spelling`."""


@frozen
class Fusion:
    """Weights by modality; what has none counts nothing."""

    weights: Mapping[str, float]

    def fuse(self, scores: Mapping[str, Array]) -> Array:
        """``[N]`` fused scores from ``[N]`` scores by modality."""
        return np.sum([self.weights.get(name, 0.0) * values for name, values in scores.items()], axis=0)

    @classmethod
    def load(cls, path: Path) -> Fusion:
        """The weights of a TOML file with a ``[weights]`` table."""
        try:
            weights = tomllib.loads(path.read_text(encoding="utf-8"))["weights"]
            return cls({str(name): float(value) for name, value in weights.items()})
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise Uni4DError(
                "weights-missing",
                f"{path} holds no weights: {error}.",
                "Run: uni4d train fusion --prompts FILE",
            ) from error

    def to_toml(self, provenance: str) -> str:
        """The text of such a file; ``provenance`` says where the weights come from."""
        comment = "".join(f"# {line}\n" for line in provenance.splitlines())
        values = "".join(f"{name} = {value:.4f}\n" for name, value in self.weights.items())
        return f"{comment}\n[weights]\n{values}"


@cache
def shipped_fusion() -> Fusion:
    """The weights that come with the package."""
    return Fusion.load(SHIPPED)


@frozen(eq=False)
class Judged:
    """One prompt's scores and the assets that answer it."""

    scores: Mapping[str, Array]
    """``[N]`` by modality."""
    accepted: Array
    """``[N]`` bool, at least one."""


def learn(
    prompts: Sequence[Judged], modalities: Sequence[str] = MODALITIES, *, strength: float = 0.01
) -> Fusion:
    """The weights that put the accepted assets first; ``strength`` is λ. Deterministic."""
    from scipy.optimize import minimize

    stacked = np.stack([[prompt.scores[name] for name in modalities] for prompt in prompts])  # [P, M, N]
    spread = stacked.std(axis=2).mean(axis=0)
    telling = spread > 1e-6  # a modality that is equal for all assets gets no weight
    spread = np.where(telling, spread, np.inf)
    inputs = stacked / spread[None, :, None]
    accepted = np.stack([prompt.accepted for prompt in prompts])
    prior = np.full(len(modalities), 1.0 / len(modalities))

    def loss(weights: Array) -> tuple[float, Array]:
        fused = np.einsum("pmn,m->pn", inputs, weights)
        fused -= fused.max(axis=1, keepdims=True)
        chances = np.exp(fused)
        right = np.where(accepted, chances, 0.0)
        everything, hit = chances.sum(axis=1), np.maximum(right.sum(axis=1), 1e-300)
        slope = np.einsum("pmn,pn->m", inputs, chances / everything[:, None] - right / hit[:, None])
        away = weights - prior
        value = float((np.log(everything) - np.log(hit)).mean() + strength * away @ away)
        return value, slope / len(inputs) + 2.0 * strength * away

    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(modalities))
    scaled = found.x / spread
    scaled = scaled / scaled.sum()
    return Fusion({name: float(value) for name, value in zip(modalities, scaled, strict=True)})


def quality(prompts: Sequence[Judged], fusion: Fusion) -> dict[str, float]:
    """Share of prompts answered by the first asset, by the first five, and the mean reciprocal rank."""
    ranks = np.array([_rank(fusion.fuse(prompt.scores), prompt.accepted) for prompt in prompts])
    return {
        "top1": float((ranks == 1).mean()),
        "top5": float((ranks <= 5).mean()),
        "mrr": float((1.0 / ranks).mean()),
    }


def _rank(scores: Array, accepted: Array) -> int:
    """Of the best accepted asset; those that are not accepted come first among equals."""
    return 1 + int((scores[~accepted] >= scores[accepted].max()).sum())
