"""The torch twin of the shared skinning, and the exported motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from uni4d.fourd.deformation import SplatDriver, node_matrices, vertices_at
from uni4d.fourd.motion import MotionParameters
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.optimiser import FrameAdam
from uni4d.fourd.priors import PathPrior, rigidity
from uni4d.fourd.states import NodeState
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, splats_from_mesh
from uni4d_shared import skinning
from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.trajectories import precision
from uni4d_shared.types import Gaussians4D, Mesh

FRAMES = 5


@pytest.fixture(scope="module")
def graph(toy: TexturedMesh) -> NodeGraph:
    return build_node_graph(toy.vertices, toy.faces, 30)


@pytest.fixture(scope="module")
def bound(toy: TexturedMesh) -> BoundSplats:
    return splats_from_mesh(toy, 400, seed=2)


def random_motion(graph: NodeGraph, seed: int) -> MotionParameters:
    generator = torch.Generator().manual_seed(seed)
    rest = NodeState.rest(torch.from_numpy(graph.nodes))
    turned = [
        rest.stepped(torch.randn(1, 6, generator=generator).expand(len(graph.nodes), 6), 0.5)
        for _ in range(FRAMES)
    ]
    motion = MotionParameters(graph, turned, radius=0.5)
    with torch.no_grad():
        motion.rotations += 0.3 * torch.randn(motion.rotations.shape, generator=generator)
        motion.translations += 0.2 * torch.randn(motion.translations.shape, generator=generator)
    return motion


def as_result(
    toy: TexturedMesh, bound: BoundSplats, motion: MotionParameters, graph: NodeGraph
) -> Gaussians4D:
    return Gaussians4D(
        mesh=Mesh(toy.vertices, toy.faces),
        splats=bound.splats.activated(),
        motion=motion.exported(graph, 3.0, torch.zeros(FRAMES, len(graph.nodes))),
        splat_faces=bound.face_index.numpy(),
        splat_barycentric=bound.barycentric.numpy(),
    )


@given(seed=st.integers(0, 2**31 - 1), frame=st.integers(0, FRAMES - 1))
@settings(max_examples=15, deadline=None)
def test_what_is_fitted_is_what_is_exported(
    toy: TexturedMesh, bound: BoundSplats, graph: NodeGraph, seed: int, frame: int
) -> None:
    motion = random_motion(graph, seed)
    result = as_result(toy, bound, motion, graph)
    with torch.no_grad():
        matrices = motion.matrices(torch.tensor([frame]))
        vertices = vertices_at(
            bound.vertices,
            torch.from_numpy(graph.vertex_nodes.astype(np.int64)),
            torch.from_numpy(graph.vertex_weights),
            matrices[0],
        )
        carried = SplatDriver(bound, graph).carried(matrices)
    np.testing.assert_allclose(vertices.numpy(), skinning.vertices_at(result, frame), atol=2e-5)
    expected = skinning.splats_at(result, frame)
    np.testing.assert_allclose(carried.means[0].numpy(), expected.means, atol=2e-5)
    turned = matrix_from_quaternion(carried.quaternions[0].numpy())
    agree = np.abs(turned - matrix_from_quaternion(expected.quaternions)).max(axis=(1, 2)) < 1e-2
    assert agree.mean() > 0.98  # the frame of a triangle that collapses is noise


@given(seed=st.integers(0, 2**31 - 1), moments=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_several_moments_at_once_carry_splats_as_the_meshes_of_each_do(
    toy: TexturedMesh, graph: NodeGraph, seed: int, moments: int
) -> None:
    """And pull at the nodes alike. Splats share corners, and most vertices carry none."""
    few = splats_from_mesh(toy, 60, seed=2)
    assert len(few.corners.unique()) < min(3 * len(few), len(toy.vertices) / 2)
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(0, FRAMES, (moments,), generator=generator)
    matrices = random_motion(graph, seed).matrices(frames).detach().requires_grad_(True)
    pull = torch.randn(moments, len(few), 3, generator=generator)
    carried = SplatDriver(few, graph).carried(matrices)
    vertex_nodes, weights = (
        torch.from_numpy(graph.vertex_nodes).long(),
        torch.from_numpy(graph.vertex_weights),
    )
    expected = [few.carried(vertices_at(few.vertices, vertex_nodes, weights, own)) for own in matrices]
    means, quaternions = (torch.stack(parts) for parts in zip(*expected, strict=True))
    torch.testing.assert_close(carried.means, means, atol=2e-5, rtol=0)
    same = (carried.quaternions * quaternions).sum(dim=-1).abs() > 1 - 1e-3
    assert float(same.float().mean()) > 0.98  # the frame of a triangle that collapses is noise
    found, true = (torch.autograd.grad((m * pull).sum(), matrices)[0] for m in (carried.means, means))
    torch.testing.assert_close(found, true, atol=1e-5 * float(true.abs().max()), rtol=1e-4)


def test_a_splat_belongs_to_the_nodes_by_which_it_moves(bound: BoundSplats, graph: NodeGraph) -> None:
    """The weights are the slopes of where it is by where its nodes are."""
    driver = SplatDriver(bound, graph)
    matrices = node_matrices(
        torch.from_numpy(graph.nodes),
        torch.eye(1, 4).expand(1, len(graph.nodes), 4),
        torch.zeros(1, len(graph.nodes), 3),
    ).requires_grad_(True)
    weights = driver.weights(graph)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(bound)), atol=1e-5, rtol=0)
    pull = torch.randn(len(bound), 3, generator=torch.Generator().manual_seed(0))
    (slopes,) = torch.autograd.grad((driver.carried(matrices).means[0] * pull).sum(), matrices)
    torch.testing.assert_close(slopes[0, :, 3], weights.T @ pull, atol=1e-4, rtol=1e-4)


def test_exported_keyframes_can_be_interpolated(toy: TexturedMesh, graph: NodeGraph) -> None:
    rotations = random_motion(graph, 7).exported(graph, 3.0, torch.zeros(FRAMES, 30)).rotations
    np.testing.assert_allclose(np.linalg.norm(rotations, axis=-1), 1.0, atol=1e-5)
    assert ((rotations[1:] * rotations[:-1]).sum(axis=-1) >= 0).all()


def test_gradients_reach_every_parameter(bound: BoundSplats, graph: NodeGraph) -> None:
    motion, driver = random_motion(graph, 1), SplatDriver(bound, graph)
    frames = torch.tensor([1, 3])

    def measure() -> Tensor:
        return torch.sin(driver.carried(motion.matrices(frames)).means).sum()

    gradients = torch.autograd.grad(measure(), motion.tensors())
    for tensor, gradient in zip(motion.tensors(), gradients, strict=True):
        assert bool((gradient[frames] != 0).any())
        assert not bool(gradient[[0, 2, 4]].any())
        direction = torch.zeros_like(tensor)
        direction[frames] = torch.randn(direction[frames].shape, generator=torch.Generator().manual_seed(0))
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                tensor.add_(direction, alpha=sign * 1e-3)
                values.append(measure().item())
                tensor.sub_(direction, alpha=sign * 1e-3)
        slope = float((gradient * direction).sum())
        # the turning of a splat about its triangle is a constant of the step, but its offset is tiny
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(slope, rel=0.02, abs=0.2)


def test_priors_do_not_mind_a_rigid_motion_and_do_mind_the_rest(graph: NodeGraph) -> None:
    ties, frames = Ties.of(graph), torch.arange(FRAMES)
    rest = NodeState.rest(torch.from_numpy(graph.nodes))
    motion, prior = MotionParameters(graph, [rest] * FRAMES, radius=0.5), PathPrior(FRAMES, 3.0)
    assert rigidity(motion, ties, frames).item() == pytest.approx(0.0, abs=1e-10)
    assert prior.loss(motion, frames).item() == pytest.approx(0.0, abs=1e-10)
    with torch.no_grad():  # all nodes turn by the same rotation about the origin
        turn = torch.tensor([0.8, 0.0, 0.6, 0.0])
        motion.rotations[:] = turn
        matrix = torch.tensor(matrix_from_quaternion(turn.numpy()))
        motion.translations[:] = (motion.nodes @ matrix.T - motion.nodes) / motion.radius
    assert rigidity(motion, ties, frames).item() == pytest.approx(0.0, abs=1e-8)
    with torch.no_grad():
        motion.translations[2] += 0.3 * torch.randn(motion.translations[2].shape)
    assert rigidity(motion, ties, frames).item() > 1e-3
    assert prior.loss(motion, frames).item() > 1e-3


def test_the_path_prior_pulls_each_frame_as_the_whole_process_does(graph: NodeGraph) -> None:
    """The gradient of the loss on one frame is that of xᵀ P x, whose gradient is 2 P x."""
    motion, prior = random_motion(graph, 3), PathPrior(FRAMES, 3.0)
    with torch.no_grad():
        motion.rotations[:] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    own = precision(FRAMES, 3.0)
    expected = 2.0 * np.einsum(
        "st,tkc->skc", own / own.diagonal().mean(), motion.translations.detach().double().numpy()
    )
    for frame in range(FRAMES):
        (gradient,) = torch.autograd.grad(prior.loss(motion, torch.tensor([frame])), [motion.translations])
        np.testing.assert_allclose(
            gradient[frame].numpy() * gradient[frame].numel(), expected[frame], rtol=1e-3, atol=1e-3
        )
        assert not bool(gradient[[f for f in range(FRAMES) if f != frame]].any())


def test_adam_moves_only_the_frames_of_the_batch() -> None:
    values = torch.zeros(4, 2, requires_grad=True)
    adam = FrameAdam([values], [0.1])
    for _ in range(100):
        frames = torch.tensor([1, 3])
        loss = (values[frames] - torch.tensor([1.0, -2.0])).square().sum()
        adam.step(frames, torch.autograd.grad(loss, [values]))
    assert not bool(values[[0, 2]].any())
    torch.testing.assert_close(values[1].detach(), torch.tensor([1.0, -2.0]), atol=0.05, rtol=0)
