"""The closed-form map: it solves what it says, and carries over to objects it never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.retrieval.kernel_map import KernelMap

Array = NDArray[Any]


@pytest.fixture(scope="module")
def world() -> tuple[Array, Array, Array]:
    """Views, sizes and texts of 240 made-up objects of 60 kinds."""
    generator = np.random.default_rng(0)
    latent = np.repeat(generator.normal(size=(60, 10)), 4, axis=0)
    texts = latent @ generator.normal(size=(10, 32))
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    look = latent @ generator.normal(size=(10, 80))
    views = np.maximum(look[:, None] + 0.6 * generator.normal(size=(240, 2, 80)), 0.0)
    return views, np.exp(latent[:, :3] * 0.3), texts


def test_unseen_objects_of_known_kinds_find_their_text(world: tuple[Array, Array, Array]) -> None:
    views, sizes, texts = world
    seen = np.arange(240) % 4 != 0
    fitted = KernelMap.fit(views[seen], sizes[seen], texts[seen])
    scores = fitted.objects(views[~seen], sizes[~seen]) @ fitted.texts(texts[~seen]).T
    assert (scores.argmax(axis=1) == np.arange(60)).mean() > 0.8


def test_shuffled_texts_teach_nothing(world: tuple[Array, Array, Array]) -> None:
    views, sizes, texts = world
    seen = np.arange(240) % 4 != 0
    shuffled = texts.reshape(60, 4, -1)[np.random.default_rng(1).permutation(60)].reshape(240, -1)
    fitted = KernelMap.fit(views[seen], sizes[seen], shuffled[seen])
    scores = fitted.objects(views[~seen], sizes[~seen]) @ fitted.texts(texts[~seen]).T
    assert (scores.argmax(axis=1) == np.arange(60)).mean() < 0.15


def test_the_coefficients_solve_the_ridge_regression(world: tuple[Array, Array, Array]) -> None:
    views, sizes, texts = (part[:40] for part in world)
    fitted = KernelMap.fit(views, sizes, texts)
    centres = fitted.centres.astype(np.float64)
    kernel = np.array(
        [[np.exp(-np.linalg.norm(left - right) / fitted.bandwidth) for right in centres] for left in centres]
    )
    wanted = fitted.texts(texts)
    assert np.allclose((kernel + 0.1 * np.eye(40)) @ fitted.coefficients, wanted, atol=1e-4)


def test_a_picture_without_a_size_is_answered_too(world: tuple[Array, Array, Array]) -> None:
    views, sizes, texts = world
    fitted = KernelMap.fit(views, sizes, texts)
    found = fitted.objects(views[:3, :1], np.zeros((3, 3)))
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
