"""A small jointed object, its photographs, and clips of it in motion.

The clips are rendered from a cloud of splats of their own, denser and from another seed than any fit's, and
moved by formulas that the fit knows nothing of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from uni4d.library.geometry import Material, TexturedMesh
from uni4d.splatting import BoundSplats, render, splats_from_mesh
from uni4d.splatting.static import refine_on_views
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.types import Alignment, Camera, Clip, ViewSet

Vertices = NDArray[np.float32]
Motion = Callable[[Vertices, float], Vertices]
"""Vertices at rest and the time in [0, 1) → vertices."""


def box(low: tuple[float, ...], high: tuple[float, ...], cells: int) -> tuple[Vertices, NDArray[np.int32]]:
    """A closed box whose sides are grids of quads; the sides share no vertices, as in glTF."""
    corner, size = np.asarray(low), np.asarray(high) - np.asarray(low)
    steps = np.linspace(0.0, 1.0, cells + 1)
    u, v = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    sides = []
    for axis in range(3):
        for end in (0.0, 1.0):
            unit = np.empty((len(u), 3))
            unit[:, axis] = end
            unit[:, (axis + 1) % 3], unit[:, (axis + 2) % 3] = (u, v) if end else (v, u)
            sides.append(corner + unit * size)
    faces = np.concatenate([triangles + len(u) * side for side in range(6)])
    return np.concatenate(sides).astype(np.float32), faces.astype(np.int32)


def painted(vertices: NDArray[Any], faces: NDArray[Any], colors: NDArray[Any], name: str) -> TexturedMesh:
    """A mesh of one material with a colour ``[P, 3]`` at each vertex."""
    return TexturedMesh(
        vertices=vertices.astype(np.float32),
        normals=np.tile(np.array([0, 0, 1], dtype=np.float32), (len(vertices), 1)),
        uv=np.zeros((len(vertices), 2), dtype=np.float32),
        faces=faces.astype(np.int32),
        face_material=np.zeros(len(faces), dtype=np.int32),
        materials=(Material("paint", (1.0, 1.0, 1.0, 1.0)),),
        vertex_colors=np.concatenate([colors, np.ones((len(vertices), 1))], axis=1).astype(np.float32),
        name=name,
    )


def make_toy(scale: float) -> TexturedMesh:
    """A four-legged thing of six loose boxes with a pattern of colours, about ``scale`` metres long."""
    parts = [box((-0.2, -0.5, 0.4), (0.2, 0.5, 0.7), 4), box((-0.12, -0.75, 0.6), (0.12, -0.45, 0.9), 3)]
    for x in (-0.13, 0.13):
        for y in (-0.4, 0.4):
            parts.append(box((x - 0.06, y - 0.06, 0.0), (x + 0.06, y + 0.06, 0.42), 3))
    vertices = np.concatenate([v for v, _ in parts])
    starts = np.cumsum([0, *(len(v) for v, _ in parts[:-1])])
    faces = np.concatenate([f + start for (_, f), start in zip(parts, starts, strict=True)])
    pattern = 0.5 + 0.35 * np.sin(vertices @ np.array([[9.0, 3, 2], [4, 8, 5], [6, 7, 9]]) + np.arange(3))
    return painted(scale * vertices, faces, pattern, "toy")


def spin(vertices: Vertices, time: float) -> Vertices:
    """A full turn about the vertical through the centre."""
    centre, _ = bounding_sphere(vertices)
    return ((vertices - centre) @ _about_z(2 * math.pi * time).T + centre).astype(np.float32)


def circle(vertices: Vertices, time: float) -> Vertices:
    """Flying in a circle, nose ahead, bobbing."""
    angle = 2 * math.pi * time
    _, radius = bounding_sphere(vertices)
    way = 0.22 * radius * np.array([math.sin(angle), 1 - math.cos(angle), 0.4 * math.sin(2 * angle)])
    return (spin(vertices, time) + way).astype(np.float32)


def sway(vertices: Vertices, time: float) -> Vertices:
    """Bending sideways, the more the higher."""
    low, high = vertices[:, 2].min(), vertices[:, 2].max()
    height = vertices[:, 2] - low
    angle = 0.4 * math.sin(2 * math.pi * time) * height / (high - low)
    x = vertices[:, 0] * np.cos(angle) + height * np.sin(angle)
    z = low - vertices[:, 0] * np.sin(angle) + height * np.cos(angle)
    return np.stack([x, vertices[:, 1], z], axis=1).astype(np.float32)


def walk(vertices: Vertices, time: float) -> Vertices:
    """The four legs swing about their upper ends, diagonal ones together."""
    hip = 0.45 * (vertices[:, 2].max() - vertices[:, 2].min())
    middle = vertices[:, :2].mean(axis=0)
    side = np.sign(vertices[:, 0] - middle[0]) * np.sign(vertices[:, 1] - middle[1])
    angle = 0.5 * side * math.sin(2 * math.pi * time)
    below = np.maximum(hip - vertices[:, 2], 0.0)
    moved = vertices.copy()
    moved[:, 1] += below * np.sin(angle)
    moved[:, 2] += below * (1 - np.cos(angle))
    return moved


def _about_z(angle: float) -> NDArray[np.float64]:
    return np.array(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )


@dataclass(frozen=True)
class Studio:
    """Photographs and films one mesh."""

    mesh: TexturedMesh
    size: int
    cameras: tuple[Camera, ...] = field(init=False)
    cloud: BoundSplats = field(init=False)

    def __post_init__(self) -> None:
        centre, radius = bounding_sphere(self.mesh.vertices)
        object.__setattr__(
            self, "cameras", orbit_rig(centre, radius, size=self.size, azimuths=6, margin=1.35)
        )
        count = 6_000 if self.size <= 64 else 24_000
        object.__setattr__(self, "cloud", splats_from_mesh(self.mesh, count, seed=999))

    def views(self) -> ViewSet:
        rendered = [render(self.cloud.splats, camera, (0.0, 0.0, 0.0)) for camera in self.cameras]
        rgba = [
            torch.cat([r.image / r.alpha.clamp(min=1e-3)[..., None], r.alpha[..., None]], dim=-1)
            for r in rendered
        ]
        images = (torch.stack(rgba).clamp(0, 1) * 255).round().to(torch.uint8)
        return ViewSet(images.numpy(), torch.stack([r.depth for r in rendered]).numpy(), self.cameras)

    def alignment(self) -> Alignment:
        weights = np.full(len(self.cameras), 1 / len(self.cameras))
        return Alignment(0.5, 0.5, 0.5, 1.5, math.exp(-1.5), weights, 0)

    def film(self, motion: Motion, frames: int, camera: int = 0, shown: int | None = None) -> Clip:
        """``frames`` of a whole motion, or the first ``shown`` of them."""
        images = []
        for frame in range(frames if shown is None else shown):
            moved = motion(self.mesh.vertices, frame / frames)
            carried = self.cloud.carried(torch.from_numpy(moved))
            splats = self.cloud.splats.replaced(means=carried.means, quaternions=carried.quaternions)
            image = render(splats, self.cameras[camera]).image
            images.append((image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
        return Clip(np.stack(images), camera=self.cameras[camera])


@pytest.fixture(scope="session")
def toy() -> TexturedMesh:
    return make_toy(0.6)


@pytest.fixture(scope="session")
def studio() -> Callable[..., Studio]:
    """``studio(scale=0.6, size=64)``."""
    return lambda scale=0.6, size=64: Studio(make_toy(scale), size)


@pytest.fixture(scope="session")
def refined(studio: Callable[..., Studio]) -> BoundSplats:
    """1500 splats of the toy of ``studio(size=64)``, refined on its photographs."""
    stage = studio(size=64)
    return refine_on_views(splats_from_mesh(stage.mesh, 1500, 0), stage.views(), 60)


@pytest.fixture(params=[spin, circle, sway, walk], ids=lambda motion: motion.__name__)
def motion(request: pytest.FixtureRequest) -> Motion:
    return request.param


@pytest.fixture(scope="session")
def walking() -> Motion:
    return walk


@pytest.fixture(scope="session")
def spinning() -> Motion:
    return spin
