"""What moving a mesh and its splats by control nodes must keep."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uni4d_shared.conventions import matrix_from_quaternion, multiply_quaternions
from uni4d_shared.harmonics import evaluate
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.types import ColorMotion, Gaussians4D, Mesh, NodeMotion, Splats

seeds = st.integers(0, 2**32 - 1)


def _asset(
    chance: np.random.Generator, rotations: Any, translations: Any, nodes: Any, vertices: int = 12
) -> Gaussians4D:
    """A random bound cloud on a random mesh, moved by the given nodes."""
    faces, splats = 9, 15
    corners = np.array([chance.choice(vertices, 3, replace=False) for _ in range(faces)])
    mesh = Mesh(chance.normal(size=(vertices, 3)), corners)
    count = len(nodes)
    slots = min(count, 3)
    weights = chance.random((vertices, slots)) + 0.05
    motion = NodeMotion(
        nodes,
        rotations,
        translations,
        np.array([chance.choice(count, slots, replace=False) for _ in range(vertices)]),
        weights / weights.sum(axis=1, keepdims=True),
    )
    carriers = chance.integers(0, faces, splats)
    barycentric = chance.dirichlet([1, 1, 1], splats)
    anchors = np.einsum("nc,ncd->nd", barycentric, mesh.vertices[corners[carriers]])
    quaternions = chance.normal(size=(splats, 4))
    cloud = Splats(
        anchors + 0.02 * chance.normal(size=(splats, 3)),
        quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
        chance.uniform(0.01, 0.1, (splats, 3)),
        chance.random(splats),
        chance.random((splats, 3)),
    )
    return Gaussians4D(mesh, cloud, motion, carriers, barycentric)


def _rigid(seed: int, *, quaternion: Any = None, shift: Any = None) -> tuple[Gaussians4D, Any, Any]:
    """All nodes make one and the same motion x → R x + s of the whole space."""
    chance = np.random.default_rng(seed)
    nodes = chance.normal(size=(4, 3))
    q = chance.normal(size=4) if quaternion is None else np.asarray(quaternion, float)
    q = q / np.linalg.norm(q)
    s = chance.normal(size=3) if shift is None else np.asarray(shift, float)
    turned = nodes @ matrix_from_quaternion(q).T
    translations = (turned + s - nodes)[None]  # t_k moves node k to where the motion takes it
    result = _asset(chance, np.tile(q, (1, 4, 1)), translations, nodes)
    return result, q, s


def _cloud(**fields: Any) -> Splats:
    """Two splats, with the given fields besides."""
    return Splats(np.zeros((2, 3)), np.ones((2, 4)), np.ones((2, 3)), np.ones(2), np.zeros((2, 3)), **fields)


def _lit(basis: Any, weights: Any) -> Gaussians4D:
    """An asset of 15 splats and one frame, with these colours."""
    return attrs.evolve(_rigid(0)[0], color_motion=ColorMotion(basis, weights))


@given(seed=seeds)
def test_nodes_at_rest_leave_everything_where_it_is(seed: int) -> None:
    result, _, _ = _rigid(seed, quaternion=[1, 0, 0, 0], shift=[0, 0, 0])
    moved = splats_at(result, 0)
    assert np.allclose(vertices_at(result, 0), result.mesh.vertices, atol=1e-5)
    assert np.allclose(moved.means, result.splats.means, atol=1e-5)
    assert np.allclose(np.abs(np.sum(moved.quaternions * result.splats.quaternions, 1)), 1, atol=1e-4)


@settings(max_examples=50)
@given(seed=seeds)
def test_a_rigid_motion_of_all_nodes_moves_mesh_and_splats_rigidly(seed: int) -> None:
    result, q, s = _rigid(seed)
    rotation = matrix_from_quaternion(q)
    assert np.allclose(vertices_at(result, 0), result.mesh.vertices @ rotation.T + s, atol=1e-4)
    moved = splats_at(result, 0)
    assert np.allclose(moved.means, result.splats.means @ rotation.T + s, atol=1e-4)
    expected = multiply_quaternions(q, result.splats.quaternions)
    assert np.allclose(np.abs(np.sum(moved.quaternions * expected, 1)), 1, atol=1e-4)


@given(seed=seeds)
def test_splats_keep_their_size_opacity_colour_and_unit_rotations(seed: int) -> None:
    chance = np.random.default_rng(seed)
    q = chance.normal(size=(2, 5, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    result = _asset(chance, q, chance.normal(size=(2, 5, 3)), chance.normal(size=(5, 3)))
    for frame in range(2):
        moved = splats_at(result, frame)
        assert np.array_equal(moved.scales, result.splats.scales)
        assert np.array_equal(moved.opacities, result.splats.opacities)
        assert np.array_equal(moved.colors, result.splats.colors)
        assert np.allclose(np.linalg.norm(moved.quaternions, axis=1), 1, atol=1e-5)


@given(seed=seeds)
def test_a_vertex_follows_the_formula(seed: int) -> None:
    """Σ_j w_j (R_k (x − n_k) + n_k + t_k), vertex by vertex, the slow way."""
    chance = np.random.default_rng(seed)
    q = chance.normal(size=(1, 5, 4))
    q /= np.linalg.norm(q, axis=-1, keepdims=True)
    result = _asset(chance, q, chance.normal(size=(1, 5, 3)), chance.normal(size=(5, 3)))
    motion, moved = result.motion, vertices_at(result, 0)
    for index, x in enumerate(result.mesh.vertices):
        place = np.zeros(3)
        for k, w in zip(motion.vertex_nodes[index], motion.vertex_weights[index], strict=True):
            rotation = matrix_from_quaternion(motion.rotations[0, k])
            place += w * (rotation @ (x - motion.nodes[k]) + motion.nodes[k] + motion.translations[0, k])
        assert np.allclose(moved[index], place, atol=1e-4)


@given(seed=seeds)
def test_colours_follow_their_motion_frame_by_frame(seed: int) -> None:
    chance = np.random.default_rng(seed)
    frames, ranks = 3, 2
    still = np.tile([1.0, 0, 0, 0], (frames, 5, 1))
    result = _asset(chance, still, np.zeros((frames, 5, 3)), chance.normal(size=(5, 3)))
    colors = ColorMotion(chance.normal(size=(ranks, 15, 3)), chance.normal(size=(frames, ranks)))
    lit = attrs.evolve(result, color_motion=colors)
    for frame in range(frames):
        moved = splats_at(lit, frame)
        for index, color in enumerate(result.splats.colors):
            change = sum(colors.weights[frame, rank] * colors.basis[rank, index] for rank in range(ranks))
            assert np.allclose(moved.colors[index], np.clip(color + change, 0, 1), atol=1e-5)


@settings(max_examples=30)
@given(seed=seeds, count=st.sampled_from([3, 8, 15]))
def test_what_was_seen_from_one_side_is_seen_from_the_turned_side(seed: int, count: int) -> None:
    """Turn everything by R: from R d each splat shows what it showed from d before."""
    result, q, _ = _rigid(seed)
    chance = np.random.default_rng(seed)
    harmonics = chance.normal(size=(15, count, 3))
    turned = splats_at(attrs.evolve(result, splats=attrs.evolve(result.splats, harmonics=harmonics)), 0)
    directions = chance.normal(size=(40, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = np.einsum("mk,nkc->nmc", evaluate(directions, count), harmonics)
    after = np.einsum(
        "mk,nkc->nmc", evaluate(directions @ matrix_from_quaternion(q).T, count), turned.harmonics
    )
    assert np.allclose(after, before, atol=2e-3)


def test_a_collapsed_triangle_gives_numbers_all_the_same() -> None:
    mesh = Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    weights = np.ones((3, 1))
    still = np.zeros((1, 1, 3))
    motion = NodeMotion(np.zeros((1, 3)), np.array([[[1.0, 0, 0, 0]]]), still, np.zeros((3, 1)), weights)
    cloud = Splats(np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]), np.ones((1, 3)), np.ones(1), np.ones((1, 3)))
    moved = splats_at(Gaussians4D(mesh, cloud, motion, np.zeros(1), np.full((1, 3), 1 / 3)), 0)
    assert np.all(np.isfinite(moved.means))
    assert np.all(np.isfinite(moved.quaternions))


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Mesh(np.zeros((3, 3)), np.array([[0, 1, 3]])), r"Mesh\.faces: indices from 0 to 3"),
        (lambda: Mesh(np.zeros((3, 3)), np.array([[-1, 1, 2]])), "indices from -1"),
        (lambda: Mesh(np.zeros((3, 2)), np.zeros((0, 3))), r"expected shape \[\*, 3\], got \[3, 2\]"),
        (
            lambda: Splats(
                np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 3)), np.zeros(2), np.zeros((1, 3))
            ),
            r"Splats\.colors: 1 rows for 2 means",
        ),
        (lambda: _cloud(harmonics=np.zeros((2, 4, 3))), r"Splats\.harmonics: 4 coefficients"),
        (lambda: _cloud(harmonics=np.zeros((1, 3, 3))), r"Splats\.harmonics: 1 rows for 2 means"),
        (lambda: ColorMotion(np.zeros((2, 5, 3)), np.zeros((4, 1))), "2 basis colours but 1 weights"),
        (lambda: ColorMotion(np.zeros((1, 5, 3)), np.zeros((4, 1)), 2), "2 of 1 basis colours are shades"),
        (lambda: _lit(np.zeros((1, 4, 3)), np.zeros((1, 1))), r"color_motion\.basis: 4 rows for 15 splats"),
        (lambda: _lit(np.zeros((1, 15, 3)), np.zeros((2, 1))), r"weights: 2 rows for 1 frames"),
    ],
)
def test_values_that_do_not_fit_together_are_refused(build: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build()
