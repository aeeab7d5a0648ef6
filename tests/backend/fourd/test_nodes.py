"""Control nodes: spread, weights, neighbours along the surface, loose parts, any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from uni4d.fourd import build_node_graph
from uni4d.library.geometry import TexturedMesh


@given(count=st.integers(1, 80), scale=st.sampled_from([0.02, 1.0, 40.0]))
@settings(max_examples=25, deadline=None)
def test_weights_are_a_valid_skin_at_any_size(toy: TexturedMesh, count: int, scale: float) -> None:
    graph = build_node_graph(toy.vertices * np.float32(scale), toy.faces, count)
    assert len(graph.nodes) == count
    assert graph.vertex_nodes.shape == graph.vertex_weights.shape == (len(toy.vertices), min(count, 4))
    assert (graph.vertex_weights >= 0).all()
    np.testing.assert_allclose(graph.vertex_weights.sum(axis=1), 1.0, atol=1e-5)
    assert graph.vertex_nodes.min() >= 0 and graph.vertex_nodes.max() < count
    ends = graph.edges
    links = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    assert connected_components(links, directed=False)[0] == 1
    assert (ends[:, 0] < ends[:, 1]).all()


def test_size_changes_nothing_but_the_size(toy: TexturedMesh) -> None:
    small, large = (build_node_graph(toy.vertices * np.float32(s), toy.faces, 40) for s in (1 / 32, 16))
    np.testing.assert_array_equal(small.vertex_nodes, large.vertex_nodes)
    np.testing.assert_allclose(small.nodes * 512, large.nodes, rtol=1e-5, atol=1e-5)


def test_vertices_in_one_place_move_together(toy: TexturedMesh) -> None:
    graph = build_node_graph(toy.vertices, toy.faces, 40)
    _, owner = np.unique(toy.vertices.round(5), axis=0, return_inverse=True)
    owner = owner.reshape(-1)
    for place in np.unique(owner):
        same = np.flatnonzero(owner == place)
        assert (graph.vertex_nodes[same] == graph.vertex_nodes[same[0]]).all()
        assert (graph.vertex_weights[same] == graph.vertex_weights[same[0]]).all()


def test_one_leg_does_not_drag_the_other(toy: TexturedMesh) -> None:
    """The feet of left and right legs are near through the air, far along the surface."""
    graph = build_node_graph(toy.vertices, toy.faces, 60)
    foot = toy.vertices[:, 2] < 0.3 * toy.vertices[:, 2].max()
    own_side = np.sign(graph.nodes[graph.vertex_nodes[foot], 0]) == np.sign(toy.vertices[foot, None, 0])
    shares = (graph.vertex_weights[foot] * own_side).sum(axis=1)
    assert shares.min() > 0.9


def test_a_mesh_with_fewer_points_than_nodes() -> None:
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=np.float32)
    graph = build_node_graph(triangle, np.array([[0, 1, 2]]), 96)
    assert len(graph.nodes) == 3
    np.testing.assert_allclose(graph.vertex_weights.sum(axis=1), 1.0)
    single = build_node_graph(triangle, np.array([[0, 1, 2]]), 1)
    assert single.edges.shape == (0, 2)
    with pytest.raises(ValueError, match="count=0"):
        build_node_graph(triangle, np.array([[0, 1, 2]]), 0)


def test_a_large_mesh_is_clustered(toy: TexturedMesh) -> None:
    """A fine grid of 40,000 points: quick, and smooth enough that neighbours share nodes."""
    steps = np.linspace(0, 1, 200)
    x, y = (a.ravel() for a in np.meshgrid(steps, steps, indexing="ij"))
    vertices = np.stack([x, y, 0.1 * np.sin(6 * x)], axis=1).astype(np.float32)
    index = np.arange(40_000).reshape(200, 200)
    corner, right, up, far = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    faces = np.concatenate(
        [np.stack(t, axis=-1).reshape(-1, 3) for t in ((corner, right, far), (corner, far, up))]
    )
    graph = build_node_graph(vertices, faces, 96)
    reach = np.linalg.norm(graph.nodes[graph.vertex_nodes] - vertices[:, None], axis=2)
    assert (reach * graph.vertex_weights).sum(axis=1).max() < 0.25
