"""All frames together: the equations are those of the plain calculus, rigid is found to be rigid, hinges are
found to be hinges, and what one frame leaves open the others decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from uni4d.fourd import joint as joint_module
from uni4d.fourd.banded import BandedEquations
from uni4d.fourd.bodies.rigid_path import corrected, rigid_path
from uni4d.fourd.checkpoint import Checkpoint
from uni4d.fourd.deformation import node_matrices, vertices_at
from uni4d.fourd.elasticity import Elasticity, NormalEquations, Stiffness
from uni4d.fourd.joint import JointRegistration
from uni4d.fourd.layers import make_layers
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.relevance import Floors, Relevance
from uni4d.fourd.rotations import best_turns, exponential
from uni4d.fourd.sight import Sight
from uni4d.fourd.states import NodeState
from uni4d.fourd.targets import pyramid
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, native, splats_from_mesh
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.static import refine_on_views
from uni4d_shared.progress import Cancelled

FRAMES = 10


# --- the equations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", range(1, 10))
def test_the_band_is_solved_as_one_dense_system_is(frames: int) -> None:
    """All quadratic terms put into one matrix by autograd."""
    generator = torch.Generator().manual_seed(frames)
    nodes, damping = 3, 0.3
    size = 6 * nodes
    roots = torch.randn(2, frames, size, size, generator=generator)
    seen, held = roots @ roots.transpose(2, 3)
    pulls = torch.randn(frames, nodes, 6, generator=generator)
    ties = [
        (first, kind, torch.rand(nodes, 6, generator=generator), torch.randn(nodes, 6, generator=generator))
        for kind in ((-1.0, 1.0), (1.0, -2.0, 1.0))
        for first in range(-2, frames)
    ]
    equations = BandedEquations(frames, nodes)
    for frame in range(frames):
        equations.add(frame, normal(seen[frame], pulls[frame]), normal(held[frame], torch.zeros(nodes, 6)))
    for first, kind, weights, residuals in ties:
        equations.tie(first, kind, weights, residuals)

    def cost(steps: Tensor) -> Tensor:
        own = steps.reshape(frames, size)
        total = (pulls.double().reshape(frames, size) * own).sum()
        matrices = ((1.0 + damping) * seen + held).double()
        total = total + 0.5 * torch.einsum("fi,fij,fj->", own, matrices, own)
        for first, kind, weights, residuals in ties:
            around = residuals.double()
            for offset, factor in enumerate(kind):
                if 0 <= first + offset < frames:
                    around = around + factor * steps.reshape(frames, nodes, 6)[first + offset]
            total = total + 0.5 * (weights.double() * around.square()).sum()
        return total

    zero = torch.zeros(frames * size, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(cost, zero)
    gradient = torch.autograd.functional.jacobian(cost, zero)
    expected = -torch.linalg.solve(hessian, gradient).reshape(frames, nodes, 6)
    torch.testing.assert_close(equations.solved(damping).double(), expected, rtol=2e-3, atol=2e-3)


def normal(matrix: Tensor, gradient: Tensor) -> NormalEquations:
    """A dense matrix ``[6 K, 6 K]`` as blocks."""
    count = len(gradient)
    equations = NormalEquations(count)
    blocks = matrix.reshape(count, 6, count, 6).permute(0, 2, 1, 3)
    equations.hessian, equations.gradient = blocks.reshape(-1, 6, 6), gradient
    return equations


def chain(count: int) -> tuple[Tensor, Elasticity]:
    """Nodes in a row."""
    nodes = torch.stack([torch.linspace(0, 1, count), torch.zeros(count), torch.zeros(count)], dim=1)
    edges = torch.stack([torch.arange(count - 1), torch.arange(1, count)], dim=1)
    graph = NodeGraph(
        nodes.numpy(), np.zeros((0, 4)), np.zeros((0, 4)), edges.numpy(), nodes[edges.flip(1)].numpy()
    )
    return nodes, Elasticity(Ties.of(graph), 0.5, Stiffness())


def test_the_weights_touch_the_cost() -> None:
    """The slope of Σ w r² / 2 at the state is half that of the cost: central differences."""
    generator = torch.Generator().manual_seed(2)
    nodes, elasticity = chain(5)
    relevance = Relevance(elasticity, 0.5)
    rest = NodeState.rest(nodes)
    states = [rest] + [rest.stepped(0.05 * torch.randn(5, 6, generator=generator), 0.5) for _ in range(4)]
    weights = relevance.weights(states)
    directions = torch.randn(4, 5, 6, generator=generator)
    equations = BandedEquations(4, 5)
    for frame, state in enumerate(states[1:]):
        equations.add(frame, NormalEquations(5), relevance.held(state, weights))
    relevance.tie(equations, states, weights, 1)
    slope = float((equations.gradient * directions).sum())

    def cost(step: float) -> float:
        moved = [s.stepped(step * d, 0.5) for s, d in zip(states[1:], directions, strict=True)]
        return relevance.cost([rest, *moved])

    assert (cost(1e-3) - cost(-1e-3)) / 4e-3 == pytest.approx(slope, rel=0.03)


def test_one_hinge_costs_less_than_a_bend_everywhere() -> None:
    nodes, elasticity = chain(9)
    relevance = Relevance(elasticity, 0.5)

    def clip(hinged: bool) -> list[NodeState]:
        states = [NodeState.rest(nodes)]
        for frame in range(1, 8):
            angle = 0.8 * np.sin(2 * np.pi * frame / 8)
            share = (torch.arange(9) > 4).float() if hinged else torch.linspace(0, 1, 9)
            turns = exponential(torch.stack([torch.zeros(9), angle * share, torch.zeros(9)], dim=1).float())
            states.append(NodeState(turns, along(nodes, turns)))
        return states

    assert relevance.cost(clip(True)) < relevance.cost(clip(False))


def along(nodes: Tensor, turns: Tensor) -> Tensor:
    """The row of nodes laid out anew, each link turned as the node before it."""
    links = (rotation_matrices(turns[:-1]) @ (nodes[1:] - nodes[:-1])[..., None])[..., 0]
    return torch.cat([nodes[:1], nodes[:1] + links.cumsum(0)])


# --- on pictures --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """The toy in motion, as one camera sees it."""

    mesh: TexturedMesh
    graph: NodeGraph
    sight: Sight
    elasticity: Elasticity
    radius: float
    motion: Callable[..., Any]

    @property
    def rest(self) -> NodeState:
        return NodeState.rest(torch.from_numpy(self.graph.nodes))

    def joint(self) -> JointRegistration:
        relevance = Relevance(self.elasticity, self.radius, Floors.seen_at(self.sight.pixels))
        return JointRegistration(self.sight, relevance, self.radius)

    def true(self, frame: int) -> NodeState:
        """Of a rigid motion: where the nodes are."""
        places = self.motion(self.graph.nodes, frame / 24)
        there = torch.from_numpy(places).float()
        turn = best_turns(torch.from_numpy(self.graph.nodes), there)
        return NodeState(quaternions_from_matrices(turn[None]).expand(len(places), 4), there)

    def error(self, states: list[NodeState]) -> float:
        """Mean distance of the vertices from where they are, in radii."""
        nodes = torch.from_numpy(self.graph.nodes)
        errors = []
        for frame, state in enumerate(states):
            found = vertices_at(
                torch.from_numpy(self.mesh.vertices),
                torch.from_numpy(self.graph.vertex_nodes).long(),
                torch.from_numpy(self.graph.vertex_weights),
                node_matrices(nodes, state.rotations, state.positions - nodes),
            )
            true = self.motion(self.mesh.vertices, frame / 24)
            errors.append(np.linalg.norm(found.numpy() - true, axis=1).mean() / self.radius)
        return float(np.mean(errors))

    def strain(self, states: list[NodeState]) -> float:
        """The largest stretch of an edge, in percent."""
        return 100 * max(float(self.elasticity.strain(s).stretch.norm(dim=1).max()) for s in states)


@pytest.fixture(scope="module")
def scene(studio: Callable[..., Any], spinning: Callable[..., Any]) -> Scene:
    """It spins."""
    stage = studio(size=64)
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, 36)
    radius = float(np.linalg.norm(np.ptp(stage.mesh.vertices, axis=0))) / 2
    clip = stage.film(spinning, 24, shown=FRAMES)
    bound = refine_on_views(splats_from_mesh(stage.mesh, 2000, 0), stage.views(), 60)
    sight = Sight(make_layers(bound, graph, pyramid(clip, clip.camera))[-1:], graph, radius)
    return Scene(stage.mesh, graph, sight, Elasticity(Ties.of(graph), radius, Stiffness()), radius, spinning)


def shaken(scene: Scene, size: float) -> list[NodeState]:
    """The true states, every node a little off on its own, as a registration of single frames leaves them."""
    generator = torch.Generator().manual_seed(4)
    states = [scene.rest]
    for frame in range(1, FRAMES):
        noise = size * torch.randn(len(scene.graph.nodes), 6, generator=generator)
        states.append(scene.true(frame).stepped(noise, scene.radius))
    return states


@pytest.fixture(scope="module")
def settled(scene: Scene) -> list[NodeState]:
    """Four rounds from ``shaken(scene, 0.02)``."""
    return scene.joint().settled(shaken(scene, 0.02), 4)


def test_the_pull_is_the_slope_of_the_rendered_cost(scene: Scene) -> None:
    """Central differences of what is drawn, the splats as large as before, for shifts of the whole along x, y
    and z. Splats end where they are fainter than a 255th, which the slope does not know: a tenth of it."""
    state = shaken(scene, 0.01)[3]
    pull = scene.sight.pull(3, state)
    assert pull.cost == pytest.approx(scene.sight.cost_as_large(3, state, pull.depths), rel=1e-5)
    measured = []
    for axis in range(3):
        direction = torch.zeros(len(scene.graph.nodes), 6)
        direction[:, 3 + axis] = 1e-3
        ahead, behind = (
            scene.sight.cost_as_large(3, state.stepped(sign * direction, scene.radius), pull.depths)
            for sign in (1.0, -1.0)
        )
        measured.append((ahead - behind) / 4e-3)
    slope = pull.gradient[:, 3:].sum(0)
    assert float((torch.tensor(measured) - slope).norm()) < 0.1 * float(slope.norm())


def test_distance_is_not_told_by_how_large_splats_look(scene: Scene) -> None:
    """Everything moved away along the lines of sight, each point staying in its pixel: nothing pulls."""
    lens, state = scene.sight.lenses[0], scene.true(2)
    eye = -(lens.rotation.T @ lens.shift)
    away = torch.cat([torch.zeros_like(state.positions), (state.positions - eye) / scene.radius], dim=1)
    sideways = torch.cat([torch.zeros_like(state.positions), lens.rotation[0].expand(len(away), 3)], dim=1)
    gradient = scene.sight.pull(2, state.stepped(0.01 * sideways, scene.radius)).gradient
    pulled = [abs(float((gradient * d).sum() / d.norm())) for d in (away, sideways)]
    assert pulled[0] < 0.05 * pulled[1]


def test_a_rigid_body_is_found_to_be_one(scene: Scene, settled: list[NodeState]) -> None:
    start = shaken(scene, 0.02)
    assert scene.strain(start) > 5.0
    assert scene.strain(settled) < 0.5
    assert scene.error(settled) < 0.25 * scene.error(start)


def test_what_is_not_rigid_is_not_made_so(
    scene: Scene, studio: Callable[..., Any], refined: BoundSplats, walking: Callable[..., Any]
) -> None:
    """Four legs swing: one rigid body explains them worse than no motion of single nodes would cost."""
    stage = studio(size=64)
    clip = stage.film(walking, 24, shown=FRAMES)
    layers = make_layers(refined, scene.graph, pyramid(clip, clip.camera))
    sight = Sight(layers[-1:], scene.graph, scene.radius)
    swung = Scene(scene.mesh, scene.graph, sight, scene.elasticity, scene.radius, walking)
    start = [swung.rest]
    for frame in range(1, FRAMES):
        places = torch.from_numpy(walking(scene.graph.nodes, frame / 24)).float()
        start.append(NodeState(swung.rest.rotations, places))
    settled = swung.joint().settled(start, 3)
    assert swung.strain(settled) > 3.0

    def cost(states: list[NodeState]) -> float:
        return sum(sight.cost(frame, sight.look(state, frame)) for frame, state in enumerate(states))

    assert cost(settled) < 0.5 * cost([swung.rest] * FRAMES)


def test_hopeless_rigid_paths_are_given_up(scene: Scene) -> None:
    states = [scene.rest] + [scene.true(frame) for frame in range(1, FRAMES)]
    assert rigid_path(scene.sight, states, scene.radius, 1.0) is None
    found = rigid_path(scene.sight, shaken(scene, 0.02), scene.radius, float("inf"))
    assert found is not None
    assert scene.error(found[0]) < 0.01


@pytest.fixture(scope="module")
def near(scene: Scene) -> tuple[list[NodeState], float]:
    """The rigid path, and its cost, from the true states."""
    true = [scene.rest] + [scene.true(frame) for frame in range(1, FRAMES)]
    found = rigid_path(scene.sight, true, scene.radius, float("inf"))
    assert found is not None
    return found


@pytest.mark.parametrize("away", [0.03, -0.03])
def test_a_rigid_body_finds_its_distance(
    scene: Scene, near: tuple[list[NodeState], float], away: float
) -> None:
    """From too far or too near, by that many radii, to where it comes from the true place."""
    ahead = away * scene.radius * scene.sight.lenses[0].rotation[2]
    true = [scene.rest] + [scene.true(frame) for frame in range(1, FRAMES)]
    apart = [NodeState(state.rotations, state.positions + ahead) for state in true]
    found = rigid_path(scene.sight, apart, scene.radius, float("inf"))
    assert found is not None
    distances = [
        one.positions.mean(0) - other.positions.mean(0) for one, other in zip(near[0], found[0], strict=True)
    ]
    assert float(torch.stack(distances).norm(dim=1).max()) < 0.004 * scene.radius
    assert found[1] == pytest.approx(near[1], rel=0.02)


def test_corrected_curvature_is_that_of_a_quadratic() -> None:
    """Six steps that the curvature at first does not fit, and it does."""
    generator = torch.Generator().manual_seed(1)
    root = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    true, guess = root @ root.T + torch.eye(6), torch.eye(6, dtype=torch.float64)
    directions: list[Tensor] = []
    for axis in torch.eye(6, dtype=torch.float64):  # conjugate ones, by Gram and Schmidt
        step = axis
        for other in directions:
            step = step - (step @ true @ other) / (other @ true @ other) * other
        directions.append(step)
        guess = corrected(guess, step, true @ step)
    torch.testing.assert_close(guess, true, rtol=1e-6, atol=1e-6)
    assert corrected(guess, directions[0], -directions[0]) is guess


def test_windows_of_frames_settle_to_the_same(
    scene: Scene, settled: list[NodeState], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_module, "_MOST_NUMBERS", 4 * (6 * len(scene.graph.nodes)) ** 2)
    parts = scene.joint().settled(shaken(scene, 0.02), 4)
    assert scene.error(parts) == pytest.approx(scene.error(settled), abs=0.003)


def test_it_goes_on_where_it_stopped(scene: Scene, settled: list[NodeState], tmp_path: Path) -> None:
    def stop(fraction: float, message: str) -> None:
        if message.endswith("round 3"):
            raise Cancelled

    start = shaken(scene, 0.02)
    with pytest.raises(Cancelled):
        scene.joint().settled(start, 4, stop, Checkpoint(tmp_path, interval=0.0))
    messages: list[str] = []
    again = scene.joint().settled(start, 4, lambda _, m: messages.append(m), Checkpoint(tmp_path, 0.0))
    assert not any("rigid" in message or message.endswith("round 1") for message in messages)
    for one, other in zip(settled, again, strict=True):
        assert torch.equal(one.positions, other.positions)
        assert torch.equal(one.rotations, other.rotations)


def test_the_kernel_pulls_as_its_twin_does(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three residuals for each splat from the colours of a frame, and two from its flow."""
    state = shaken(scene, 0.02)[3]
    seen, found = scene.sight.look(state, 3), []
    targets = scene.sight.flowed(3, seen)
    for kernel in (True, False):
        monkeypatch.setattr(native, "available", lambda kernel=kernel: kernel)
        equations = NormalEquations(len(scene.graph.nodes))
        scene.sight.add(equations, 3, state, seen)
        colors = equations.hessian.clone(), equations.gradient.clone()
        scene.sight.add_flow(equations, state, targets, seen.points)
        found.append((*colors, equations.hessian, equations.gradient))
    for fast, slow in zip(*found, strict=True):
        assert float((fast - slow).norm()) < 1e-4 * float(slow.norm())
