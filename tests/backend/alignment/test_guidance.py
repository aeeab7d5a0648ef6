"""How much each photograph counts in the fit."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest

from uni4d.alignment.guidance import LEAST_WEIGHT, fit_weights
from uni4d_shared.types import Alignment


def alignment(weights: list[float], loss: float) -> Alignment:
    return Alignment(
        text_shape=0.5,
        shape_image=0.5,
        image_text=0.5,
        loss=loss,
        score=math.exp(-loss),
        view_weights=np.array(weights),
        key_view=int(np.argmax(weights)),
    )


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.97, 0.01, 0.01, 0.01], [1.0, 0.0, 0.0], [1.0]])
@pytest.mark.parametrize("loss", [0.0, 0.4, 6.0])
def test_no_view_is_lost_and_the_loss_keeps_its_scale(weights: list[float], loss: float) -> None:
    found = fit_weights(alignment(weights, loss))
    assert found.shape == (len(weights),)
    assert found.mean() == pytest.approx(1.0, abs=1e-6)
    assert found.min() >= LEAST_WEIGHT - 1e-6


def test_what_shows_the_text_best_counts_most_and_more_where_all_agree() -> None:
    told = [0.1, 0.5, 0.3, 0.1]
    good, poor = fit_weights(alignment(told, 0.3)), fit_weights(alignment(told, 3.0))
    assert np.array_equal(np.argsort(good, kind="stable"), np.argsort(told, kind="stable"))
    assert good.max() > poor.max() > 1.0
    assert fit_weights(alignment(told, 0.0))[1] == pytest.approx(1.5)  # half of itself, half of the mean's
    assert np.allclose(fit_weights(alignment(told, 0.3), least=1.0), 1.0)


def test_weights_need_not_sum_to_one() -> None:
    told = alignment([1.0, 3.0], 0.5)
    whole = attrs.evolve(told, view_weights=np.array([0.25, 0.75]))
    assert np.allclose(fit_weights(told), fit_weights(whole))
    with pytest.raises(ValueError, match="least"):
        fit_weights(told, least=1.5)
