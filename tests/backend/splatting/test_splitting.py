"""Splats that become two, on the surface that they belong to."""

from __future__ import annotations

import pytest
import torch

from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, SplatParameters, render, splats_from_mesh
from uni4d.splatting.image_losses import psnr
from uni4d.splatting.splitting import split
from uni4d_shared.cameras import bounding_sphere, orbit_rig


@pytest.fixture
def box(two_tone_box: TexturedMesh) -> BoundSplats:
    return splats_from_mesh(two_tone_box, 1200, seed=2)


def test_split_splats_cover_what_their_parents_did(box: BoundSplats, two_tone_box: TexturedMesh) -> None:
    divided = split(box, torch.arange(len(box))).bound
    assert len(divided) == 2 * len(box)
    for camera in orbit_rig(*bounding_sphere(two_tone_box.vertices), size=96, azimuths=3):
        before, after = render(box.splats, camera), render(divided.splats, camera)
        inside = before.alpha > 0.98
        assert float((after.alpha[inside] > 0.9).float().mean()) > 0.98
        assert psnr(after.image, before.image, inside) > 30.0


def test_children_lie_on_their_triangles_and_the_others_stay(box: BoundSplats) -> None:
    which = torch.arange(0, len(box), 5)
    divided, parents = split(box, which)
    assert len(divided) == len(box) + len(which)
    assert bool((divided.face_index.diff() >= 0).all())
    counts = torch.bincount(parents, minlength=len(box))
    assert bool((counts[which] == 2).all()) and int(counts.sum()) == len(divided)
    lone = counts[parents] == 1
    for name in ("means", "quaternions", "log_scales", "opacity_logits", "coefficients"):
        assert torch.equal(getattr(divided.splats, name)[lone], getattr(box.splats, name)[parents[lone]]), (
            name
        )
    assert torch.equal(divided.splats.colors, box.splats.colors[parents])
    torch.testing.assert_close(divided.barycentric.sum(1), torch.ones(len(divided)))
    assert float(divided.barycentric.min()) >= 0.0
    away = (divided.splats.means - divided.anchors(divided.vertices)).norm(dim=1)
    size = box.splats.scales.max(dim=1).values[parents]
    assert float((away / size).max()) < 0.6  # beyond an edge, no farther than it was moved
    assert float((away < 0.05 * size).float().mean()) > 0.8
    assert torch.equal(split(box, which).bound.barycentric, divided.barycentric)


def test_of_two_sheets_that_nearly_touch_a_child_stays_on_its_own() -> None:
    """Back to back, a thousandth of a splat apart."""
    square = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    vertices = torch.cat([square, square - torch.tensor([0.0, 0.0, 1e-5])])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]])
    generator = torch.Generator().manual_seed(1)
    places = 0.2 + 0.2 * torch.rand(300, 3, generator=generator)
    places = places / places.sum(dim=1, keepdim=True)
    face_index = torch.arange(300) % 4
    means = (places[:, :, None] * vertices[faces[face_index]]).sum(1)
    splats = SplatParameters.from_activated(
        means,
        torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(300, 4),
        torch.tensor([[0.02, 0.01, 0.001]]).expand(300, 3),
        torch.full((300,), 0.9),
        torch.full((300, 3), 0.5),
    )
    bound = BoundSplats(splats, vertices, faces, face_index, places)
    divided, parents = split(bound, torch.arange(300))
    assert torch.equal(divided.face_index // 2, face_index[parents] // 2)
