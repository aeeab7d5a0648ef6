"""How much of each splat a set of pictures shows."""

from __future__ import annotations

from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import splats_from_mesh
from uni4d.splatting.visibility import shown_shares
from uni4d_shared.cameras import bounding_sphere, orbit_rig


def test_the_bottom_of_a_box_is_hidden_from_above_and_its_top_is_not(two_tone_box: TexturedMesh) -> None:
    splats = splats_from_mesh(two_tone_box, 2000).splats
    shares = shown_shares(splats, orbit_rig(*bounding_sphere(two_tone_box.vertices), size=96))
    inner = (splats.means[:, :2].abs() < 0.4).all(dim=1)
    bottom, top = inner & (splats.means[:, 2] < 1e-4), inner & (splats.means[:, 2] > 1 - 1e-4)
    assert int(bottom.sum()) > 10 and int(top.sum()) > 10
    assert float(shares[bottom].max()) < 0.2
    assert float(shares[top].min()) > 0.25
    assert float(shares.min()) >= 0.0 and float(shares.max()) <= 1.0
