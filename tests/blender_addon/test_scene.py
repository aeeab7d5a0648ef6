"""What the add-on puts into a scene, measured in real Blenders against the shared formulas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import toy_asset
from harness.blenders import RealBlender

from uni4d_shared.cameras import look_at, project
from uni4d_shared.codec import write_file
from uni4d_shared.conventions import blender_matrix_from_world_to_camera, matrix_from_quaternion
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.types import Camera

MEASURE = Path(__file__).parent / "measure_scene.py"
OFFSET = np.array([0.5, -0.25, 0.125])


@pytest.fixture
def measured(
    real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> dict[str, Any]:
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    write_file(tmp_path / "result.u4d", toy_asset.result())
    arguments = [str(blender_deps(real_blender)), str(tmp_path)]
    real_blender.run(MEASURE, arguments, folder=tmp_path / "settings", timeout=120)
    with np.load(tmp_path / "measured.npz") as archive:
        return dict(archive)


def test_blender_shows_what_the_formulas_say(measured: dict[str, Any]) -> None:
    result = toy_asset.result()
    _check_motion(result, measured["vertices"])
    _check_splats(result, measured["centres"], measured["axes"])
    _check_widening(result, measured["wide_axes"])
    _check_odd_camera(result, measured)
    assert measured["untouched"], "photographs leave the user's scene alone"


def _check_motion(result: Any, vertices: Any) -> None:
    for frame, found in enumerate(vertices):
        exact = vertices_at(result, frame) + OFFSET  # the armature was moved: the mesh follows
        # the importer may split or join vertices: each must be one of the exact ones
        gaps = np.linalg.norm(found[:, None] - exact[None], axis=-1).min(axis=1)
        assert gaps.max() < 1e-4
    assert np.abs(vertices[2] - vertices[0]).max() > 0.05, "it moves"


def _check_splats(result: Any, centres: Any, axes: Any) -> None:
    for frame in range(len(centres)):
        exact = splats_at(result, frame)
        np.testing.assert_allclose(centres[frame], exact.means, atol=1e-4)
        covariance = np.einsum("nij,nkj->nik", axes[frame], axes[frame]) / 9.0  # drawn to 3 deviations
        turn = matrix_from_quaternion(exact.quaternions.astype(np.float64))
        wanted = np.einsum("nij,nj,nkj->nik", turn, exact.scales.astype(np.float64) ** 2, turn)
        np.testing.assert_allclose(covariance, wanted, atol=2e-3 * wanted.max())


def _check_widening(result: Any, axes: Any) -> None:
    """At the last frame, seen by the odd camera: each variance has grown by 0.1 of its squared pixels."""
    exact = splats_at(result, toy_asset.FRAMES - 1)
    ray = exact.means - np.linalg.inv(ODD_CAMERA.world_to_camera)[:3, 3]
    distance = np.linalg.norm(ray, axis=1)
    normal = matrix_from_quaternion(exact.quaternions.astype(np.float64))[
        :, :, 2
    ]  # the toy's splats are flat
    cosine = np.abs((normal * ray).sum(axis=1) / distance)
    blur = 0.1 * distance**2 / (150.0 * 180.0) / np.maximum(cosine, 0.25)
    found = np.sort((np.linalg.norm(axes, axis=1) / 3.0) ** 2, axis=1)  # drawn to 3 deviations
    np.testing.assert_allclose(
        found, np.sort(exact.scales.astype(np.float64) ** 2) + blur[:, None], rtol=2e-3
    )


ODD_CAMERA = Camera(
    look_at([0.9, -1.4, 0.8], [0.0, 0.0, 0.3]),
    np.array([[150.0, 0.0, 60.0], [0.0, 180.0, 35.0], [0.0, 0.0, 1.0]]),
    width=110,
    height=90,
)


def _check_odd_camera(result: Any, measured: dict[str, Any]) -> None:
    camera = ODD_CAMERA
    exact = blender_matrix_from_world_to_camera(camera.world_to_camera)
    np.testing.assert_allclose(measured["camera"], exact, atol=1e-6)
    mask = measured["image"][..., 3] > 127
    assert mask.shape == (90, 110)
    places, depths = project(camera, result.mesh.vertices)
    rows, columns = np.nonzero(mask)
    limits = np.array([camera.width, camera.height])
    low, high = np.clip(places.min(axis=0), 0, limits), np.clip(places.max(axis=0), 0, limits)
    np.testing.assert_allclose([columns.min(), rows.min()], low, atol=1.0)
    np.testing.assert_allclose([columns.max() + 1, rows.max() + 1], high, atol=1.0)
    seen = measured["depth"][np.isfinite(measured["depth"])]
    assert depths.min() - 1e-3 <= seen.min() and seen.max() <= depths.max() + 1e-3
