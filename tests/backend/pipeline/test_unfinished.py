"""A server finds the fit of a request again, and does not pile up those that nobody asks for any more."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import pytest

from uni4d.config import Config, FitConfig, ServeConfig
from uni4d.library.formats.gltf_writer import glb_bytes
from uni4d.library.geometry import Material, TexturedMesh
from uni4d.pipeline import Stages
from uni4d.pipeline.unfinished import KEEP_FITS, unfinished_folder
from uni4d.splatting import render, splats_from_mesh
from uni4d_shared.cameras import orbit_rig
from uni4d_shared.messages import FitRequest
from uni4d_shared.progress import Cancelled
from uni4d_shared.types import Alignment, Clip, ViewSet

SETTINGS = FitConfig(splats=200, nodes=4, static_iterations=4, iterations=6, look_iterations=4)


@pytest.fixture
def request_for() -> Callable[[int], FitRequest]:
    """A small one, by its seed."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32) - 0.3
    mesh = TexturedMesh(
        vertices=corners,
        normals=np.tile(np.float32([0, 0, 1]), (4, 1)),
        uv=np.zeros((4, 2), np.float32),
        faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
        face_material=np.zeros(4, np.int32),
        materials=(Material("paint", (0.8, 0.3, 0.2, 1.0)),),
    )
    cameras = orbit_rig([0, 0, 0], 0.9, azimuths=2, elevations=(0.3,), size=32)
    splats = splats_from_mesh(mesh, 500, 1).splats
    seen = [render(splats, camera) for camera in cameras]
    images = np.stack([(r.image.numpy().clip(0, 1) * 255).astype(np.uint8) for r in seen])
    alphas = np.stack([(r.alpha.numpy() * 255).astype(np.uint8) for r in seen])[..., None]
    views = ViewSet(np.concatenate([images, alphas], -1), np.stack([r.depth.numpy() for r in seen]), cameras)
    alignment = Alignment(0.5, 0.5, 0.5, 1.0, 0.4, np.array([0.5, 0.5]), 0)
    clip = Clip(np.stack([images[0]] * 2), camera=cameras[0])
    glb = glb_bytes(mesh)
    return lambda seed: FitRequest("", views, alignment, clip, glb=glb, seed=seed)


def test_the_same_request_goes_on(tmp_path: Path, request_for: Callable[[int], FitRequest]) -> None:
    config = Config(serve=ServeConfig(fits=tmp_path / "fits"), fit=SETTINGS)

    def until_measuring(fraction: float, message: str) -> None:
        if message == "measuring":
            raise Cancelled

    with pytest.raises(Cancelled):
        Stages(config).handle(request_for(0), until_measuring)
    assert len(list((tmp_path / "fits").iterdir())) == 1
    messages: list[str] = []
    found = Stages(config).handle(request_for(0), lambda _, message: messages.append(message))
    assert not [message for message in messages if message.startswith(("refining", "following", "fitting"))]
    assert not list((tmp_path / "fits").iterdir())
    whole = Stages(attrs.evolve(config, serve=ServeConfig(jobs=tmp_path))).handle(
        request_for(0), lambda *_: None
    )
    np.testing.assert_array_equal(found.result.motion.translations, whole.result.motion.translations)


def test_only_the_last_few_are_kept(tmp_path: Path, request_for: Callable[[int], FitRequest]) -> None:
    config = ServeConfig(jobs=tmp_path)
    folders = []
    for seed in range(KEEP_FITS + 2):
        folders.append(unfinished_folder(config, request_for(seed)))
        folders[-1].mkdir(parents=True)
        os.utime(folders[-1], (seed, seed))
    assert [folder.is_dir() for folder in folders] == [False] * 2 + [True] * KEEP_FITS
    assert folders[-1] == unfinished_folder(config, request_for(KEEP_FITS + 1))
    assert folders[-1].parent == tmp_path / "fits"
