"""What others make of the exports: Khronos's validator, PlayCanvas's converter, two viewers in a browser."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from harness import browser, toy_asset
from harness.plain_gltf import PlainGltf
from uni4d_setup import foreign_readers

from uni4d.exports.export import ExportOptions, export
from uni4d.exports.turntable import picture
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.skinning import splats_at
from uni4d_shared.splats import read_ply
from uni4d_shared.types import Gaussians4D

pytestmark = pytest.mark.readers
VALIDATE = Path(__file__).parents[2] / "harness" / "validate_gltf.cjs"
EXTENSION = "KHR_gaussian_splatting"
FRAME = 3


@pytest.fixture(scope="module")
def packages() -> Path:
    if reason := foreign_readers.missing_reason():
        pytest.skip(reason)
    found = foreign_readers.node_modules()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def result() -> Gaussians4D:
    """The toy, with colours that depend on the view."""
    plain = toy_asset.result(4000)
    chance = np.random.default_rng(2)
    tint = np.tile(chance.normal(size=(1, 15, 3)) * 0.15, (len(plain.splats.means), 1, 1))
    return attrs.evolve(plain, splats=attrs.evolve(plain.splats, harmonics=tint))


@pytest.fixture(scope="module")
def folder(result: Gaussians4D, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    (folder / "toy.glb").write_bytes(toy_asset.glb())
    options = ExportOptions(glb=folder / "toy.glb", frame=FRAME + 1)
    export(result, ["ply", "splat", "gltf-splats", "glb-skin", "glb-morph"], folder, options)
    return folder


def _node(packages: Path, *arguments: str | Path) -> str:
    done = subprocess.run(
        ["node", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NODE_PATH": str(packages)},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def _transform(packages: Path, source: Path, target: Path) -> Path:
    program = packages / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    _node(packages, program, "--quiet", "--overwrite", source, target)
    return target


def test_khronos_validator_finds_no_error(packages: Path, folder: Path) -> None:
    theirs = _transform(packages, folder / "ply" / "frame_0004.ply", folder / "theirs.glb")
    names = [folder / name for name in ("animated_skin.glb", "animated_morph.glb", "splats.glb")]
    found = json.loads(_node(packages, VALIDATE, *names, theirs))
    assert [found[str(path)] for path in names[:2]] == [[], []]
    # This release is older than the extension, and takes its attributes' names for mistakes: ours and theirs.
    for path in (names[2], theirs):
        errors = [issue for issue in found[str(path)] if issue["severity"] == 0]
        assert {issue["code"] for issue in errors} <= {"MESH_PRIMITIVE_INVALID_ATTRIBUTE"}
        assert all(f"/attributes/{EXTENSION}:" in issue["pointer"] for issue in errors)


def test_the_converter_reads_ply_and_splat(packages: Path, folder: Path, result: Gaussians4D) -> None:
    wanted = splats_at(result, FRAME)
    ply = _transform(packages, folder / "ply" / "frame_0004.ply", folder / "ply.csv")
    table = np.genfromtxt(ply, delimiter=",", names=True)
    assert len(table) == len(wanted.means)
    places = np.stack([table[axis] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(places, wanted.means, atol=1e-6)
    np.testing.assert_allclose(np.exp(table["scale_0"]), wanted.scales[:, 0], rtol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-table["opacity"])), wanted.opacities, atol=1e-5)
    np.testing.assert_allclose(table["f_rest_20"], wanted.harmonics[:, 5, 1], atol=1e-6)  # 15 of red before
    converted = read_ply(_transform(packages, folder / "splats.splat", folder / "splat.ply"))
    np.testing.assert_allclose(converted.means, wanted.means, atol=1e-6)
    np.testing.assert_allclose(converted.colors, wanted.colors, atol=0.01)


def test_its_own_gltf_has_the_same_attributes_as_ours(
    packages: Path, folder: Path, result: Gaussians4D
) -> None:
    """Places and rotations differ: the converter does not take a PLY to be Z-up, as no file says."""
    ours = PlainGltf((folder / "splats.glb").read_bytes())
    theirs = PlainGltf(
        _transform(packages, folder / "ply" / "frame_0004.ply", folder / "theirs.glb").read_bytes()
    )
    described = [file.json["meshes"][0]["primitives"][0] for file in (ours, theirs)]
    assert described[0]["extensions"] == described[1]["extensions"]
    assert described[0]["attributes"].keys() == described[1]["attributes"].keys()
    for name in ("SCALE", "OPACITY", "SH_DEGREE_0_COEF_0"):
        one, other = (file.attribute(f"{EXTENSION}:{name}") for file in (ours, theirs))
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "least"), [("ply/frame_0004.ply", 32.0), ("splats.glb", 32.0), ("splats.splat", 40.0)]
)
def test_a_browser_shows_what_our_rasteriser_shows(
    packages: Path, folder: Path, result: Gaussians4D, tmp_path: Path, name: str, least: float
) -> None:
    splats = splats_at(result, FRAME)
    if name.endswith(".splat"):  # the format has no colours that depend on the view
        splats = attrs.evolve(splats, harmonics=splats.harmonics[:, :0])
    (camera,) = orbit_rig(*bounding_sphere(splats.means), azimuths=1, elevations=(0.5,), size=320)
    ours = picture(splats, camera)
    chromium = foreign_readers.chromium()
    assert chromium is not None
    theirs = browser.photograph(chromium, packages, folder / name, camera, tmp_path / "profile")
    _keep(ours, theirs, name)
    assert _psnr(ours, theirs) > least
    masks = [image.min(axis=2) < 250 for image in (ours, theirs)]
    assert (masks[0] & masks[1]).sum() > 0.95 * (masks[0] | masks[1]).sum()


def _psnr(one: Any, other: Any) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2) / 255.0**2
    return float(-10.0 * np.log10(max(error, 1e-12)))


def _keep(ours: Any, theirs: Any, name: str) -> None:
    """Both pictures side by side for a person, where ``UNI4D_KEEP_PICTURES`` names a folder."""
    if where := os.environ.get("UNI4D_KEEP_PICTURES"):
        from PIL import Image

        pair = Image.fromarray(np.concatenate([ours, theirs], axis=1))
        pair.save(Path(where) / f"{Path(name).name.replace('.', '_')}.png")
        print(name, f"{_psnr(ours, theirs):.1f} dB")  # noqa: T201
