"""Splats on a mesh: where they are, what colour, and how they ride on the moving mesh."""

from __future__ import annotations

import numpy as np
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from uni4d.library.geometry import Material, Texture, TexturedMesh, sample_surface
from uni4d.splatting import binding, kernels, render, splats_from_mesh
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d.splatting.exposure import exposed
from uni4d.splatting.projection import rotation_matrices
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import Gaussians4D, Mesh, NodeMotion


def test_splats_lie_flat_on_the_surface_in_its_colours(two_tone_box: TexturedMesh) -> None:
    bound = splats_from_mesh(two_tone_box, 2000, seed=1)
    means, blue = bound.splats.means.numpy(), bound.splats.colors[:, 2].numpy() > 0.5
    on_top = means[:, 2] > 1 - 1e-5
    assert (blue == on_top).all()
    np.testing.assert_allclose(on_top.mean(), 2 / 10, atol=0.005)  # the top is 2 m² of 10 m²
    thin_axis = matrix_from_quaternion(bound.splats.quaternions.numpy())[on_top][:, :, 2]
    np.testing.assert_allclose(np.abs(thin_axis), [[0, 0, 1]] * int(on_top.sum()), atol=1e-5)
    assert (bound.splats.scales[:, 2] < 0.2 * bound.splats.scales[:, 0]).all()


def test_the_skin_is_opaque_at_any_size(two_tone_box: TexturedMesh) -> None:
    for size in (0.01, 1.0, 100.0):
        two_tone_box.vertices = two_tone_box.vertices * np.float32(size)
        two_tone_box.__dict__.pop("face_vectors", None)
        two_tone_box.__dict__.pop("face_areas", None)
        centre, radius = bounding_sphere(two_tone_box.vertices)
        splats = splats_from_mesh(two_tone_box, 3000).splats
        camera = orbit_rig(centre, radius, size=64)[0]
        rendered = render(splats, camera)
        assert float(rendered.alpha[24:40, 24:40].min()) > 0.95
        two_tone_box.vertices = two_tone_box.vertices / np.float32(size)


def test_splats_at_random_are_round_and_lie_as_close(two_tone_box: TexturedMesh) -> None:
    even, random = (splats_from_mesh(two_tone_box, 500, candidates=number).splats for number in (12, 1))
    np.testing.assert_allclose(random.scales[:, :2].numpy(), 0.6 * np.sqrt(10 / 500), rtol=0.01)
    np.testing.assert_allclose(even.scales[:, :2].mean(), random.scales[:, :2].mean(), rtol=0.2)
    nearest_even, nearest = (
        cKDTree(s.means.numpy()).query(s.means.numpy(), 2)[0][:, 1] for s in (even, random)
    )
    assert nearest_even.min() > 5 * nearest.min()  # blue noise has no clumps


def test_hidden_surface_gets_fewer_and_larger_splats(two_tone_box: TexturedMesh) -> None:
    """A box in a box: all of the inner one is hidden, and has half as many splats per area."""
    inner = evolve(two_tone_box, vertices=0.8 * two_tone_box.vertices + np.float32([0, 0, 0.1]))
    both = evolve(
        two_tone_box,
        vertices=np.concatenate([two_tone_box.vertices, inner.vertices]),
        normals=np.concatenate([two_tone_box.normals, inner.normals]),
        uv=np.concatenate([two_tone_box.uv, inner.uv]),
        faces=np.concatenate([two_tone_box.faces, inner.faces + len(inner.vertices)]),
        face_material=np.concatenate([two_tone_box.face_material, inner.face_material]),
    )
    bound = splats_from_mesh(both, 2000)
    hidden = bound.face_index >= len(inner.faces)
    share = 0.64 / (0.64 + 2)
    np.testing.assert_allclose(hidden.float().mean(), share, atol=0.03)
    sizes = bound.splats.scales[:, 0]
    np.testing.assert_allclose(sizes[hidden].median() / sizes[~hidden].median(), 2.0**0.5, rtol=0.15)


