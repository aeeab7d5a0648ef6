"""The joint space: what it learns carries over, and no asset's vector has seen its own text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.retrieval.space import JointSpace

Array = NDArray[Any]


@pytest.fixture(scope="module")
def world() -> tuple[Array, Array, list[str]]:
    """Texts and features of 300 made-up objects; the features are a noisy linear view of the texts."""
    generator = np.random.default_rng(0)
    names = [f"thing {index // 2}" for index in range(300)]
    latent = np.repeat(generator.normal(size=(150, 12)), 2, axis=0)
    texts = latent @ generator.normal(size=(12, 40))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    look = latent @ generator.normal(size=(12, 90))
    features = np.maximum(look[:, None] + 0.5 * generator.normal(size=(300, 2, 90)), 0.0)
    return features, texts, names


def test_objects_are_nearest_to_their_own_text(world: tuple[Array, Array, list[str]]) -> None:
    features, texts, names = world
    space, shapes = JointSpace.learn(features, texts, names)
    scores = shapes @ space.texts(texts).T
    own = np.diagonal(scores)[:, None]
    assert ((scores > own + 1e-9).sum(axis=1) == 0).mean() > 0.8


def test_no_vector_has_seen_its_own_text(world: tuple[Array, Array, list[str]]) -> None:
    """Turning the texts of one name into nonsense leaves that name's shape vectors as they were."""
    features, texts, names = world
    changed = texts.copy()
    mine = np.array([name == "thing 7" for name in names])
    changed[mine] = changed[mine][:, ::-1]
    space, shapes = JointSpace.learn(features, texts, names)
    _, others = JointSpace.learn(features, changed, names)
    # The centre of the texts moves by a hair; a map that had seen the text would swing towards it.
    assert np.einsum("nd,nd->n", shapes[mine], others[mine]).min() > 0.999
    inside = space.shapes(features[mine])
    assert (
        np.einsum("nd,nd->n", inside, space.texts(texts[mine])).mean()
        > np.einsum("nd,nd->n", shapes[mine], space.texts(texts[mine])).mean()
    )


def test_shuffled_texts_teach_nothing(world: tuple[Array, Array, list[str]]) -> None:
    features, texts, names = world
    order = np.random.default_rng(1).permutation(150)
    shuffled = texts.reshape(150, 2, -1)[order].reshape(300, -1)
    space, shapes = JointSpace.learn(features, shuffled, names)
    scores = shapes @ space.texts(shuffled).T
    rank = (scores > np.diagonal(scores)[:, None] + 1e-9).sum(axis=1)
    assert 100 < np.median(rank) < 200


def test_pictures_and_assets_share_the_space(world: tuple[Array, Array, list[str]]) -> None:
    features, texts, names = world
    space, shapes = JointSpace.learn(features, texts, names)
    pictures = space.images(features[4], names[4])
    assert pictures.shape == (2, 40)
    assert np.allclose(np.linalg.norm(pictures, axis=1), 1, atol=1e-5)
    assert (pictures @ shapes[4]).min() > 0.5


def test_a_saved_space_is_the_same_space(world: tuple[Array, Array, list[str]], tmp_path: Path) -> None:
    features, texts, names = world
    space, shapes = JointSpace.learn(features, texts, names)
    space.save(tmp_path / "space.npz")
    again = JointSpace.load(tmp_path / "space.npz")
    assert np.allclose(again.shapes(features, names), shapes, atol=2e-3)
    assert np.allclose(again.texts(texts), space.texts(texts))


def test_one_asset_is_enough() -> None:
    features = np.random.default_rng(0).random((1, 2, 30))
    text = np.eye(1, 8)
    space, shapes = JointSpace.learn(features, text, ["cube"])
    assert np.isfinite(shapes).all()
    assert np.isfinite(space.texts(text)).all()
