"""How much each photograph counts in the 4D fit, guided by the alignment (Uni4D §3.5: S(t) ~ GP(t; … | A)).

    w_v = 1 + (1 − b) A (V a_v − 1)

a_v are the weights of the views, which sum to 1, and A = exp(−L_align) says how far to trust them: where
text, asset and photographs hardly agree all views count alike, and the better they agree, the more count
those that show what the text says. The weights have the mean 1, so that a loss over all views keeps its
scale, and none is below b: what no text speaks of, such as the back, must be fitted too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from uni4d_shared.types import Alignment

__all__ = ["LEAST_WEIGHT", "fit_weights"]

LEAST_WEIGHT = 0.5
"""b"""


def fit_weights(alignment: Alignment, *, least: float = LEAST_WEIGHT) -> NDArray[np.float32]:
    """``[V]`` with mean 1, each at least ``least`` (in [0, 1]; with 1 all views count alike)."""
    if not 0.0 <= least <= 1.0:
        raise ValueError(f"fit_weights: least is {least}, expected 0 to 1")
    shares = np.asarray(alignment.view_weights, np.float64)
    trust = float(np.clip(alignment.score, 0.0, 1.0))
    weights = 1.0 + (1.0 - least) * trust * (len(shares) * shares / shares.sum() - 1.0)
    return weights.astype(np.float32)
