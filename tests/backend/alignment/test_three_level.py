from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from uni4d.alignment import align
from uni4d.alignment.three_level import canonical_prior
from uni4d.config import AlignConfig
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

QUERY = Query("a dog is walking", "a dog", "walking")
X, Y, Z = np.eye(3)


def test_perfect_agreement_scores_one() -> None:
    alignment = align(QUERY, X, np.stack([X, X]), X, AlignConfig())
    assert (alignment.text_shape, alignment.shape_image, alignment.image_text) == pytest.approx((1, 1, 1))
    assert alignment.loss == pytest.approx(0.0, abs=1e-12)
    assert alignment.score == pytest.approx(1.0)
    np.testing.assert_allclose(alignment.view_weights, 0.5)


def test_the_loss_is_the_papers_formula() -> None:
    text, asset, image = X, (X + Y) / math.sqrt(2), (Y + Z) / math.sqrt(2)
    config = AlignConfig(text_shape=2.0, shape_image=3.0, image_text=5.0)
    alignment = align(QUERY, asset, image[None], text, config)
    assert alignment.text_shape == pytest.approx(math.sqrt(0.5))
    assert alignment.shape_image == pytest.approx(0.5)
    assert alignment.image_text == pytest.approx(0.0, abs=1e-12)
    assert alignment.loss == pytest.approx(2 * (1 - math.sqrt(0.5)) + 3 * 0.5 + 5 * 1.0)
    assert alignment.score == pytest.approx(math.exp(-alignment.loss))


def test_the_view_that_shows_what_the_text_says_is_the_key_view() -> None:
    views = np.stack([Y, X + 0.5 * Y, X + 0.1 * Y, Z])
    alignment = align(QUERY, X, views, X, AlignConfig())
    assert alignment.key_view == 2
    assert np.argmax(alignment.view_weights) == 2
    picky = align(QUERY, X, views, X, AlignConfig(view_temperature=0.005))
    assert picky.view_weights[2] > alignment.view_weights[2]
    assert picky.image_text > alignment.image_text


def test_between_views_that_say_the_same_the_canonical_one_wins() -> None:
    cameras = orbit_rig([0.0, 0.0, 0.5], 1.0)
    views = np.tile(X, (len(cameras), 1))
    alignment = align(QUERY, X, views, X, AlignConfig(), cameras=cameras)
    assert alignment.key_view == 0, "camera 0 of the rig stands at the front three-quarter view"
    prior = canonical_prior(cameras)
    assert prior.sum() == pytest.approx(1.0)
    behind = prior[4]
    assert prior[0] > 100 * behind
    np.testing.assert_allclose(alignment.view_weights, prior, rtol=1e-5)


def test_a_clear_text_overrules_the_canonical_view() -> None:
    cameras = orbit_rig([0.0, 0.0, 0.5], 1.0)
    views = np.tile(Y, (len(cameras), 1))
    views[6] = X
    assert align(QUERY, X, views, X, AlignConfig(), cameras=cameras).key_view == 6


@given(arrays(np.float64, (6, 8), elements=st.floats(-1, 1)), st.floats(0.1, 10))
def test_only_directions_matter_and_weights_sum_to_one(vectors: np.ndarray, factor: float) -> None:
    vectors = vectors + np.eye(6, 8) * 3  # none of length zero
    text, asset, views = vectors[0], vectors[1], vectors[2:]
    one = align(QUERY, asset, views, text, AlignConfig())
    other = align(QUERY, factor * asset, factor * views, text / factor, AlignConfig())
    assert one.view_weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert (one.view_weights >= 0).all()
    assert other.loss == pytest.approx(one.loss, abs=1e-9)
    assert 0.0 < one.score <= 1.0 + 1e-12


@pytest.mark.parametrize(
    ("asset", "views", "text"),
    [
        (np.zeros(3), np.stack([X]), X),
        (X, np.stack([X, np.full(3, np.nan)]), X),
        (X, np.ones((2, 4)), X),
        (X, np.empty((0, 3)), X),
        (X, np.stack([Y, -Y]), X),
    ],
    ids=["zero", "nan", "other space", "no views", "views cancel"],
)
def test_impossible_embeddings_are_refused(asset: np.ndarray, views: np.ndarray, text: np.ndarray) -> None:
    with pytest.raises(Uni4DError) as caught:
        align(QUERY, asset, views, text, AlignConfig())
    assert caught.value.code == "embedding-invalid"
    assert QUERY.prompt in caught.value.message


def test_one_camera_per_view() -> None:
    with pytest.raises(ValueError, match="1 views but 16 cameras"):
        align(QUERY, X, X[None], X, AlignConfig(), cameras=orbit_rig([0, 0, 0], 1.0))
