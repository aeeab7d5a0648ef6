"""Blender's own importers read what was exported, and show it where the shared formula says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from harness import toy_asset
from harness.blenders import RealBlender
from harness.plain_gltf import PlainGltf
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from uni4d import cli
from uni4d.exports.animated_mesh import morphing_glb, skinned_glb
from uni4d.exports.source_mesh import read_source_mesh
from uni4d.exports.turntable import picture, turntable_cameras
from uni4d.splatting.model import SplatParameters
from uni4d.splatting.ray_order import ray_weights, traced_change
from uni4d_shared.cameras import write_transforms
from uni4d_shared.codec import write_file
from uni4d_shared.conventions import linear_from_srgb, srgb_from_linear
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.splats import write_ply
from uni4d_shared.types import Camera, Gaussians4D

SCRIPT = Path(__file__).parent / "import_in_blender.py"
RENDER = Path(__file__).parent / "render_in_blender.py"
FRAMES = (0, 3, 6)
RESULT = toy_asset.result()
_PARAMETERS = ("means", "quaternions", "scales", "opacities", "colors")


def test_blender_imports_skin_morph_and_splats_where_the_formula_puts_them(
    real_blender: RealBlender,
    blender_deps: Callable[[RealBlender], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    source = read_source_mesh(tmp_path / "toy.glb", RESULT)
    (tmp_path / "skin.glb").write_bytes(skinned_glb(source, RESULT))
    (tmp_path / "morph.glb").write_bytes(morphing_glb(source, RESULT))
    glowing = toy_asset.glowing((0.7, 0.5, 0.1))
    (tmp_path / "lit_skin.glb").write_bytes(skinned_glb(source, glowing))
    (tmp_path / "lit_morph.glb").write_bytes(morphing_glb(source, glowing))
    write_ply(tmp_path / "splats.ply", splats_at(RESULT, 5))
    has_usd = _export_usd(real_blender, blender_deps(real_blender), tmp_path, capsys)
    arguments = [str(tmp_path), str(round(RESULT.fps)), *map(str, FRAMES)]
    real_blender.run(SCRIPT, arguments, folder=tmp_path / "settings", timeout=120)
    with np.load(tmp_path / "seen.npz") as seen:
        size = float(np.linalg.norm(np.ptp(RESULT.mesh.vertices, axis=0)))
        for name in ("skin", "morph", "lit_skin", "lit_morph", *(["usd"] if has_usd else [])):
            for frame, found in zip(FRAMES, seen[name], strict=True):
                exact = vertices_at(RESULT, frame)
                # importers may join or split vertices: each must be one of the exact ones, and all be there
                assert cKDTree(exact).query(found)[0].max() < 1e-4 * size, (name, frame)
                assert cKDTree(found).query(exact)[0].max() < 1e-4 * size, (name, frame)
        assert seen["skin_images"].tolist() == seen["morph_images"].tolist() == [64], "with its texture"
        reads_light = real_blender.version >= (4, 2)  # others show the motion
        for name in ("lit_skin", "lit_morph"):
            told = PlainGltf((tmp_path / f"{name}.glb").read_bytes()).pointers()
            light = told["/materials/1/emissiveFactor"][list(FRAMES)] if reads_light else np.zeros((3, 3))
            np.testing.assert_allclose(seen[f"{name}_light"], light, atol=1e-3)
        np.testing.assert_allclose(seen["splats"], splats_at(RESULT, 5).means, atol=1e-6)


def _export_usd(blender: RealBlender, deps: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> bool:
    """``uni4d export --format usd`` with this Blender; whether it has USD. It says so where not."""
    write_file(folder / "result.u4d", RESULT)
    program = ["--bpy-python" if blender.is_module else "--blender", str(blender.program)]
    options = ["--result", str(folder / "result.u4d"), "--glb", str(folder / "toy.glb"), "--out", str(folder)]
    code = cli.main(["export", "--format", "usd", *options, *program, "--blender-deps", str(deps), "--json"])
    told = capsys.readouterr().out
    if code == 0:
        return (folder / "animated.usdc").is_file()
    assert "was built without USD" in told
    assert not (folder / "animated.usdc").exists()
    return False


@pytest.mark.long
def test_splats_in_blender_look_as_our_rasteriser_shows_them(
    real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    """Splats so small that without the rasteriser's low-pass there would be gaps between them."""
    result = toy_asset.result(6000)
    small = attrs.evolve(result, splats=attrs.evolve(result.splats, scales=0.6 * result.splats.scales))
    camera = turntable_cameras(result, 160)[0]
    photographed = _photographer(real_blender, blender_deps(real_blender), tmp_path, camera)
    ours = picture(splats_at(small, 3), camera).astype(float)
    sharp, widened = photographed(small, 3)
    assert _psnr(widened, ours) > max(24.0, _psnr(sharp, ours) + 5.0)
    covered = [image.min(axis=2) < 250 for image in (ours, widened)]
    assert (covered[0] & covered[1]).sum() > 0.95 * (covered[0] | covered[1]).sum()


