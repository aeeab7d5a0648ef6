"""Bodies with known parts: a person, a dog, a lamp and a plane made of boxes, one metre or so tall, facing
−Y."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attrs import frozen
from numpy.typing import NDArray

from uni4d.video.body import Body


@frozen(eq=False)
class Shape:
    """A triangle mesh and what a motion knows of it."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    body: Body


def _box(low: tuple[float, ...], high: tuple[float, ...], steps: int = 4) -> tuple[NDArray, NDArray]:
    """A closed box of ``steps``² quads a side."""
    vertices, faces = [], []
    ticks = np.linspace(0.0, 1.0, steps + 1)
    for axis in range(3):
        for side in (0.0, 1.0):
            u, v = np.meshgrid(ticks, ticks, indexing="ij")
            grid = np.empty((*u.shape, 3))
            grid[..., axis] = side
            grid[..., (axis + 1) % 3] = u
            grid[..., (axis + 2) % 3] = v
            offset = sum(len(part) for part in vertices)
            index = np.arange(u.size).reshape(u.shape) + offset
            a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
            quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
            vertices.append(grid.reshape(-1, 3))
            faces.append(quads if side else quads[:, ::-1])
    size = np.asarray(high) - np.asarray(low)
    return np.concatenate(vertices) * size + np.asarray(low), np.concatenate(faces)


def _shape(*boxes: tuple[tuple[float, ...], tuple[float, ...]]) -> Shape:
    vertices, faces, offset = [], [], 0
    for low, high in boxes:
        points, triangles = _box(low, high)
        vertices.append(points)
        faces.append(triangles + offset)
        offset += len(points)
    all_vertices, all_faces = np.concatenate(vertices), np.concatenate(faces)
    return Shape(all_vertices, all_faces, Body.from_mesh(all_vertices, all_faces, samples=5000))


PERSON = (
    ((-0.16, -0.09, 0.5), (0.16, 0.09, 0.82)),  # trunk
    ((-0.09, -0.09, 0.86), (0.09, 0.09, 1.06)),  # head
    ((-0.04, -0.04, 0.8), (0.04, 0.04, 0.88)),  # neck
    ((0.04, -0.06, 0.0), (0.15, 0.06, 0.52)),  # left leg
    ((-0.15, -0.06, 0.0), (-0.04, 0.06, 0.52)),  # right leg
    ((0.14, -0.04, 0.7), (0.5, 0.04, 0.78)),  # left arm, stretched out
    ((-0.5, -0.04, 0.7), (-0.14, 0.04, 0.78)),  # right arm
)
DOG = (
    ((-0.12, -0.35, 0.3), (0.12, 0.35, 0.55)),  # trunk
    ((-0.08, -0.6, 0.55), (0.08, -0.3, 0.8)),  # head
    ((0.05, -0.34, 0.0), (0.12, -0.24, 0.32)),  # front left
    ((-0.12, -0.34, 0.0), (-0.05, -0.24, 0.32)),  # front right
    ((0.05, 0.24, 0.0), (0.12, 0.34, 0.32)),  # rear left
    ((-0.12, 0.24, 0.0), (-0.05, 0.34, 0.32)),  # rear right
    ((-0.02, 0.33, 0.48), (0.02, 0.6, 0.53)),  # tail
)
LOW_TAILED = (
    *DOG[:-1],
    ((-0.02, 0.32, 0.1), (0.02, 0.36, 0.4)),  # root of the tail, behind the trunk
    ((-0.02, 0.34, 0.08), (0.02, 0.85, 0.12)),  # the rest of it, near the ground
)
LAMP = (
    ((-0.15, -0.15, 0.0), (0.15, 0.15, 0.05)),  # foot
    ((-0.02, -0.02, 0.04), (0.02, 0.02, 0.75)),  # stem
    ((-0.2, -0.2, 0.72), (0.2, 0.2, 1.0)),  # shade
)
PLANE = (
    ((-0.07, -0.5, 0.2), (0.07, 0.5, 0.34)),  # fuselage
    ((-0.6, -0.25, 0.25), (0.6, 0.0, 0.29)),  # wings
    ((-0.02, 0.38, 0.3), (0.02, 0.5, 0.5)),  # fin
)


@pytest.fixture(scope="session")
def shapes() -> dict[str, Shape]:
    """``person``, ``dog``, ``low-tailed`` (a dog), ``lamp`` and ``plane``."""
    return {
        "person": _shape(*PERSON),
        "dog": _shape(*DOG),
        "low-tailed": _shape(*LOW_TAILED),
        "lamp": _shape(*LAMP),
        "plane": _shape(*PLANE),
    }


@pytest.fixture(scope="session")
def middle_of() -> Callable[
    [Shape, tuple[float, float, float], tuple[float, float, float]], NDArray[np.int64]
]:
    """``middle_of(shape, low, high)``: indices of the vertices inside a box."""

    def select(shape: Shape, low: tuple[float, ...], high: tuple[float, ...]) -> NDArray[np.int64]:
        inside = np.all((shape.vertices >= low) & (shape.vertices <= high), axis=1)
        assert inside.any()
        return np.flatnonzero(inside)

    return select
