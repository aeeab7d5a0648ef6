"""A photographed ball, and what a clip is made from."""

from __future__ import annotations

import numpy as np
import pytest

from uni4d.library.geometry import TexturedMesh
from uni4d.video.scene import Scene
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.types import Alignment, Query, ViewSet


def _no_mesh() -> TexturedMesh:
    raise AssertionError("the mesh was read")


@pytest.fixture
def views() -> ViewSet:
    """Three views of 48 × 48: a half transparent red disc in the middle, each a little larger."""
    cameras = orbit_rig(np.zeros(3), 1.0, azimuths=3, elevations=[0.3], size=48, margin=1.3)
    rows, columns = np.mgrid[:48, :48] + 0.5
    images = np.zeros((3, 48, 48, 4), np.uint8)
    for number, image in enumerate(images):
        inside = np.hypot(rows - 24, columns - 24) < 12 + number
        image[inside] = (200, 30, 20, 255)
        image[inside & (columns < 24)] = (200, 30, 20, 128)
    return ViewSet(images, np.ones((3, 48, 48), np.float32), cameras)


@pytest.fixture
def scene(views: ViewSet) -> Scene:
    """A ball that bounces, from view 1."""
    alignment = Alignment(0.5, 0.5, 0.5, 1.5, 0.22, np.full(3, 1 / 3), 1)
    return Scene(Query("a ball is bouncing.", "a ball", "bouncing"), views, alignment, _no_mesh)
