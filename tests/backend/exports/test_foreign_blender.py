"""Blender's own importers read what was exported, and show it where the shared formula says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness import toy_asset
from harness.blenders import RealBlender
from scipy.spatial import cKDTree

from uni4d import cli
from uni4d.exports.animated_mesh import morphing_glb, skinned_glb
from uni4d.exports.source_mesh import read_source_mesh
from uni4d_shared.codec import write_file
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.splats import write_ply

SCRIPT = Path(__file__).parent / "import_in_blender.py"
FRAMES = (0, 3, 6)
RESULT = toy_asset.result()


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
    write_ply(tmp_path / "splats.ply", splats_at(RESULT, 5))
    has_usd = _export_usd(real_blender, blender_deps(real_blender), tmp_path, capsys)
    arguments = [str(tmp_path), str(round(RESULT.fps)), *map(str, FRAMES)]
    real_blender.run(SCRIPT, arguments, folder=tmp_path / "settings", timeout=120)
    with np.load(tmp_path / "seen.npz") as seen:
        size = float(np.linalg.norm(np.ptp(RESULT.mesh.vertices, axis=0)))
        for name in ("skin", "morph", *(["usd"] if has_usd else [])):
            for frame, found in zip(FRAMES, seen[name], strict=True):
                exact = vertices_at(RESULT, frame)
                # importers may join or split vertices: each must be one of the exact ones, and all be there
                assert cKDTree(exact).query(found)[0].max() < 1e-4 * size, (name, frame)
                assert cKDTree(found).query(exact)[0].max() < 1e-4 * size, (name, frame)
        assert seen["skin_images"].tolist() == seen["morph_images"].tolist() == [64], "with its texture"
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
