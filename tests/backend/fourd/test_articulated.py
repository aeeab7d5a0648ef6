"""Loose pieces as rigid bodies: what hangs on what, the equations, and clips in which pieces were lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.fourd import build_node_graph
from uni4d.fourd.bodies.articulated_path import articulated_path
from uni4d.fourd.bodies.body_equations import BodyEquations
from uni4d.fourd.bodies.skeleton import Skeleton
from uni4d.fourd.elasticity import Elasticity, NormalEquations, Stiffness
from uni4d.fourd.layers import make_layers
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.relevance import Floors, Relevance
from uni4d.fourd.rotations import best_turns, exponential
from uni4d.fourd.sight import Sight
from uni4d.fourd.states import NodeState
from uni4d.fourd.targets import pyramid
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats
from uni4d.splatting.binding import quaternions_from_matrices
from uni4d.splatting.projection import rotation_matrices
from uni4d_shared.progress import Cancelled, Progress, silent

from .conftest import Studio

FRAMES, SCALE = 8, 0.6
ENDS = np.cumsum([0, 6 * 5**2, *5 * [6 * 4**2]])
"""Where the toy's pieces begin among its vertices: trunk, head, and four legs."""
PIECES = [slice(*ends) for ends in pairwise(ENDS)]


def stride(vertices: NDArray[np.float32], time: float) -> NDArray[np.float32]:
    """Of the toy: legs swing about their hips, diagonal ones together, and the head nods; all rigid."""
    moved = vertices.copy()
    neck = np.array([0.0, -0.45, 0.65]) * SCALE
    for piece, share in zip(PIECES[1:], (0.5, 1.0, -1.0, -1.0, 1.0), strict=True):
        own = vertices[piece]
        hip = np.array([own[:, 0].mean(), own[:, 1].mean(), own[:, 2].max()])
        pivot = neck if share == 0.5 else hip
        angle = 0.7 * share * math.sin(2 * math.pi * time)
        c, s = math.cos(angle), math.sin(angle)
        moved[piece] = (own - pivot) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]) + pivot
    return moved.astype(np.float32)


@dataclass(frozen=True)
class Scene:
    """The toy, and what one camera sees of it."""

    mesh: TexturedMesh
    graph: NodeGraph
    radius: float
    sight: Sight
    bound: BoundSplats

    @property
    def skeleton(self) -> Skeleton:
        return Skeleton.of(self.graph, self.radius)

    @property
    def relevance(self) -> Relevance:
        elasticity = Elasticity(Ties.of(self.graph), self.radius, Stiffness())
        return Relevance(elasticity, self.radius, Floors.seen_at(self.sight.pixels))

    def cost(self, states: list[NodeState]) -> float:
        return sum(self.sight.costs(states)) + self.relevance.cost(states)

    def error(self, states: list[NodeState]) -> float:
        """Mean distance of the splats from where they are, in radii."""
        away = []
        for frame, state in enumerate(states):
            moved = stride(self.mesh.vertices, frame / 24)
            true = self.bound.carried(torch.from_numpy(moved)).means
            away.append((self.sight.carried(state).means - true).norm(dim=1).mean())
        return float(torch.stack(away).mean()) / self.radius

    def settled(self, states: list[NodeState], progress: Progress = silent) -> list[NodeState] | None:
        bent = 10 * self.cost(states)
        return articulated_path(self.sight, states, self.skeleton, self.relevance, 12, bent, progress)


def filmed(stage: Studio, bound: BoundSplats, motion: Callable[..., Any]) -> Scene:
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, 30)
    radius = float(np.linalg.norm(np.ptp(stage.mesh.vertices, axis=0))) / 2
    clip = stage.film(motion, 24, shown=FRAMES)
    sight = Sight(make_layers(bound, graph, pyramid(clip, clip.camera))[-1:], graph, radius)
    return Scene(stage.mesh, graph, radius, sight, bound)


@pytest.fixture(scope="module")
def scene(studio: Callable[..., Any], refined: BoundSplats) -> Scene:
    return filmed(studio(scale=SCALE, size=64), refined, stride)


@pytest.fixture(scope="module")
def true(scene: Scene) -> list[NodeState]:
    """Every body where its piece of the mesh is."""
    skeleton, rest = scene.skeleton, NodeState.rest(torch.from_numpy(scene.graph.nodes))
    states = [rest]
    for frame in range(1, FRAMES):
        moved, state = torch.from_numpy(stride(scene.mesh.vertices, frame / 24)), rest
        for body, piece in enumerate(pieces_of_bodies(scene)):
            here, there = torch.from_numpy(scene.mesh.vertices)[piece], moved[piece]
            turn = quaternions_from_matrices(best_turns(here, there)[None])[0]
            whole = rest.carried(turn, there.mean(0) - here.mean(0), here.mean(0))
            own = (skeleton.body == body)[:, None]
            state = NodeState(
                torch.where(own, whole.rotations, state.rotations),
                torch.where(own, whole.positions, state.positions),
            )
        states.append(state)
    return states


