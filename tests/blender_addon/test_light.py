"""In real Blenders the mesh lights up and fades as its splats do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
from harness import toy_asset
from harness.blenders import RealBlender
from harness.plain_gltf import PlainGltf

from uni4d_shared.codec import write_file
from uni4d_shared.types import ColorMotion

MEASURE = Path(__file__).parent / "measure_light.py"


def test_the_mesh_lights_up_and_fades(
    real_blender: RealBlender, blender_deps: Callable[[RealBlender], Path], tmp_path: Path
) -> None:
    """The upper half glows warmly, the lower does not; then all of the texture grows dark."""
    still = toy_asset.result()
    dark = ColorMotion(-0.9 * still.splats.colors[None], toy_asset.course()[:, None])
    (tmp_path / "toy.glb").write_bytes(toy_asset.glb())
    write_file(tmp_path / "glowing.u4d", toy_asset.glowing((0.7, 0.5, 0.1)))
    write_file(tmp_path / "fading.u4d", attrs.evolve(still, color_motion=dark))
    arguments = [str(blender_deps(real_blender)), str(tmp_path)]
    real_blender.run(MEASURE, arguments, folder=tmp_path / "settings", timeout=240)
    with np.load(tmp_path / "light.npz") as seen:
        glowing, fading = (_halves(seen[name]) for name in ("glowing", "fading"))
        first, second = seen["first"].tolist(), seen["second"].tolist()
    peak = toy_asset.FRAMES // 2
    above, below = glowing[:, 0], glowing[:, 1]
    np.testing.assert_allclose(above[peak] - above[0], [178, 128, 26], atol=25)
    np.testing.assert_allclose(below, below[:1].repeat(len(below), axis=0), atol=8)
    assert np.corrcoef(above[:, 0], toy_asset.course())[0, 1] > 0.95
    np.testing.assert_allclose(fading[0], glowing[0], atol=3)
    assert fading[peak].max() < 0.2 * fading[0].max() + 5, "what is left is the gloss"
    assert [name.endswith("(lit)") for name in first] == [False, True]
    assert set(second) == {first[1]}, "nothing is left of the first light"

    written = PlainGltf((tmp_path / "animated.glb").read_bytes())
    assert len(written.json["images"]) == 1, "both materials keep the texture"
    pointers = [name for name in written.pointers() if name.endswith("emissiveFactor")]
    assert bool(pointers) == (real_blender.version >= (4, 2))


def _halves(pictures: np.ndarray) -> np.ndarray:
    """``[T, 2, 3]`` the median colours of the upper and the lower third of the object."""
    found = []
    for picture in pictures:
        rows, _ = np.nonzero(picture[..., 3] > 250)
        low, high = rows.min(), rows.max()
        third = (high - low) // 3
        parts = (picture[low + 3 : low + third], picture[high - third : high - 2])
        found.append([np.median(part[part[..., 3] > 250][:, :3], axis=0) for part in parts])
    return np.array(found)
