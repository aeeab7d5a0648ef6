"""The closed-form map: it solves what it says, and carries over to objects it never saw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import evolve, frozen
from numpy.typing import NDArray

from uni4d.retrieval.kernel_map import KernelMap

Array = NDArray[Any]


@frozen(eq=False)
class World:
    """240 made-up objects of 60 kinds, four of each."""

    views: Array
    sizes: Array
    points: Array
    names: Array
    words: Array

    def rows(self, rows: Array) -> World:
        return World(
            self.views[rows], self.sizes[rows], self.points[rows], self.names[rows], self.words[rows]
        )

    def fit(self) -> KernelMap:
        return KernelMap.fit(self.views, self.sizes, self.points, self.names, self.words)


SEEN = np.arange(240) % 4 != 0


@pytest.fixture(scope="module")
def world() -> World:
    generator = np.random.default_rng(0)
    latent = np.repeat(generator.normal(size=(60, 10)), 4, axis=0)
    names = unit(latent @ generator.normal(size=(10, 64)))
    look = latent @ generator.normal(size=(10, 80))
    views = np.maximum(look[:, None] + 0.6 * generator.normal(size=(240, 2, 80)), 0.0)
    points = latent @ generator.normal(size=(10, 12)) + 0.6 * generator.normal(size=(240, 12))
    words = unit(names + 0.05 * generator.normal(size=names.shape))
    return World(views, np.exp(latent[:, :3] * 0.3), points, names, words)


def unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def found(fitted: KernelMap, objects: Array, names: Array) -> float:
    """Share of objects whose own name is the nearest."""
    return float(((objects @ fitted.texts(names).T).argmax(axis=1) == np.arange(len(names))).mean())


def test_unseen_objects_of_known_kinds_find_their_text(world: World) -> None:
    fitted, rest = world.rows(SEEN).fit(), world.rows(~SEEN)
    assert found(fitted, fitted.objects(rest.views, rest.sizes, rest.points), rest.names) > 0.8


def test_shuffled_texts_teach_nothing(world: World) -> None:
    order = np.random.default_rng(1).permutation(60)
    shuffled = world.names.reshape(60, 4, -1)[order].reshape(240, -1)
    fitted = evolve(world, names=shuffled, words=shuffled).rows(SEEN).fit()
    rest = world.rows(~SEEN)
    assert found(fitted, fitted.objects(rest.views, rest.sizes, rest.points), rest.names) < 0.15


def test_objects_that_look_alike_are_told_apart_by_their_points(world: World) -> None:
    same = np.ones_like(world.sizes)
    grey = evolve(world, views=np.ones_like(world.views), sizes=same)
    fitted, rest = grey.rows(SEEN).fit(), grey.rows(~SEEN)
    assert found(fitted, fitted.objects(rest.views, rest.sizes, rest.points), rest.names) > 0.5
    assert found(fitted, fitted.objects(rest.views, rest.sizes), rest.names) < 0.1


def test_inner_products_of_names_are_the_text_kernel(world: World) -> None:
    fitted = world.fit()
    assert fitted.dimensions == world.names.shape[1] > len(fitted.names) == 60
    names = unit(world.names[::4] - world.names.mean(axis=0))
    vectors = fitted.texts(world.names[::4])
    assert np.allclose(vectors @ vectors.T, np.exp(4.0 * (names @ names.T - 1.0)), atol=5e-3)


def test_maps_of_different_objects_share_one_space(world: World) -> None:
    names = unit(np.random.default_rng(2).normal(size=(60, 64)))
    free = evolve(world, names=np.repeat(names, 4, axis=0), words=np.repeat(names, 4, axis=0))
    first, second = (free.rows(np.arange(start, start + 200)).fit() for start in (0, 40))
    shared = names[10:50]
    between = first.texts(shared) @ second.texts(shared).T
    assert float(np.diag(between).mean()) > 0.6
    assert (between.argmax(axis=1) == np.arange(40)).all()


def test_the_coefficients_solve_the_ridge_regression(world: World) -> None:
    few = evolve(world, words=world.names).rows(np.arange(40))
    fitted = few.fit()
    centres = fitted.centres.astype(np.float64)
    kernel = np.array(
        [[np.exp(-np.linalg.norm(left - right) / fitted.bandwidth) for right in centres] for left in centres]
    )
    predicted = kernel @ fitted.coefficients
    # Words that have the names' own mean and directions: the target is φ of the name, before it is unit.
    names = unit(few.names - fitted.text_mean)
    target = np.exp(4.0 * (names @ fitted.names.T - 1.0)) @ fitted.root
    assert np.allclose(predicted + 0.1 * fitted.coefficients, target, atol=1e-4)
    assert np.allclose(unit(predicted), fitted.objects(few.views, few.sizes, few.points), atol=1e-4)


def test_what_is_not_known_is_left_out(world: World) -> None:
    fitted, picture = world.fit(), world.views[:3, :1]
    answered = fitted.objects(picture)
    assert np.allclose(np.linalg.norm(answered, axis=1), 1.0, atol=1e-5)
    assert np.array_equal(answered, fitted.objects(picture, np.zeros((3, 3)), np.zeros((3, 12))))
    assert not np.allclose(answered, fitted.objects(picture, world.sizes[:3], world.points[:3]), atol=1e-2)