def pieces_of_bodies(scene: Scene) -> list[slice]:
    """Nodes are at vertices; the nodes of a body share one piece of the mesh."""
    away = np.linalg.norm(scene.graph.nodes[:, None] - scene.mesh.vertices, axis=2)
    touched = np.stack([(away[:, piece] < 1e-5).any(axis=1) for piece in PIECES], axis=1)
    body = scene.skeleton.body.numpy()
    return [PIECES[int(touched[body == b].sum(axis=0).argmax())] for b in range(scene.skeleton.bodies)]


# --- bodies -------------------------------------------------------------------------------------------


def test_head_and_legs_hang_on_the_trunk(scene: Scene) -> None:
    skeleton = scene.skeleton
    assert skeleton.bodies == 6
    trunk = skeleton.parents.index(-1)
    assert skeleton.order[0] == trunk
    assert sorted(skeleton.parents) == [-1] + 5 * [trunk]
    assert skeleton.hanging_on(trunk) == list(skeleton.order)
    low, high = torch.from_numpy(scene.graph.nodes)[skeleton.body == trunk, 1].aminmax()
    assert float(high - low) == pytest.approx(SCALE, rel=0.1)


def test_nodes_go_along_with_the_bodies_as_the_moves_say(scene: Scene, true: list[NodeState]) -> None:
    """Against the step itself, for a small one."""
    skeleton, generator = scene.skeleton, torch.Generator().manual_seed(0)
    step = 1e-3 * torch.randn(skeleton.bodies, 6, generator=generator)
    moved = skeleton.stepped(true[4], step).steps_from(true[4], scene.radius)
    expected = (skeleton.moves(true[4]) @ step.double().reshape(-1)).reshape(-1, 6).float()
    torch.testing.assert_close(moved, expected, rtol=0.01, atol=1e-5)


def test_rigid_bodies_are_left_as_they_are(scene: Scene, true: list[NodeState]) -> None:
    skeleton, generator = scene.skeleton, torch.Generator().manual_seed(1)
    stiff = skeleton.stiffened(true[5])
    torch.testing.assert_close(stiff.positions, true[5].positions, rtol=0, atol=1e-4 * scene.radius)
    noise = 0.02 * torch.randn(len(scene.graph.nodes), 6, generator=generator)
    again = skeleton.stiffened(true[5].stepped(noise, scene.radius))
    assert float((again.positions - true[5].positions).norm(dim=1).mean()) < 0.03 * scene.radius
    strain = Elasticity(Ties.of(scene.graph), scene.radius, Stiffness()).strain(again)
    own = skeleton.body[Ties.of(scene.graph).first] == skeleton.body[Ties.of(scene.graph).second]
    assert float(strain.stretch[own].abs().max()) < 1e-4


def test_a_leg_can_be_hung_as_it_was(scene: Scene, true: list[NodeState]) -> None:
    """Also after the whole has been turned."""
    skeleton = scene.skeleton
    leg = int(skeleton.body[int(true[0].positions[:, 2].argmin())])
    turn = exponential(torch.tensor([0.3, -0.2, 0.9]))
    about, shift = torch.zeros(3), torch.tensor([0.1, 0.0, 0.2])
    whole = true[3].carried(turn, shift, about)
    lost = whole.positions.clone()
    lost[skeleton.body == leg] += 0.1
    found = skeleton.hung_as(NodeState(whole.rotations, lost), leg, true[3])
    torch.testing.assert_close(found.positions, whole.positions, rtol=0, atol=1e-4 * scene.radius)
    turns = rotation_matrices(found.rotations), rotation_matrices(whole.rotations)
    torch.testing.assert_close(*turns, rtol=0, atol=1e-4)


