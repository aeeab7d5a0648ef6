"""Random scenes of splats, and a small textured mesh."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from uni4d.library.geometry import Material, TexturedMesh
from uni4d.splatting import BoundSplats, splats_from_mesh

Scene = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="session")
def random_scene() -> Callable[..., Scene]:
    """``random_scene(count, seed, size=0.1, dtype=…)``: a ball of splats of all sizes and opacities."""

    def make(count: int, seed: int, size: float = 0.1, dtype: torch.dtype = torch.float32) -> Scene:
        generator = torch.Generator().manual_seed(seed)
        means = torch.randn(count, 3, generator=generator) * 0.5
        quaternions = torch.randn(count, 4, generator=generator)
        scales = size * (0.05 + torch.rand(count, 3, generator=generator))
        opacities = torch.rand(count, generator=generator)
        colors = torch.rand(count, 3, generator=generator)
        means, quaternions, scales, opacities, colors = (
            t.to(dtype) for t in (means, quaternions, scales, opacities, colors)
        )
        return means, quaternions, scales, opacities, colors

    return make


@pytest.fixture
def two_tone_box() -> TexturedMesh:
    """See :func:`make_two_tone_box`; each test may change its own."""
    return make_two_tone_box()


@pytest.fixture(scope="session")
def bound_box() -> BoundSplats:
    """300 splats on it."""
    return splats_from_mesh(make_two_tone_box(), 300)


def make_two_tone_box() -> TexturedMesh:
    """A 2 × 1 × 1 m box on the ground: red, but its top is blue; corners not shared, as in glTF."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-0.5, 0.5) for z in (0, 1)], dtype=np.float32)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    vertices = np.concatenate([corners[list(quad)] for quad in quads])
    faces = np.concatenate(
        [np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32) + 4 * index for index in range(len(quads))]
    )
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.repeat(np.cross(b - a, c - a)[::2], 4, axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return TexturedMesh(
        vertices=vertices,
        normals=normals.astype(np.float32),
        uv=np.zeros((len(vertices), 2), dtype=np.float32),
        faces=faces,
        face_material=np.array([0] * 10 + [1] * 2, dtype=np.int32),
        materials=(Material("red", (0.8, 0.1, 0.1, 1.0)), Material("blue", (0.1, 0.1, 0.8, 1.0))),
        name="box",
    )
