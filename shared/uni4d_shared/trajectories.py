"""Motion between its keyframes: every node's path is a Gaussian process over continuous time.

The prior of a coordinate x(t) is a Matérn 5/2 kernel about an unknown constant (Rasmussen & Williams 2006,
§4.2 and §2.7): with τ = √5 |t − t'| / ℓ,

    k(t, t') = (1 + τ + τ²/3) e^(−τ) + c²

so paths have a velocity and an acceleration, and an object that keeps still stays where it is. Given the
keyframes, the expected path is x(t) = w(t)ᵀ X with w(t) = K⁻¹ k(t); turns are quaternions, whose four
numbers are interpolated so and then normalised. How far the truth may be off has two parts, that of the
keyframes and what lies between them:

    σ²(t) = Σ_s w_s(t)² σ_s² + s² (k(t, t) − w(t)ᵀ k(t)),      s² the mean square step of a node, times ℓ².
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from uni4d_shared.types import Array, NodeMotion

__all__ = ["deviation_at", "kernel", "precision", "state_at", "weights_at"]

_CONSTANT = 100.0
"""c²: nothing is known of where a path lies."""
_JITTER = 1e-8


def kernel(first: Array, second: Array, length_scale: float) -> Array:
    """k ``[A, B]`` of times ``[A]`` and ``[B]`` in frames; ``length_scale`` ℓ in frames."""
    lag = math.sqrt(5.0) * np.abs(np.subtract.outer(first, second)) / length_scale
    return (1.0 + lag + lag * lag / 3.0) * np.exp(-lag) + _CONSTANT


@lru_cache(maxsize=16)
def precision(frames: int, length_scale: float) -> Array:
    """K⁻¹ ``[T, T]`` of one keyframe per frame."""
    times = np.arange(frames, dtype=np.float64)
    return np.linalg.inv(kernel(times, times, length_scale) + _JITTER * np.eye(frames))


def weights_at(frames: int, time: float, length_scale: float) -> Array:
    """w(t) ``[T]`` at ``time`` in frames, which is limited to the motion's own; sums to 1."""
    time = min(max(float(time), 0.0), frames - 1.0)
    if time == int(time):
        return np.eye(frames)[int(time)]
    near = kernel(np.array([time]), np.arange(frames, dtype=np.float64), length_scale)[0]
    weights = precision(frames, length_scale) @ near
    return weights / weights.sum()


def state_at(motion: NodeMotion, time: float) -> tuple[Array, Array]:
    """Unit quaternions ``[K, 4]`` and translations ``[K, 3]`` of the nodes at ``time`` in frames."""
    weights = weights_at(len(motion.rotations), time, motion.length_scale)
    rotations = np.tensordot(weights, motion.rotations, axes=1)
    rotations /= np.maximum(np.linalg.norm(rotations, axis=1, keepdims=True), 1e-12)
    return rotations, np.tensordot(weights, motion.translations, axes=1)


def deviation_at(motion: NodeMotion, time: float) -> Array:
    """``[K]`` metres: the standard deviation of each node's place at ``time`` in frames, along one axis.

    Zero at whole frames of a motion whose keyframes are exact (``deviations`` empty).
    """
    count = len(motion.rotations)
    weights = weights_at(count, time, motion.length_scale)
    near = kernel(np.array([time]), np.arange(count, dtype=np.float64), motion.length_scale)[0]
    open_share = max(1.0 + _CONSTANT - float(weights @ near), 0.0) if time != int(time) else 0.0
    steps = (
        np.diff(motion.translations, axis=0) if count > 1 else np.zeros((1, *motion.translations.shape[1:]))
    )
    spread = np.square(steps).mean(axis=(0, 2)) * motion.length_scale**2
    known = motion.deviations if len(motion.deviations) else np.zeros((count, len(motion.nodes)))
    return np.sqrt(np.square(weights) @ np.square(known) + spread * open_share)