# --- equations ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_band_is_solved_as_one_dense_system_is(frames: int) -> None:
    """All quadratic terms put into one matrix by autograd."""
    generator = torch.Generator().manual_seed(frames)
    nodes, bodies, damping = 4, 2, 0.3
    moves = torch.randn(frames, 6 * nodes, 6 * bodies, generator=generator, dtype=torch.float64)
    roots = torch.randn(frames, 6 * bodies, 6 * bodies, generator=generator, dtype=torch.float64)
    seen = roots @ roots.transpose(1, 2)
    pulls = torch.randn(frames, 6 * bodies, generator=generator, dtype=torch.float64)
    half = torch.randn(frames, 6 * nodes, 6 * nodes, generator=generator)
    held = half @ half.transpose(1, 2)
    strains = torch.randn(frames, nodes, 6, generator=generator)
    ties = [
        (first, kind, torch.rand(nodes, 6, generator=generator), torch.randn(nodes, 6, generator=generator))
        for kind in ((-1.0, 1.0), (1.0, -2.0, 1.0))
        for first in range(-2, frames)
    ]
    equations = BodyEquations(list(moves))
    for frame in range(frames):
        of_nodes = NormalEquations(nodes)
        blocks = held[frame].reshape(nodes, 6, nodes, 6).permute(0, 2, 1, 3)
        of_nodes.hessian, of_nodes.gradient = blocks.reshape(-1, 6, 6), strains[frame]
        equations.add(frame, seen[frame], pulls[frame], of_nodes)
    for first, kind, weights, residuals in ties:
        equations.tie(first, kind, weights, residuals)

    def cost(flat: Tensor) -> Tensor:
        own = flat.reshape(frames, -1)
        along = (moves @ own[..., None])[..., 0]
        total = (pulls * own).sum() + (strains.reshape(frames, -1) * along).sum()
        total = total + 0.5 * torch.einsum("fi,fij,fj->", own, seen, own)
        total = total + 0.5 * damping * (seen.diagonal(dim1=1, dim2=2) * own.square()).sum()
        total = total + 0.5 * torch.einsum("fi,fij,fj->", along, held.double(), along)
        for first, kind, weights, residuals in ties:
            around = residuals.double().reshape(-1)
            for offset, factor in enumerate(kind):
                if 0 <= first + offset < frames:
                    around = around + factor * along[first + offset]
            total = total + 0.5 * (weights.double().reshape(-1) * around.square()).sum()
        return total

    zero = torch.zeros(frames * 6 * bodies, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(cost, zero)
    gradient = torch.autograd.functional.jacobian(cost, zero)
    expected = -torch.linalg.solve(hessian, gradient).reshape(frames, -1)
    solved = equations.solved(damping)
    assert solved is not None
    torch.testing.assert_close(solved, expected, rtol=1e-3, atol=1e-4)


def test_what_nothing_determines_has_no_step() -> None:
    equations = BodyEquations([torch.zeros(6, 6, dtype=torch.float64)])
    assert equations.solved(0.5) is None


# --- on pictures --------------------------------------------------------------------------------------


def test_pieces_come_back_from_too_far_away(scene: Scene, true: list[NodeState]) -> None:
    """All of them off along the lines of sight, of which one camera sees little."""
    ahead = 0.05 * scene.radius * scene.sight.lenses[0].rotation[2]
    apart = [true[0], *(NodeState(s.rotations, s.positions + ahead) for s in true[1:])]
    found = scene.settled(apart)
    assert found is not None
    assert scene.error(found) < 0.35 * scene.error(apart)


def test_a_lost_leg_is_found_again(scene: Scene, true: list[NodeState]) -> None:
    """In four frames it points the wrong way, where nothing pulls it back."""
    skeleton = scene.skeleton
    eye = -(scene.sight.lenses[0].rotation.T @ scene.sight.lenses[0].shift)
    nearest = int((true[0].positions - eye).norm(dim=1).add(10 * (true[0].positions[:, 2] > 0.1)).argmin())
    leg = int(skeleton.body[nearest])
    step = torch.zeros(skeleton.bodies, 6)
    step[leg] = torch.tensor([0.0, 1.5, 0.0, 0.0, 0.0, 0.0])
    lost = [skeleton.stepped(s, step) if 2 <= frame <= 5 else s for frame, s in enumerate(true)]
    found = scene.settled(lost)
    assert found is not None
    own = skeleton.body == leg
    turns = [state.steps_from(other, 1.0)[own, :3] for state, other in zip(found, true, strict=True)]
    assert max(float(turn.norm(dim=1).max()) for turn in turns) < 0.3


def test_what_bends_is_not_made_of_rigid_pieces(studio: Callable[..., Any], refined: BoundSplats) -> None:
    def bend(vertices: NDArray[np.float32], time: float) -> NDArray[np.float32]:
        angle = 3.0 * math.sin(2 * math.pi * time) * vertices[:, 1] / SCALE
        x, y = vertices[:, 0], vertices[:, 1]
        turned = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
        return np.stack([*turned, vertices[:, 2]], axis=1).astype(np.float32)

    bent = filmed(studio(scale=SCALE, size=64), refined, bend)
    states = [NodeState.rest(torch.from_numpy(bent.graph.nodes))]
    for frame in range(1, FRAMES):
        places = torch.from_numpy(bend(bent.graph.nodes, frame / 24))
        states.append(NodeState(states[0].rotations, places))
    whole = bent.sight, states, bent.skeleton, bent.relevance, 12
    assert articulated_path(*whole, sum(bent.sight.costs(states))) is None


def test_the_search_can_be_cancelled(scene: Scene, true: list[NodeState]) -> None:
    seen: list[str] = []

    def stop(share: float, message: str) -> None:
        seen.append(message)
        if len(seen) > 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        scene.settled(true, progress=stop)
    assert "rigid bodies" in seen[-1]
