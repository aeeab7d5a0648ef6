"""Curves over time and over the surface: all smooth, all vectorised, phases in cycles (1 is a full turn)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["bump", "ease", "hop", "hump", "ramp", "wave"]


def wave(phase: float) -> float:
    """A sine: 0 at the start, +1 a quarter later."""
    return math.sin(2.0 * math.pi * phase)


def hump(phase: float) -> float:
    """0 → 1 → 0 over a cycle, at rest at both ends (raised cosine)."""
    return 0.5 - 0.5 * math.cos(2.0 * math.pi * phase)


def bump(phase: float, start: float, stop: float) -> float:
    """:func:`hump` squeezed into ``start`` … ``stop`` of the cycle; 0 elsewhere."""
    place = (phase % 1.0 - start) / (stop - start)
    return hump(place) if 0.0 < place < 1.0 else 0.0


def hop(phase: float, start: float, stop: float) -> float:
    """Free flight between ``start`` and ``stop`` of the cycle: a parabola of height 1; 0 on the ground."""
    place = (phase % 1.0 - start) / (stop - start)
    return 4.0 * place * (1.0 - place) if 0.0 < place < 1.0 else 0.0


def ease(progress: float) -> float:
    """0 → 1 with zero speed and zero acceleration at both ends (minimum jerk, Flash & Hogan 1985)."""
    x = min(max(progress, 0.0), 1.0)
    return x * x * x * (10.0 - 15.0 * x + 6.0 * x * x)


def ramp(values: NDArray[np.float64], start: float, stop: float) -> NDArray[np.float64]:
    """Smoothstep of ``values``: 0 below ``start``, 1 above ``stop``, continuous first derivative."""
    x = np.clip((values - start) / max(stop - start, 1e-12), 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
