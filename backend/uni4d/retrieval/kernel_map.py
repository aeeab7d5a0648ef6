"""From look and size to text vectors in closed form: kernel ridge regression over the training objects.

    f(x) = Σ_i k(x, x_i) α_i,    α = (K + λ I)⁻¹ Y,    k(x, y) = exp(−|x − y| / s)

x is an object's centred image features at unit length beside the logarithms of its size, Y the centred unit
text vectors of the training objects' names, s² the median squared distance between them. It remembers every
training object and answers by its neighbours, which a model trained by gradients on some hundred objects
cannot; ATMS in turn carries further from them. Their sum is better than either
(``uni4d evaluate retrieval`` prints all three).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.retrieval.atms_inputs import standard_log_sizes

__all__ = ["KernelMap"]

Array = NDArray[Any]

_SIZE_WEIGHT = 0.8
_RIDGE = 0.1


@frozen(eq=False)
class KernelMap:
    """A fitted map; all vectors that come out have unit length."""

    feature_mean: Array
    """``[E]``: of the square roots of image features."""
    text_mean: Array
    """``[D]``"""
    centres: Array
    """``[C, E + 3]`` float32"""
    coefficients: Array
    """``[C, D]`` float32"""
    bandwidth: float

    def tensors(self) -> dict[str, Array]:
        """The arrays, for a weights file; the inverse is the constructor."""
        return {
            "feature_mean": self.feature_mean.astype(np.float32),
            "text_mean": self.text_mean.astype(np.float32),
            "centres": self.centres,
            "coefficients": self.coefficients,
            "bandwidth": np.array([self.bandwidth], np.float32),
        }

    @classmethod
    def fit(cls, views: Array, sizes: Array, texts: Array) -> KernelMap:
        """Learn from ``views`` ``[N, V, E]``, ``sizes`` ``[N, 3]`` metres, unit ``texts`` ``[N, D]``."""
        look = np.sqrt(np.maximum(views, 0.0)).mean(axis=1)
        feature_mean, text_mean = look.mean(axis=0), texts.mean(axis=0)
        centres = _inputs(look - feature_mean, sizes)
        squares = _squared_distances(centres, centres)
        bandwidth = float(np.sqrt(max(np.median(squares), 1e-12)))
        kernel = np.exp(-np.sqrt(squares) / bandwidth)
        kernel[np.diag_indices_from(kernel)] += _RIDGE
        coefficients = np.linalg.solve(kernel, _unit(texts - text_mean))
        return cls(
            feature_mean,
            text_mean,
            centres.astype(np.float32),
            coefficients.astype(np.float32),
            bandwidth,
        )

    def texts(self, vectors: Array) -> Array:
        """Unit text vectors ``[N, D]`` in the space of the map."""
        return _unit(vectors - self.text_mean)

    def objects(self, views: Array, sizes: Array) -> Array:
        """``[N, D]`` from image features ``[N, V, E]`` and sizes ``[N, 3]``; zeros: size unknown."""
        look = np.sqrt(np.maximum(views, 0.0)).mean(axis=1) - self.feature_mean
        distances = np.sqrt(_squared_distances(_inputs(look, sizes), self.centres))
        return _unit(np.exp(-distances / self.bandwidth) @ self.coefficients)


def _inputs(look: Array, sizes: Array) -> Array:
    known = np.any(sizes > 0, axis=1, keepdims=True)
    logarithms = np.where(known, standard_log_sizes(sizes), 0.0)
    return np.concatenate([_unit(look), _SIZE_WEIGHT * logarithms], axis=1)


def _squared_distances(left: Array, right: Array) -> Array:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2.0 * left @ right.T
    distances: Array = np.maximum(squares, 0.0)
    return distances


def _unit(vectors: Array) -> Array:
    unit: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return unit
