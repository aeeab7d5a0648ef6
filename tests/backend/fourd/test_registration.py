"""Following the nodes: the steps are those of the calculus, and motions are found to a few percent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from uni4d.fourd.colors.tints import Palette
from uni4d.fourd.deformation import vertices_at
from uni4d.fourd.elasticity import Elasticity, NormalEquations, Stiffness
from uni4d.fourd.layers import make_layers
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.registration import Registration
from uni4d.fourd.rotations import best_turns, conjugate, exponential, logarithm
from uni4d.fourd.sight import Sight, floor_of
from uni4d.fourd.states import NodeState
from uni4d.fourd.targets import pyramid
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, splats_from_mesh
from uni4d.splatting.binding import multiply_quaternions
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.static import refine_on_views

from .conftest import Studio, painted

_NODES = 40


def test_exponential_and_logarithm_are_inverse() -> None:
    vectors = 0.9 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    vectors[0], vectors[1] = 0.0, torch.tensor([1e-8, 0.0, 0.0])
    turns = exponential(vectors)
    assert torch.allclose(turns.norm(dim=1), torch.ones(50), atol=1e-6)
    short = vectors.norm(dim=1) < np.pi
    assert torch.allclose(logarithm(turns)[short], vectors[short], atol=1e-5)
    rest = multiply_quaternions(turns, conjugate(turns))
    assert torch.allclose(rest, torch.tensor([1.0, 0, 0, 0]).expand(50, 4), atol=1e-6)
    moved = rotation_matrices(exponential(torch.tensor([0.0, 0.0, np.pi / 2]))) @ torch.tensor([1.0, 0, 0])
    assert torch.allclose(moved, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_points_are_turned_onto_others_as_by_scipy() -> None:
    """Also flat ones, and mirrored ones, for which there is no rotation that fits."""
    generator = torch.Generator().manual_seed(7)
    here = torch.randn(3, 9, 3, generator=generator)
    here[1, :, 2] = 0.0
    turns = rotation_matrices(exponential(torch.randn(3, 3, generator=generator)))
    there = here @ turns.transpose(1, 2) + torch.randn(3, 1, 3, generator=generator)
    there[2] *= torch.tensor([1.0, 1.0, -1.0])
    found = best_turns(here, there)
    torch.testing.assert_close(found[:2], turns[:2], atol=1e-5, rtol=0.0)
    centred = [(points - points.mean(1, keepdim=True))[2].numpy() for points in (there, here)]
    expected = Rotation.align_vectors(*centred)[0].as_matrix()
    np.testing.assert_allclose(found[2].numpy(), expected, atol=1e-4)


def test_the_priors_slope_is_that_of_their_cost() -> None:
    """Central differences of the cost, which is twice what the normal equations descend."""
    generator = torch.Generator().manual_seed(1)
    nodes = torch.randn(6, 3, generator=generator)
    edges = torch.tensor([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [0, 3]])
    held = nodes[edges.flip(1)]
    held[2] = nodes[2:4].mean(0) + 0.1  # a joint of the two, aside of both
    graph = NodeGraph(nodes.numpy(), np.zeros((0, 4)), np.zeros((0, 4)), edges.numpy(), held.numpy())
    elasticity = Elasticity(Ties.of(graph), 1.5, Stiffness(move=0.2, turn=0.3))
    before = NodeState.rest(nodes)
    state = before.stepped(0.05 * torch.randn(6, 6, generator=generator), 1.5)
    equations = NormalEquations(6)
    elasticity.add(equations, state, before)
    direction = torch.randn(6, 6, generator=generator)
    ahead, behind = (
        elasticity.cost(state.stepped(sign * 1e-3 * direction, 1.5), before) for sign in (1.0, -1.0)
    )
    slope = float((equations.gradient * direction).sum())
    assert (ahead - behind) / 4e-3 == pytest.approx(slope, rel=0.03, abs=0.3)


def test_motions_are_followed(
    studio: Callable[..., Any], refined: BoundSplats, motion: Callable[..., Any]
) -> None:
    """A full turn, a flight and a bend at 64²."""
    if motion.__name__ == "walk":
        pytest.skip("legs of four pixels: one small picture does not tell a step from a turn")
    assert error_of(studio(size=64), refined, motion, cameras=1, frames=8) < 0.03


def test_three_cameras_follow_a_walk(
    studio: Callable[..., Any], refined: BoundSplats, walking: Callable[..., Any]
) -> None:
    """They see depth that one does not."""
    assert error_of(studio(size=64), refined, walking, cameras=3, frames=4) < 0.015


@pytest.mark.slow
def test_three_cameras_follow_every_motion(
    studio: Callable[..., Any], refined: BoundSplats, motion: Callable[..., Any]
) -> None:
    assert error_of(studio(size=64), refined, motion, cameras=3, frames=4) < 0.015


@pytest.mark.parametrize(("seed", "camera"), [(1, 5), (2, 3)])
def test_what_looks_the_same_from_all_sides_is_not_spun(seed: int, camera: int) -> None:
    """A vase of coloured rings stands still; to some of few splats it looks a little better when turned."""
    stage = Studio(vase(), 160)
    bound = refine_on_views(splats_from_mesh(stage.mesh, 500, seed), stage.views(), 60)
    rest, states = followed(stage, bound, lambda vertices, _: vertices, [camera], frames=2)
    for state in states:
        turn = best_turns(rest.positions, state.positions).numpy()
        assert abs(np.degrees(np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1]))) < 3.0


def vase() -> TexturedMesh:
    """A body of revolution, 0.4 metres high, whose colours depend on the height alone."""
    around, up = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 25), np.linspace(0.0, 1.0, 17), indexing="ij")
    wide = 0.12 + 0.05 * np.sin(5.0 * up)
    vertices = np.stack([wide * np.cos(around), wide * np.sin(around), 0.4 * up], axis=2).reshape(-1, 3)
    index = np.arange(len(vertices)).reshape(25, 17)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=2).reshape(-1, 4)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    colors = 0.5 + 0.4 * np.sin(9.0 * up.reshape(-1, 1) + np.arange(3))
    return painted(vertices, faces, colors, "vase")


def error_of(stage: Any, bound: BoundSplats, motion: Callable[..., Any], cameras: int, frames: int) -> float:
    """Mean distance of the vertices from where they are, in diameters, over the first ``frames`` of 24."""
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, _NODES)
    nodes, radius = torch.from_numpy(graph.nodes), radius_of(stage)
    errors = []
    for frame, state in enumerate(followed(stage, bound, motion, range(0, 2 * cameras, 2), frames)[1]):
        matrices = torch.cat(
            [rotation_matrices(state.rotations).transpose(1, 2), _offsets(nodes, state)[:, None]], dim=1
        )
        found = vertices_at(
            torch.from_numpy(stage.mesh.vertices),
            torch.from_numpy(graph.vertex_nodes).long(),
            torch.from_numpy(graph.vertex_weights),
            matrices,
        )
        true = motion(stage.mesh.vertices, frame / 24)
        errors.append(np.linalg.norm(found.numpy() - true, axis=1).mean() / (2 * radius))
    return float(np.mean(errors))


def radius_of(stage: Any) -> float:
    return float(np.linalg.norm(np.ptp(stage.mesh.vertices, axis=0))) / 2


def followed(
    stage: Any, bound: BoundSplats, motion: Callable[..., Any], cameras: Sequence[int], frames: int
) -> tuple[NodeState, list[NodeState]]:
    """The nodes at rest, and in the first ``frames`` of 24, as clips of those ``cameras`` show them."""
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, _NODES)
    radius = radius_of(stage)
    clips = [stage.film(motion, 24, camera, frames) for camera in cameras]
    layers = [make_layers(bound, graph, pyramid(clip, clip.camera)) for clip in clips]
    sights = [Sight(list(level), graph, radius) for level in zip(*layers, strict=True)]
    elasticity = Elasticity(Ties.of(graph), radius, Stiffness())
    floor = floor_of(bound.splats, stage.views(), stage.size)
    palette = Palette(bound.splats.colors, torch.zeros(len(bound), dtype=torch.int64))
    rest = NodeState.rest(torch.from_numpy(graph.nodes))
    return rest, Registration(sights, elasticity, graph, radius, floor, palette).follow()


def _offsets(nodes: torch.Tensor, state: NodeState) -> torch.Tensor:
    return state.positions - (rotation_matrices(state.rotations) @ nodes[:, :, None])[..., 0]
