"""Made-up objects, to see what a gallery of a million would do to an arm.

They are drawn from a mixture of Gaussians fitted to the arm's own vectors of the gallery, with one
covariance for all components:

    d = (c_j + Σ_i g_i r_i / √n) / |…|,    j uniform over objects' components,  g ~ N(0, I)

where c_j are k-means centres and r_i the n objects' differences to theirs, so that the sum has exactly the
covariance within components and no covariance matrix is ever formed. New objects of the kinds that the
gallery holds, in other words, and not copies of single ones.

Only their cosines with the texts are needed, and these follow from g alone: with R the rows r_i / √n,

    t · (c_j + g R) = t · c_j + g (R t),    |c_j + g R|² = |c_j|² + 2 g (R c_j) + g (R Rᵀ) gᵀ

so that the cost of a million does not grow with the length of the vectors.

How far they can be believed is measured (:func:`calibration`): a gallery of some real objects filled up with
made-up ones, against a gallery of that many real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.evaluation.arms import unit
from uni4d.evaluation.curves import CurvePoint, point
from uni4d.evaluation.metrics import best_ranks
from uni4d.evaluation.tasks import RetrievalTask
from uni4d_shared.progress import Progress

__all__ = ["Mixture", "calibration", "with_distractors"]

Array = NDArray[Any]

_CHUNK = 8192
"""Made-up objects in memory at a time."""
_LLOYD_STEPS = 25


@frozen(eq=False)
class Mixture:
    """Where made-up objects come from."""

    centres: Array
    """``[K, E]``"""
    shares: Array
    """``[K]`` sum 1."""
    residuals: Array
    """``[n, E]``: difference of every fitted vector to its centre, over √n."""

    @classmethod
    def fit(cls, vectors: Array, seed: int = 0) -> Mixture:
        """The mixture of ``[n, E]`` vectors with about √n components."""
        count = max(1, round(len(vectors) ** 0.5))
        centres, members = _k_means(vectors, count, np.random.default_rng(seed))
        shares = np.bincount(members, minlength=len(centres)) / len(vectors)
        residuals = (vectors - centres[members]) / np.sqrt(len(vectors))
        return cls(centres.astype(np.float32), shares, residuals.astype(np.float32))

    def draw(self, count: int, random: np.random.Generator) -> Array:
        """``[count, E]`` float32 unit vectors."""
        component, spread = self._drawn(count, random)
        return unit(self.centres[component] + spread @ self.residuals)

    def scores(self, texts: Array) -> Callable[[int, np.random.Generator], Array]:
        """A function like :meth:`draw` that gives the cosines ``[count, Q]`` with ``texts`` ``[Q, E]``."""
        text_centres, text_residuals = self.centres @ texts.T, self.residuals @ texts.T
        lengths = (self.centres**2).sum(axis=1)
        crossed, gram = self.centres @ self.residuals.T, self.residuals @ self.residuals.T

        def drawn(count: int, random: np.random.Generator) -> Array:
            component, spread = self._drawn(count, random)
            along = spread @ gram + 2.0 * crossed[component]
            squared = lengths[component] + np.einsum("ij,ij->i", spread, along)
            products = text_centres[component] + spread @ text_residuals
            return np.asarray(products / np.sqrt(np.maximum(squared, 1e-12))[:, None])

        return drawn

    def _drawn(self, count: int, random: np.random.Generator) -> tuple[Array, Array]:
        """Components ``[count]`` and g ``[count, n]``."""
        component = random.choice(len(self.centres), count, p=self.shares)
        return component, random.standard_normal((count, len(self.residuals)), dtype=np.float32)


def with_distractors(
    task: RetrievalTask,
    texts: Array,
    objects: Array,
    mixture: Mixture,
    sizes: Sequence[int],
    seed: int,
    progress: Progress,
) -> list[CurvePoint]:
    """Metrics in galleries of all ``objects`` and so many made-up ones that there are ``sizes`` in all.

    Memory is bounded by one chunk; larger galleries contain the smaller ones.
    """
    scores, goals = task.scores(texts, objects), task.goals
    best = np.where(goals, scores, -np.inf).max(axis=1).astype(np.float32)
    ranks = best_ranks(scores, goals)
    drawn = mixture.scores(texts if task.queries is None else texts[task.queries])
    random = np.random.default_rng(seed)
    points, made = [], 0
    for size in sorted(size for size in sizes if size > len(objects)):
        while made < size - len(objects):
            count = min(_CHUNK, size - len(objects) - made)
            ranks += (drawn(count, random) >= best).sum(axis=0)
            made += count
            progress(made / (max(sizes) - len(objects)), f"{made:,} made-up objects")
        points.append(point(size, ranks))
    return points


def calibration(
    task: RetrievalTask, texts: Array, objects: Array, mixture: Mixture, real: int, draws: int, seed: int
) -> tuple[CurvePoint, CurvePoint]:
    """Galleries as large as ``objects``: all real, and with only ``real`` of them and the rest made up.

    Both are asked the same queries, those about the real objects of each draw.
    """
    scores, goals = task.scores(texts, objects), task.goals
    everything = best_ranks(scores, goals)
    random = np.random.default_rng(seed)
    true, mixed = [], []
    for _ in range(draws):
        rows = random.choice(len(objects), real, replace=False)
        some, right = scores[np.ix_(rows, rows)], goals[np.ix_(rows, rows)]
        best = np.where(right, some, -np.inf).max(axis=1, keepdims=True)
        made_up = mixture.draw(len(objects) - real, random)
        mixed.append(best_ranks(some, right) + (texts[rows] @ made_up.T >= best).sum(axis=1))
        true.append(everything[rows])
    return point(len(objects), np.stack(true)), point(len(objects), np.stack(mixed))


def _k_means(vectors: Array, count: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Lloyd's algorithm from random members: centres ``[K, E]`` that have members, and whose each is."""
    centres = vectors[random.choice(len(vectors), count, replace=False)].astype(np.float64)
    members = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(_LLOYD_STEPS):
        distances = (centres**2).sum(axis=1) - 2.0 * vectors @ centres.T
        members = distances.argmin(axis=1)
        used, members = np.unique(members, return_inverse=True)
        sums = np.zeros((len(used), vectors.shape[1]))
        np.add.at(sums, members, vectors)
        centres = sums / np.bincount(members)[:, None]
    return centres, members
