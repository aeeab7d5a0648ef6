"""Loose pieces: which there are, what holds them together, and what that costs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from uni4d.fourd import build_node_graph
from uni4d.fourd.elasticity import Elasticity, Stiffness
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.pieces import joints_between, pieces_of
from uni4d.fourd.rotations import exponential
from uni4d.fourd.states import NodeState
from uni4d.fourd.ties import Ties

from .conftest import box

Meshes = tuple[NDArray[np.float32], NDArray[np.int32]]


def boxes(*spans: tuple[tuple[float, ...], tuple[float, ...]]) -> Meshes:
    """One loose box for each span of two corners."""
    parts = [box(low, high, 4) for low, high in spans]
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    faces = np.concatenate([f + start for (_, f), start in zip(parts, starts, strict=True)])
    return np.concatenate([vertices for vertices, _ in parts]), faces


TRUNK, ARM, EYE = (
    ((-0.5, -0.5, 0.0), (0.5, 0.5, 2.0)),
    ((0.5, -0.1, 1.52), (1.7, 0.1, 1.72)),
    ((-0.05, -0.52, 1.7), (0.05, -0.5, 1.8)),
)


def merged(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> Meshes:
    """Sides of a box share their corners."""
    places, owner = np.unique(vertices.round(5), axis=0, return_inverse=True)
    return places, owner.reshape(-1)[faces].astype(np.int32)


def test_what_is_small_belongs_to_what_it_lies_on() -> None:
    points, faces = merged(*boxes(TRUNK, ARM, EYE))
    pieces = pieces_of(points, faces, 0.4, 10)
    assert set(pieces[points[:, 0] > 0.6]) == {1}
    assert set(pieces[points[:, 1] < -0.51]) == {0}
    assert set(pieces_of(points, faces, 0.4, 1)) == {0}


def test_loose_triangles_are_one_piece() -> None:
    """As some meshes come: no two triangles share a vertex."""
    generator = np.random.default_rng(3)
    middles = generator.normal(size=(2000, 1, 3))
    middles /= np.linalg.norm(middles, axis=2, keepdims=True)
    points = (middles + 0.01 * generator.normal(size=(2000, 3, 3))).reshape(-1, 3)
    faces = np.arange(6000).reshape(-1, 3)
    assert set(pieces_of(points, faces, 0.4, 10)) == {0}
    graph = build_node_graph(points, faces, 40)
    assert len(graph.nodes) == 40 and len(graph.edges) >= 39


def test_pieces_are_joined_where_they_touch() -> None:
    points, faces = merged(*boxes(TRUNK, ARM))
    (joint,) = joints_between(points, faces, pieces_of(points, faces, 0.4, 10))
    assert joint.pieces == (0, 1)
    np.testing.assert_allclose(joint.place, (0.5, 0.0, 1.62), atol=0.05)


def test_pieces_that_do_not_touch_are_joined_across_the_narrowest_gap() -> None:
    apart = ((2.0, -0.1, 1.52), (3.2, 0.1, 1.72))
    points, faces = merged(*boxes(TRUNK, ARM, apart))
    joints = joints_between(points, faces, pieces_of(points, faces, 0.4, 10))
    assert sorted(sorted(joint.pieces) for joint in joints) == [[0, 1], [1, 2]]
    bridge = next(joint for joint in joints if 2 in joint.pieces)
    assert bridge.place[0] == pytest.approx(1.85, abs=0.02)


@pytest.fixture(scope="module")
def graph() -> NodeGraph:
    """A trunk, an arm and an eye; nodes are about a third of a metre apart."""
    return build_node_graph(*boxes(TRUNK, ARM, EYE), 80)


def test_only_its_own_nodes_move_a_piece(graph: NodeGraph) -> None:
    vertices, _ = boxes(TRUNK, ARM, EYE)
    arm = vertices[:, 0] > 0.55
    moved_by = graph.nodes[graph.vertex_nodes[arm][graph.vertex_weights[arm] > 0]]
    assert moved_by[:, 0].min() > 0.49 and abs(moved_by[:, 1]).max() < 0.11
    eye = vertices[:, 1] < -0.51
    assert not own_arm(graph)[graph.vertex_nodes[eye]].any()


def test_turning_about_a_joint_stretches_nothing(graph: NodeGraph) -> None:
    """Turned about another place, the arm is torn off."""
    elasticity = Elasticity(Ties.of(graph), 1.5, Stiffness())
    rest = NodeState.rest(torch.from_numpy(graph.nodes))
    arm = torch.from_numpy(own_arm(graph))
    turn, none = exponential(torch.tensor([0.0, math.radians(50.0), 0.0])), torch.zeros(3)
    about = next(held[0] for held in graph.held if np.array_equal(held[0], held[1]))

    def stretch(place: torch.Tensor) -> float:
        turned = rest.carried(turn, none, place)
        state = NodeState(rest.rotations.clone(), rest.positions.clone())
        state.rotations[arm], state.positions[arm] = turned.rotations[arm], turned.positions[arm]
        return float(elasticity.strain(state).stretch.abs().max())

    assert stretch(torch.from_numpy(about)) < 1e-5
    assert stretch(torch.tensor([0.5, 0.0, 0.5])) > 0.5


def own_arm(graph: NodeGraph) -> NDArray[np.bool_]:
    """Which nodes lie on the arm."""
    x, y, z = graph.nodes.T
    return (x > 0.49) & (np.abs(y) < 0.11) & (z > 1.51) & (z < 1.73)
