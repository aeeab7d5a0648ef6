"""The joint space of text, 3D assets and pictures, learnt from the library itself in closed form.

The space is the text encoder's, centred on the library's mean text. Image features x (square-rooted, since
rectified activations are skewed; centred; unit length) are mapped into it by ridge regression,

    W = (XᵀX + λ n I)⁻¹ XᵀY,

solved in its dual form, Xᵀ(XXᵀ + λ n I)⁻¹ Y, for there are fewer assets than features. λ is chosen by the
rank of the right text among all, on held-out folds.

**Nobody is embedded by a map that knows the answer**: assets are split into folds by name (equal names
share a fold), there is one map per fold that never saw the fold's texts, and an asset's vector comes from
its own fold's map. Pictures of unknown objects go through the map learnt from all assets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["JointSpace"]

Array = NDArray[Any]

_FOLDS = 5
_RIDGES = (0.0003, 0.001, 0.003, 0.01, 0.1)
"""λ relative to the mean squared length of the features, which is 1."""
_DEFAULT_RIDGE = 0.01
"""For libraries too small to choose it by cross-validation."""


@frozen(eq=False)
class JointSpace:
    """Maps into the joint space; all vectors that come out have unit length."""

    text_mean: Array
    """``[D]``"""
    feature_mean: Array
    """``[E]``"""
    maps: Array
    """``[folds + 1, E, D]``: one per fold, learnt from the other folds; the last from all assets."""
    ridge: float

    @classmethod
    def learn(cls, features: Array, texts: Array, groups: Sequence[str]) -> tuple[JointSpace, Array]:
        """The space, and the shape vectors ``[N, D]`` of the assets by the maps that never saw their text.

        Args:
            features: ``[N, V, E]`` non-negative image features of V views per asset.
            texts: ``[N, D]`` unit text vectors.
            groups: ``N`` names; assets with one name are kept together.
        """
        folds = np.array([_fold_of(group) for group in groups])
        text_mean = texts.mean(axis=0) if len(set(groups)) > 1 else np.zeros_like(texts[0])
        target = _unit(texts - text_mean)
        raw = _pooled(features)
        feature_mean = raw.mean(axis=0) if len(raw) > 1 else np.zeros_like(raw[0])
        inputs = _unit(raw - feature_mean)
        ridge = _choose_ridge(inputs, target, folds, groups)
        everything = _solve(inputs, target, ridge)
        maps = [
            _solve(inputs[folds != fold], target[folds != fold], ridge)
            if (folds != fold).any()
            else everything
            for fold in range(_FOLDS)
        ]
        space = cls(text_mean, feature_mean, np.stack([*maps, everything]).astype(np.float32), ridge)
        return space, space.shapes(features, groups)

    def texts(self, vectors: Array) -> Array:
        """Text encoder's vectors ``[N, D]`` in the joint space, unit length."""
        return _unit(vectors - self.text_mean)

    def shapes(self, features: Array, groups: Sequence[str] | None = None) -> Array:
        """Assets ``[N, D]`` from image features of their views ``[N, V, E]``.

        ``groups`` are the names of library assets, which are mapped without knowledge of their text; leave
        it away for foreign objects.
        """
        inputs = _unit(_pooled(features) - self.feature_mean)
        folds = [_FOLDS] * len(inputs) if groups is None else [_fold_of(group) for group in groups]
        return _unit(np.stack([row @ self.maps[fold] for row, fold in zip(inputs, folds, strict=True)]))

    def images(self, features: Array, group: str | None = None) -> Array:
        """Pictures ``[V, D]`` from image features ``[V, E]``, each on its own.

        ``group`` is the name of the library asset that they show, if they do.
        """
        names = None if group is None else [group] * len(features)
        return self.shapes(features[:, None], names)

    def save(self, path: Path) -> None:
        """Write the space to one ``.npz`` file."""
        np.savez(
            path,
            text_mean=self.text_mean,
            feature_mean=self.feature_mean,
            maps=self.maps.astype(np.float16),
            ridge=np.float64(self.ridge),
        )

    @classmethod
    def load(cls, path: Path) -> JointSpace:
        """The space that :meth:`save` wrote."""
        with np.load(path, allow_pickle=False) as archive:
            return cls(
                archive["text_mean"],
                archive["feature_mean"],
                archive["maps"].astype(np.float32),
                float(archive["ridge"]),
            )


def _pooled(features: Array) -> Array:
    """``[N, V, E]`` → ``[N, E]``: square roots, averaged over views, so that no view dominates."""
    return np.sqrt(np.maximum(features, 0.0)).mean(axis=1)


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _fold_of(group: str) -> int:
    """A name's fold; a hash, so that it never depends on what else is in the library."""
    return int.from_bytes(hashlib.sha256(group.lower().encode()).digest()[:4], "big") % _FOLDS


def _solve(inputs: Array, target: Array, ridge: float) -> Array:
    """W ``[E, D]`` of the module's formula."""
    gram = inputs @ inputs.T
    gram[np.diag_indices_from(gram)] += ridge * len(inputs)
    return inputs.T @ np.linalg.solve(gram, target)


def _choose_ridge(inputs: Array, target: Array, folds: Array, groups: Sequence[str]) -> float:
    """The λ whose held-out predictions rank their own text best (mean reciprocal rank).

    The ranks are among all texts, and a text equal to one's own is no competitor.
    """
    if len(set(groups)) < 10 * _FOLDS or len(set(folds.tolist())) < 2:
        return _DEFAULT_RIDGE
    names = np.array([group.lower() for group in groups])
    quality = {}
    for ridge in _RIDGES:
        predicted = np.empty_like(target)
        for fold in np.unique(folds):
            held = folds == fold
            predicted[held] = inputs[held] @ _solve(inputs[~held], target[~held], ridge)
        scores = _unit(predicted) @ target.T
        own = np.diagonal(scores)[:, None]
        rivals = (scores > own) & (names[:, None] != names[None, :])
        quality[ridge] = float((1.0 / (1.0 + rivals.sum(axis=1))).mean())
    return max(quality, key=lambda ridge: quality[ridge])
