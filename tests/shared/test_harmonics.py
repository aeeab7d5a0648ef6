"""Spherical harmonics in numpy: as the renderers have them, and as a camera sees them."""

from __future__ import annotations

import attrs
import numpy as np

from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.harmonics import colors_from, evaluate, rotate
from uni4d_shared.types import Splats

CHANCE = np.random.default_rng(3)


def _unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _splats(count: int, harmonics: int) -> Splats:
    return Splats(
        CHANCE.normal(size=(count, 3)),
        _unit(CHANCE.normal(size=(count, 4))),
        np.ones((count, 3)),
        np.ones(count),
        CHANCE.random((count, 3)),
        CHANCE.normal(size=(count, harmonics, 3)) * 0.2,
    )


def test_a_camera_sees_each_splat_from_its_own_side() -> None:
    splats, position = _splats(40, 8), np.array([1.0, -2.0, 3.0])
    seen = colors_from(splats, position)
    for index in range(40):
        direction = _unit(splats.means[index] - position)
        color = splats.colors[index] + evaluate(direction, 8) @ splats.harmonics[index]
        assert np.allclose(seen[index], np.maximum(color, 0.0), atol=1e-5)


def test_the_functions_are_orthonormal_on_the_sphere() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) / 16 * 2 * np.pi
    z, angle = (grid.ravel() for grid in np.meshgrid(nodes, angles, indexing="ij"))
    ring = np.sqrt(1 - z * z)
    values = evaluate(np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1), 15)
    gram = np.einsum("mk,ml,m->kl", values, values, np.repeat(weights, 16) * 2 * np.pi / 16)
    assert np.allclose(gram, np.eye(15), atol=1e-6)


def test_turning_twice_is_turning_once_by_the_product_and_not_at_all_is_nothing() -> None:
    harmonics = CHANCE.normal(size=(20, 15, 3))
    first, second = matrix_from_quaternion(_unit(CHANCE.normal(size=(2, 20, 4))))
    assert np.allclose(
        rotate(rotate(harmonics, first), second), rotate(harmonics, second @ first), atol=1e-10
    )
    assert np.allclose(rotate(harmonics, np.tile(np.eye(3), (20, 1, 1))), harmonics, atol=1e-12)


def test_without_harmonics_every_side_looks_the_same() -> None:
    splats = _splats(5, 0)
    assert np.array_equal(colors_from(splats, [9, 9, 9]), splats.colors)
    assert attrs.evolve(splats, colors=splats.colors).harmonics.shape == (5, 0, 3)