def test_colors_in_blender_are_those_of_our_rasteriser(
    real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    """Splats of two colours that lie on one another: Blender shows what was foreseen, which is paler than our
    picture, and no more so when the colours make up for it."""
    result = toy_asset.result(6000)
    chance = np.random.default_rng(2)
    colors = np.where(chance.random((6000, 1)) < 0.5, [0.75, 0.6, 0.3], [0.35, 0.25, 0.05])
    off = 0.3 * result.splats.scales.max(axis=1, keepdims=True) * chance.normal(size=(6000, 3))
    near = attrs.evolve(result.splats, means=(result.splats.means + off).astype(np.float32))
    mixed = attrs.evolve(result, splats=attrs.evolve(near, colors=colors.astype(np.float32)))
    cameras = turntable_cameras(result, 160)
    camera = cameras[0]
    photographed = _photographer(real_blender, blender_deps(real_blender), tmp_path, camera)
    rest = SplatParameters.from_activated(
        *(torch.from_numpy(getattr(mixed.splats, name)) for name in _PARAMETERS)
    )
    even = attrs.evolve(mixed, traced_change=traced_change(rest, cameras, camera))
    ours, splats = picture(splats_at(mixed, 0), camera).astype(float), splats_at(mixed, 0)
    weights = ray_weights(splats, camera, camera)
    inside = binary_erosion(np.reshape(weights.sum(axis=1) > 0.95, ours.shape[:2]), iterations=2)
    light = weights @ linear_from_srgb(splats.colors) + 1.0 - weights.sum(axis=1)
    foreseen = 255.0 * srgb_from_linear(np.asarray(light)).reshape(ours.shape)
    plain, corrected = (photographed(one, 0)[1] for one in (mixed, even))
    paler, foreseen_paler, left = ((one - ours)[inside].mean(axis=0) for one in (plain, foreseen, corrected))
    np.testing.assert_allclose(foreseen_paler, paler, atol=1.0)
    assert paler.max() > 4.0
    assert np.abs(left).max() < 0.25 * paler.max()


def _photographer(
    blender: RealBlender, deps: Path, folder: Path, camera: Camera
) -> Callable[[Gaussians4D, int], tuple[Any, Any]]:
    """Takes pictures, ``[H, W, 3]`` in 0 to 255, of a result at a frame: sharp, and widened."""
    write_transforms(folder / "transforms.json", [camera], ["view.png"])

    def photographed(result: Gaussians4D, frame: int) -> tuple[Any, Any]:
        write_file(folder / "result.u4d", result)
        arguments = [str(deps), str(folder), str(frame)]
        blender.run(RENDER, arguments, folder=folder / "settings", timeout=240)
        with np.load(folder / "photographed.npz") as archive:
            return _on_white(archive["sharp"]), _on_white(archive["widened"])

    return photographed


def _on_white(picture: Any) -> Any:
    """``[H, W, 3]`` of straight alpha ``[H, W, 4]``."""
    alpha = picture[..., 3:].astype(float) / 255.0
    return alpha * picture[..., :3] + (1.0 - alpha) * 255.0


def _psnr(one: Any, other: Any) -> float:
    return float(-10.0 * np.log10(np.mean((one - other) ** 2) / 255.0**2))
