"""From look, shape and size to texts in closed form: kernel ridge regression between two kernels.

    f(x) = Σ_i k(x, x_i) α_i,    α = (K + λ I)⁻¹ Φ,    k(x, y) = exp(−|x − y| / s)
    φ(t) = R Λ^(−½) Uᵀ g(t),     g_j(t) = exp(γ (⟨t, t_j⟩ − 1)),  G_jl = g_j(t_l),  G ≈ U Λ Uᵀ

x is an object's centred image features at unit length, beside the logarithms of its size and its point
encoder's centred class token at the length ``_POINT_WEIGHT``; t a centred unit text vector; t_j those of the
training objects' distinct names; s² the median squared distance between training objects. What is not known
of an object is zero, which is the mean of all.

φ turns the kernel exp(γ (cos − 1)) of texts into D numbers whose inner products are its values, as nearly as
the D largest eigenvalues of G allow (Williams & Seeger 2001). R turns them until φ(t_j) lies as near to t_j
as a rotation can bring it (Schönemann 1966), so that maps that were fitted to different objects, and texts
themselves, share one space. The regression is thus one between two kernels (Weston et al. 2003, “Kernel
dependency estimation”): a text close to one known name counts that name's objects, instead of a
little of every object's. Cross-validated on Sweet Home 3D without its test objects, this finds 0.80 of the
names among the first ten, regression onto the text vectors themselves 0.78.

Φ_i = (1 − β) φ(name_i) + β φ(all words about i): tags tell what objects of different names have in common.

It remembers every training object and answers by its neighbours, which a model trained by gradients on some
hundred objects cannot; ATMS in turn carries further from them. Their sum is better than either
(``uni4d evaluate retrieval`` prints all three).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms_inputs import standard_log_sizes

__all__ = ["KernelMap"]

Array = NDArray[Any]

_SIZE_WEIGHT = 0.8
_POINT_WEIGHT = 0.5
_RIDGE = 0.1
_SHARPNESS = 4.0
"""γ: twice as much or half as much finds as many."""
_JITTER = 1e-3
"""Added to Λ: names that mean nearly the same make G nearly singular."""
_WORDS_SHARE = 0.3
"""β"""


@frozen(eq=False)
class KernelMap:
    """A fitted map; all vectors that come out have unit length and as many numbers as text vectors."""

    feature_mean: Array
    """``[E]``: of the square roots of image features."""
    point_mean: Array
    """``[P]``: of class tokens."""
    text_mean: Array
    """``[D]``"""
    centres: Array
    """``[C, E + 3 + P]`` float32"""
    coefficients: Array
    """``[C, D]`` float32: α"""
    names: Array
    """``[L, D]`` float32: t_j"""
    root: Array
    """``[L, D]`` float32: U Λ^(−½) Rᵀ"""
    bandwidth: float

    @property
    def dimensions(self) -> int:
        return len(self.text_mean)

    def tensors(self) -> dict[str, Array]:
        """The arrays for a weights file, the large ones in half precision; the inverse is the constructor."""
        return {
            "feature_mean": self.feature_mean.astype(np.float32),
            "point_mean": self.point_mean.astype(np.float32),
            "text_mean": self.text_mean.astype(np.float32),
            "centres": self.centres.astype(np.float16),
            "coefficients": self.coefficients.astype(np.float16),
            "names": self.names,
            "root": self.root,
            "bandwidth": np.array([self.bandwidth], np.float32),
        }

    @classmethod
    def fit(cls, views: Array, sizes: Array, points: Array, names: Array, words: Array) -> KernelMap:
        """Learn from ``N`` objects.

        Args:
            views: ``[N, V, E]`` image features, non-negative.
            sizes: ``[N, 3]`` in metres.
            points: ``[N, P]`` class tokens of the point encoder.
            names: ``[N, D]`` unit text vectors of the objects' names; equal names, equal vectors.
            words: ``[N, D]`` unit text vectors of all words about each object.
        """
        look = _look(views)
        feature_mean, point_mean, text_mean = look.mean(axis=0), points.mean(axis=0), names.mean(axis=0)
        centres = _inputs(look - feature_mean, sizes, points, point_mean)
        squares = _squared_distances(centres, centres)
        bandwidth = float(np.sqrt(max(np.median(squares), 1e-12)))
        kernel = np.exp(-np.sqrt(squares) / bandwidth)
        kernel[np.diag_indices_from(kernel)] += _RIDGE
        known = _unit(names - text_mean)
        distinct = np.unique(known, axis=0)
        root = _root(distinct)
        own = _text_kernel(known, distinct) @ root
        all_words = _text_kernel(_unit(words - words.mean(axis=0)), distinct) @ root
        target = (1.0 - _WORDS_SHARE) * own + _WORDS_SHARE * all_words
        return cls(
            feature_mean,
            point_mean,
            text_mean,
            centres.astype(np.float32),
            np.linalg.solve(kernel, target).astype(np.float32),
            distinct.astype(np.float32),
            root.astype(np.float32),
            bandwidth,
        )

    def texts(self, vectors: Array) -> Array:
        """φ ``[N, D]`` of unit text vectors ``[N, D]``, at unit length."""
        return _unit(_text_kernel(_unit(vectors - self.text_mean), self.names) @ self.root)

    def assets(self, features: AssetFeatures) -> Array:
        """f ``[N, D]``, at unit length, from all that is known of assets besides their words."""
        return self.objects(features.views, features.sizes, features.points[:, 0])

    def objects(self, views: Array, sizes: Array | None = None, points: Array | None = None) -> Array:
        """f ``[N, D]``, at unit length, from image features ``[N, V, E]`` and what else is known.

        ``sizes`` ``[N, 3]`` in metres and class tokens ``points`` ``[N, P]``: without them, or where they are
        zeros, they are unknown.
        """
        sizes = np.zeros((len(views), 3)) if sizes is None else sizes
        points = np.zeros((len(views), len(self.point_mean))) if points is None else points
        inputs = _inputs(_look(views) - self.feature_mean, sizes, points, self.point_mean)
        distances = np.sqrt(_squared_distances(inputs, self.centres))
        return _unit(np.exp(-distances / self.bandwidth) @ self.coefficients)


def _look(views: Array) -> Array:
    look: Array = np.sqrt(np.maximum(views, 0.0)).mean(axis=1)
    return look


def _inputs(look: Array, sizes: Array, points: Array, point_mean: Array) -> Array:
    """``[N, E + 3 + P]`` from centred looks, sizes and class tokens."""
    sized, shaped = (np.any(part != 0.0, axis=1, keepdims=True) for part in (sizes, points))
    logarithms = np.where(sized, standard_log_sizes(sizes), 0.0)
    shapes = np.where(shaped, _unit(points - point_mean), 0.0)
    return np.concatenate([_unit(look), _SIZE_WEIGHT * logarithms, _POINT_WEIGHT * shapes], axis=1)


def _text_kernel(left: Array, right: Array) -> Array:
    """``[N, M]`` for unit vectors ``[N, D]`` and ``[M, D]``."""
    kernel: Array = np.exp(_SHARPNESS * (left @ right.T - 1.0))
    return kernel


def _root(names: Array) -> Array:
    """U Λ^(−½) Rᵀ ``[L, D]`` of distinct unit vectors ``[L, D]``."""
    gram = _text_kernel(names, names).astype(np.float64)
    values, vectors = np.linalg.eigh(gram)
    kept = slice(-min(names.shape), None)
    root = vectors[:, kept] / np.sqrt(np.maximum(values[kept], 0.0) + _JITTER)
    left, _, right = np.linalg.svd((gram @ root).T @ names, full_matrices=False)
    turned: Array = root @ (left @ right)
    return turned


def _squared_distances(left: Array, right: Array) -> Array:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2.0 * left @ right.T
    distances: Array = np.maximum(squares, 0.0)
    return distances


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