def test_the_surface_of_a_thing_on_its_own_is_exposed_on_both_sides(two_tone_box: TexturedMesh) -> None:
    points = sample_surface(two_tone_box, 3000).points.astype(np.float64)
    spacing = np.sqrt(10 / 3000)
    assert exposed(points, spacing).all()
    sheet = points * [1, 1, 1e-6]
    assert exposed(sheet, spacing).all()
    inside = np.random.default_rng(0).uniform([-0.5, -0.25, 0.25], [0.5, 0.25, 0.75], (500, 3))
    assert not exposed(np.concatenate([points, inside]), spacing)[3000:].any()


def test_colours_are_those_of_the_texture_under_the_splat() -> None:
    """A checkerboard of one-texel squares, seen by splats of many texels, is an even grey."""
    pixels = np.full((64, 64, 4), 255, np.uint8)
    pixels[..., :3] = np.where(np.indices((64, 64)).sum(0) % 2, 255, 0)[..., None]
    sheet = TexturedMesh(
        vertices=np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32),
        normals=np.tile(np.array([0, 0, 1], np.float32), (4, 1)),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        face_material=np.zeros(2, np.int32),
        materials=(Material(color=(1, 1, 1, 1), texture=Texture(pixels, b"", "image/png")),),
    )
    spread = {
        number: splats_from_mesh(sheet, 100, candidates=number).splats.colors.std() for number in (1, 64)
    }
    assert float(spread[64]) < 0.4 * float(spread[1])


def test_the_same_seed_gives_the_same_splats(two_tone_box: TexturedMesh) -> None:
    first, again, other = (splats_from_mesh(two_tone_box, 100, seed).splats.means for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_quaternions_from_matrices_inverts_rotation_matrices(seed: int) -> None:
    matrices = torch.tensor(Rotation.random(20, np.random.default_rng(seed)).as_matrix())
    matrices[0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # half a turn: w = 0
    torch.testing.assert_close(rotation_matrices(quaternions_from_matrices(matrices)), matrices)


@given(seed=st.integers(0, 2**31 - 1), count=st.integers(1, 50), moments=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_turning_in_c_agrees_with_its_twin(seed: int, count: int, moments: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.tensor(
        Rotation.random(count, np.random.default_rng(seed)).as_matrix(), dtype=torch.float32
    )
    values = (
        torch.randn(moments, count, 2, 3, generator=generator),
        frames,
        torch.nn.functional.normalize(torch.randn(count, 4, generator=generator), dim=1),
        torch.randn(count, 3, generator=generator),
    )
    fast, slow = kernels.turn(*values), binding._turned_with(*values)
    torch.testing.assert_close(fast[1], slow[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rotation_matrices(fast[0]), rotation_matrices(slow[0]), atol=1e-3, rtol=1e-3)


def test_splats_ride_on_the_mesh_as_the_shared_skinning_says(two_tone_box: TexturedMesh) -> None:
    bound = splats_from_mesh(two_tone_box, 300)
    generator = np.random.default_rng(0)
    vertices = two_tone_box.vertices
    rotations = Rotation.random(2, generator).as_quat(scalar_first=True)[None]
    share = np.clip(vertices[:, :1] * 0.5 + 0.5, 0, 1)
    result = Gaussians4D(
        mesh=Mesh(vertices, two_tone_box.faces),
        splats=bound.splats.activated(),
        motion=NodeMotion(
            nodes=np.array([[-1.0, 0, 0], [1.0, 0, 0]]),
            rotations=rotations,
            translations=generator.normal(size=(1, 2, 3)),
            vertex_nodes=np.tile([0, 1], (len(vertices), 1)),
            vertex_weights=np.concatenate([1 - share, share], axis=1),
        ),
        splat_faces=bound.face_index.numpy(),
        splat_barycentric=bound.barycentric.numpy(),
    )
    from uni4d_shared.skinning import vertices_at

    carried = bound.carried(torch.from_numpy(vertices_at(result, 0)))
    expected = splats_at(result, 0)
    np.testing.assert_allclose(carried.means.numpy(), expected.means, atol=1e-5)
    np.testing.assert_allclose(
        matrix_from_quaternion(carried.quaternions.numpy()),
        matrix_from_quaternion(expected.quaternions),
        atol=1e-4,
    )
