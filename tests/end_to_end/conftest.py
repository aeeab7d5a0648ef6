"""A small library of real meshes and a real backend server that serves it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from uni4d.config import ServeConfig, load_config
from uni4d.pipeline.backend_process import Backend, own_backend

SMALL_STAGES = """
[animate]
frames = 6
size = 128
splats = 3000
refine_iterations = 20

[fit]
splats = 2000
nodes = 24
static_iterations = 20
iterations = 60
"""


def _meshes(folder: Path) -> None:
    """Six plain objects of one colour each, named as a person would."""
    make = trimesh.creation
    objects = {
        "red ball": (make.icosphere(3, 0.15), [200, 30, 30, 255]),
        "green cone": (make.cone(0.2, 0.5), [30, 160, 60, 255]),
        "wooden crate": (make.box((0.5, 0.4, 0.3)), [150, 100, 50, 255]),
        "blue barrel": (make.cylinder(0.2, 0.6), [40, 70, 190, 255]),
        "yellow ring": (make.torus(0.3, 0.08), [220, 200, 40, 255]),
        "white pill": (make.capsule(0.4, 0.1), [230, 230, 230, 255]),
    }
    for name, (mesh, color) in objects.items():
        mesh.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=color))
        mesh.export(folder / f"{name}.glb")


@pytest.fixture(scope="session")
def small_settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings with which the whole chain takes seconds, and a built library of six objects."""
    meshes = tmp_path_factory.mktemp("meshes")
    _meshes(meshes)
    path = tmp_path_factory.mktemp("settings") / "small.toml"
    root = tmp_path_factory.mktemp("library")
    path.write_text(
        f'{SMALL_STAGES}\n[library]\nsource = "folder"\npath = "{meshes}"\nroot = "{root}"\n',
        encoding="utf-8",
    )
    build = ["library", "build", "--config", str(path), "--source", "folder", "--path", str(meshes), "--json"]
    answer = subprocess.run(
        [sys.executable, "-m", "uni4d.cli", *build], capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["assets"] == 6
    return path


@pytest.fixture
def backend(small_settings: Path, tmp_path: Path) -> Iterator[Backend]:
    """`uni4d serve` as a process of its own, on free ports."""
    config = attrs.evolve(load_config(small_settings), serve=ServeConfig(jobs=tmp_path / "jobs"))
    with own_backend(config, small_settings, tmp_path / "serve.log") as running:
        yield running
