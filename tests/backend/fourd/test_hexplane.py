"""The HexPlane deformation: its look-ups, its start, its regularisers, and that it finds a motion."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from uni4d.fourd.hexplane import Deformation, HexPlane, HexPlaneConfig, HexPlaneFit, fit_hexplane
from uni4d.fourd.hexplane_nodes import node_motion
from uni4d.fourd.nodes import build_node_graph
from uni4d.fourd.targets import clip_camera, pyramid
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import splats_from_mesh
from uni4d.splatting.static import refine_on_views
from uni4d.splatting.visibility import shown_shares
from uni4d_shared.skinning import vertices_at
from uni4d_shared.types import Gaussians4D, Mesh

SMALL = HexPlaneConfig(resolution=6, times=5, levels=(1, 2), channels=3, width=8)
BOUNDS = torch.tensor([[-0.5, -1.0, 0.0], [0.5, 1.0, 1.5]])


@pytest.fixture
def field() -> HexPlane:
    torch.manual_seed(3)
    made = HexPlane(BOUNDS, frames=9, config=SMALL)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.5, 0.3)
    return made


def bilinear(plane: Tensor, x: float, y: float) -> Tensor:
    """``[C]`` of ``[1, C, H, W]`` at x, y in [−1, 1], written out."""
    height, width = plane.shape[-2:]
    column, row = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
    left, top = min(int(column), width - 2), min(int(row), height - 2)
    fx, fy = column - left, row - top
    corner = plane[0]
    upper = (1 - fx) * corner[:, top, left] + fx * corner[:, top, left + 1]
    lower = (1 - fx) * corner[:, top + 1, left] + fx * corner[:, top + 1, left + 1]
    return (1 - fy) * upper + fy * lower


def test_features_are_those_of_a_plain_loop(field: HexPlane) -> None:
    points = BOUNDS[0] + torch.rand(5, 3, generator=torch.Generator().manual_seed(0)) * (
        BOUNDS[1] - BOUNDS[0]
    )
    times = torch.tensor([0.0, 0.37, 1.0])
    found = field.features(points, times)
    for (b, time), (n, point) in itertools.product(enumerate(times.tolist()), enumerate(points)):
        local = ((point - field.centre) / (field.unit * SMALL.reach)).tolist()
        expected = []
        for level in range(2):
            product = torch.ones(SMALL.channels)
            for (first, second), plane in zip(
                ((0, 1), (0, 2), (1, 2)), field.space[3 * level :], strict=False
            ):
                product = product * bilinear(plane, local[first], local[second])
            for axis, plane in zip(range(3), field.time[3 * level :], strict=False):
                product = product * bilinear(plane, local[axis], 2 * time - 1)
            expected.append(product)
        torch.testing.assert_close(found[b, n], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_it_starts_at_rest() -> None:
    points = torch.rand(7, 3)
    shift, turn, growth = HexPlane(BOUNDS, 9, SMALL)(points, torch.tensor([0.0, 0.6]))
    assert shift.shape == growth.shape == (2, 7, 3)
    assert not shift.any() and not growth.any()
    torch.testing.assert_close(turn, torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(2, 7, 4))


def test_every_parameter_has_a_gradient(field: HexPlane) -> None:
    shift, turn, growth = field(torch.rand(20, 3), torch.tensor([0.2, 0.7]))
    (shift.square().sum() + (turn * torch.arange(4.0)).sum() + growth.sum()).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.any()) for p in field.parameters())
    listed = [id(p) for group in field.groups() for p in group["params"]]  # type: ignore[attr-defined]
    assert sorted(listed) == sorted(id(p) for p in field.parameters()), "each is optimised, once"


def test_regularisers_ask_for_what_they_say() -> None:
    """A field that is the same everywhere and always costs nothing; each departure costs."""
    field = HexPlane(BOUNDS, 9, SMALL)
    with torch.no_grad():
        for plane in (*field.space, *field.time):
            plane.fill_(1.0)
        assert float(field.regularisation()) == 0.0
        field.space[0][..., 2] = 2.0
        rough = float(field.regularisation())
        field.space[0].fill_(1.0)
        field.time[0][..., 2, :] = 2.0
        jumpy = float(field.regularisation())
    assert rough > 0.0 and jumpy > rough


def test_nodes_follow_the_splats(toy: TexturedMesh) -> None:
    """Splats that turn as one body carry the mesh as that body does, whole turn and all."""
    bound = splats_from_mesh(toy, 1_500)
    centre, axis = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.0, 0.6, 0.8])

    def placed(points: Tensor, frame: float) -> Tensor:
        turn = torch.linalg.matrix_exp(torch.linalg.cross(torch.eye(3), axis.expand(3, 3)) * frame)
        return (points - centre) @ turn + centre + 0.05 * frame

    class Turning(HexPlane):
        def forward(self, points: Tensor, time: Tensor) -> Deformation:
            moved = torch.stack([placed(points, 5.0 * float(t)) for t in time])
            rest = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(len(time), len(points), 4)
            return Deformation(moved - points, rest, torch.zeros_like(moved))

    fitted = HexPlaneFit(bound.splats, Turning(BOUNDS, 6, SMALL), 6)
    graph = build_node_graph(toy.vertices, toy.faces, 20)
    motion = node_motion(fitted, graph)
    result = Gaussians4D(
        Mesh(toy.vertices, toy.faces),
        bound.splats.activated(),
        motion,
        bound.face_index.numpy(),
        bound.barycentric.numpy(),
    )
    for frame in range(6):
        expected = placed(torch.from_numpy(toy.vertices), float(frame)).numpy()
        np.testing.assert_allclose(vertices_at(result, frame), expected, atol=1e-4)
    assert ((motion.rotations[1:] * motion.rotations[:-1]).sum(-1) > 0).all(), "no quaternion jumps"


@pytest.mark.slow
def test_it_finds_a_shift(studio: Callable[..., Any]) -> None:
    def slide(vertices: np.ndarray[Any, Any], time: float) -> np.ndarray[Any, Any]:
        return np.asarray(vertices + np.array([0.0, 0.0, 0.12 * time]), np.float32)

    place = studio(0.6, 48)
    clip = place.film(slide, 4)
    targets = pyramid(clip, clip_camera(clip, place.cameras[0]))[-1]
    bound = refine_on_views(splats_from_mesh(place.mesh, 600), place.views(), 80)
    fitted = fit_hexplane(bound, [targets], 160, HexPlaneConfig(resolution=16, levels=(1,)), seed=1)
    seen = shown_shares(bound.splats, [place.cameras[0]]) > 0.3
    for frame, moved in enumerate(fitted.per_frame()):
        rise = (moved.means - fitted.splats.means)[seen, 2].mean()
        assert float(rise) == pytest.approx(0.03 * frame, abs=0.012)
    between = (fitted.at(1.5).means - fitted.splats.means)[:, 2].mean()
    assert 0.0 < float(between) < 0.09
    again = fit_hexplane(bound, [targets], 3, HexPlaneConfig(resolution=16, levels=(1,)), seed=1)
    once_more = fit_hexplane(bound, [targets], 3, HexPlaneConfig(resolution=16, levels=(1,)), seed=1)
    assert torch.equal(again.at(2.0).means, once_more.at(2.0).means)
