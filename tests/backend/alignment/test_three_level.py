from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from uni4d.alignment import align
from uni4d.alignment.three_level import Seen, canonical_prior, percentile_of, said_alignment
from uni4d.config import AlignConfig
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

QUERY = Query("a dog is walking", "a dog", "walking")
X, Y, Z = np.eye(3)


def seen(vector: np.ndarray, attention: object = (1.0,)) -> Seen:
    return Seen(vector, attention, np.ones((2, 3)))


def test_perfect_agreement_scores_one() -> None:
    alignment = align(QUERY, X, seen(X, (0.5, 0.5)), X, AlignConfig())
    assert (alignment.text_shape, alignment.shape_image, alignment.image_text) == pytest.approx((1, 1, 1))
    assert alignment.loss == pytest.approx(0.0, abs=1e-12)
    assert alignment.score == pytest.approx(1.0)
    np.testing.assert_allclose(alignment.view_weights, 0.5)
    assert alignment.tokens.shape == (2, 3)


def test_the_loss_is_the_papers_formula() -> None:
    text, asset, image = X, (X + Y) / math.sqrt(2), (Y + Z) / math.sqrt(2)
    config = AlignConfig(text_shape=2.0, shape_image=3.0, image_text=5.0)
    alignment = align(QUERY, asset, seen(image), text, config)
    assert alignment.text_shape == pytest.approx(math.sqrt(0.5))
    assert alignment.shape_image == pytest.approx(0.5)
    assert alignment.image_text == pytest.approx(0.0, abs=1e-12)
    assert alignment.loss == pytest.approx(2 * (1 - math.sqrt(0.5)) + 3 * 0.5 + 5 * 1.0)
    assert alignment.score == pytest.approx(math.exp(-alignment.loss))


def test_the_view_that_is_looked_at_is_the_key_view() -> None:
    alignment = align(QUERY, X, seen(X, (0.1, 0.2, 0.6, 0.1)), X, AlignConfig())
    assert alignment.key_view == 2
    np.testing.assert_allclose(alignment.view_weights, (0.1, 0.2, 0.6, 0.1), rtol=1e-6)


def test_between_views_that_say_the_same_the_canonical_one_wins() -> None:
    cameras = orbit_rig([0.0, 0.0, 0.5], 1.0)
    attention = np.full(len(cameras), 1.0 / len(cameras))
    alignment = align(QUERY, X, seen(X, attention), X, AlignConfig(), cameras=cameras)
    assert alignment.key_view == 0, "camera 0 of the rig stands at the front three-quarter view"
    prior = canonical_prior(cameras)
    assert prior.sum() == pytest.approx(1.0)
    behind = prior[4]
    assert prior[0] > 100 * behind
    np.testing.assert_allclose(alignment.view_weights, prior, rtol=1e-5)


def test_clear_attention_overrules_the_canonical_view() -> None:
    cameras = orbit_rig([0.0, 0.0, 0.5], 1.0)
    attention = np.full(len(cameras), 1e-9)
    attention[6] = 1.0
    assert align(QUERY, X, seen(X, attention), X, AlignConfig(), cameras=cameras).key_view == 6


@given(arrays(np.float64, (3, 8), elements=st.floats(-1, 1)), st.floats(0.1, 10))
def test_only_directions_matter_and_weights_sum_to_one(vectors: np.ndarray, factor: float) -> None:
    vectors = vectors + np.eye(3, 8) * 3  # none of length zero
    text, asset, image = vectors
    one = align(QUERY, asset, seen(image, (1.0, 3.0)), text, AlignConfig())
    other = align(QUERY, factor * asset, seen(factor * image, (2.0, 6.0)), text / factor, AlignConfig())
    assert one.view_weights.sum() == pytest.approx(1.0, abs=1e-5)
    assert (one.view_weights >= 0).all()
    assert other.loss == pytest.approx(one.loss, abs=1e-9)
    assert 0.0 < one.score <= 1.0 + 1e-12


def test_a_percentile_says_how_many_mismatches_agree_less() -> None:
    scale = np.linspace(1.0, 3.0, 101)
    assert percentile_of(1.0, scale) == pytest.approx(100.0)
    assert percentile_of(2.5, scale) == pytest.approx(25.0)
    assert percentile_of(9.0, scale) == pytest.approx(0.0)
    assert percentile_of(1.0, ()) is None
    alignment = align(QUERY, X, seen(X), X, AlignConfig(text_shape=7.0), mismatched=scale)
    assert alignment.percentile == pytest.approx(100.0), "weights do not move the scale"
    assert said_alignment({"score": 0.9, "percentile": 97.2}) == (
        "0.90, better than 97 of 100 that do not belong together"
    )


@pytest.mark.parametrize(
    ("asset", "image", "attention", "text"),
    [
        (np.zeros(3), X, (1.0,), X),
        (X, np.full(3, np.nan), (1.0,), X),
        (X, np.ones(4), (1.0,), X),
        (X, X, (), X),
    ],
    ids=["zero", "nan", "other space", "no views"],
)
def test_impossible_embeddings_are_refused(
    asset: np.ndarray, image: np.ndarray, attention: tuple[float, ...], text: np.ndarray
) -> None:
    with pytest.raises(Uni4DError) as caught:
        align(QUERY, asset, seen(image, attention), text, AlignConfig())
    assert caught.value.code == "embedding-invalid"
    assert QUERY.prompt in caught.value.message


def test_one_camera_per_view() -> None:
    with pytest.raises(ValueError, match="1 views but 16 cameras"):
        align(QUERY, X, seen(X), X, AlignConfig(), cameras=orbit_rig([0, 0, 0], 1.0))
