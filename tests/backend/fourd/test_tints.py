"""What changes its colour while it moves is followed as well as what keeps it, and changes on all sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.fourd.colors.appearance import color_change
from uni4d.fourd.colors.parts import parts_of
from uni4d.fourd.colors.tints import SPOKESMEN, Palette, Tints
from uni4d.fourd.elasticity import Elasticity, Stiffness
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.nodes import NodeGraph, build_node_graph
from uni4d.fourd.registration import Registration
from uni4d.fourd.sight import Sight, floor_of
from uni4d.fourd.states import NodeState
from uni4d.fourd.targets import pyramid
from uni4d.fourd.ties import Ties
from uni4d.splatting import BoundSplats, render, splats_from_mesh
from uni4d.splatting.static import refine_on_views
from uni4d_shared.types import Clip

FRAMES = 8
PAINT = torch.tensor([1.0, 0.8, 0.1])
AMOUNTS = 0.9 * np.sin(np.pi * np.arange(FRAMES) / FRAMES)


def trunk(places: Tensor) -> Tensor:
    """``[N]`` bool: of the toy's body, without head and legs."""
    return (places[:, 2] > 0.25) & (places[:, 1] > -0.28)


def paint_of(colors: Tensor, places: Tensor, amount: float) -> Tensor:
    """What is added: the trunk gives way to another colour."""
    return amount * trunk(places)[:, None].float() * (PAINT - colors)


@dataclass(frozen=True)
class Filmed:
    """The toy turns by a third while its trunk is painted and fades again."""

    bound: BoundSplats
    graph: NodeGraph
    radius: float
    layers: list[Layer]
    floor: float
    moved: list[NDArray[np.float32]]
    """The true vertices."""

    def followed(self, parts: Tensor) -> tuple[list[NodeState], Tints]:
        sights = [Sight([layer], self.graph, self.radius) for layer in self.layers]
        elasticity = Elasticity(Ties.of(self.graph), self.radius, Stiffness())
        palette = Palette(self.bound.splats.colors, parts)
        registration = Registration(sights, elasticity, self.graph, self.radius, self.floor, palette)
        return registration.follow(), registration.tints

    def error(self, states: list[NodeState]) -> float:
        """Mean distance of the splats from where they truly are, in radii."""
        sight = Sight(self.layers[-1:], self.graph, self.radius)
        found = []
        for state, vertices in zip(states, self.moved, strict=True):
            true = self.bound.carried(torch.from_numpy(vertices)).means
            found.append(float((sight.carried(state).means - true).norm(dim=1).mean()))
        return float(np.mean(found)) / self.radius


@pytest.fixture(scope="module")
def filmed(studio: Callable[..., Any], spinning: Callable[..., Any]) -> Filmed:
    stage = studio(size=64)
    cloud, camera, frames, moved = stage.cloud, stage.cameras[0], [], []
    for frame, amount in enumerate(AMOUNTS.tolist()):
        moved.append(spinning(stage.mesh.vertices, frame / 24))
        carried = cloud.carried(torch.from_numpy(moved[-1]))
        added = paint_of(cloud.splats.colors, cloud.splats.means, amount) / 0.28209479177387814
        now = cloud.splats.replaced(
            means=carried.means,
            quaternions=carried.quaternions,
            coefficients=cloud.splats.coefficients + added[:, None],
        )
        frames.append((render(now, camera).image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
    bound = refine_on_views(splats_from_mesh(stage.mesh, 1500, 0), stage.views(), 60)
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, 40)
    radius = float(np.linalg.norm(np.ptp(stage.mesh.vertices, axis=0))) / 2
    layers = make_layers(bound, graph, pyramid(Clip(np.stack(frames), camera=camera), camera))
    return Filmed(bound, graph, radius, layers, floor_of(bound.splats, stage.views(), 64), moved)


def test_a_painted_trunk_does_not_lead_the_motion_astray_and_is_painted_behind(filmed: Filmed) -> None:
    """As one part with all the rest it is followed three times as badly."""
    splats = filmed.bound.splats
    parts = trunk(splats.means).long()
    states, tints = filmed.followed(parts)
    assert filmed.error(states) < 0.012
    assert not tints.plain and not bool(tints.table[:, 0].abs().max() > 0.1)
    palette = Palette(splats.colors, parts)
    sight = Sight(filmed.layers[-1:], filmed.graph, filmed.radius)
    placed = [sight.carried(state) for state in states]
    found = color_change(filmed.layers[-1:], placed, filmed.radius, palette)
    assert found is not None
    away = torch.as_tensor(filmed.layers[-1].targets.camera.world_to_camera[2, :3].copy()).float()
    inside = trunk(splats.means)
    depth = splats.means @ away
    behind = inside & (depth > depth[inside].quantile(0.7))
    for frame in (3, 4, 5):
        wanted = paint_of(splats.colors, splats.means, float(AMOUNTS[frame]))
        left = (found.at(frame) - wanted)[behind].square().mean().sqrt()
        assert float(left) < 0.4 * float(wanted[behind].square().mean().sqrt())


def test_a_part_takes_on_what_its_splats_agree_on_and_nothing_else() -> None:
    generator = torch.Generator().manual_seed(3)
    colors = torch.rand(3 * SPOKESMEN, 3, generator=generator)
    parts = torch.arange(3).repeat_interleave(SPOKESMEN)
    faded = 0.6 * (PAINT - colors)
    apart = 0.3 * torch.randn(len(colors), 3, generator=generator)
    differences = torch.where((parts == 0)[:, None], faded, torch.where((parts == 1)[:, None], apart, 0.0))
    tints = Tints(Palette(colors, parts), 3)
    assert tints.plain and tints.at(1) is None
    for _ in range(3):
        added = tints.at(1)
        left = differences if added is None else differences - added
        tints.learn(1, torch.arange(len(colors)), left)
    added = tints.at(1)
    assert added is not None
    torch.testing.assert_close(added[parts == 0], faded[parts == 0], atol=0.02, rtol=0)
    assert not bool(added[parts > 0].any())
    tints.go_on(2)
    assert torch.equal(tints.table[2], tints.table[1])
    tints.learn(0, torch.arange(SPOKESMEN - 1), faded[: SPOKESMEN - 1])
    assert tints.at(0) is None  # too few to speak


def test_parts_are_of_one_material_and_of_one_colour() -> None:
    noise = 0.03 * torch.randn(400, 3, generator=torch.Generator().manual_seed(5))
    kinds = torch.arange(4).repeat_interleave(100)
    base = torch.tensor([[0.9, 0.1, 0.1], [0.9, 0.1, 0.1], [0.2, 0.3, 0.9], [0.2, 0.3, 0.9]])
    materials = torch.tensor([0, 1, 1, 3])[kinds]
    parts = parts_of(base[kinds] + noise, materials)
    assert sorted(parts.unique().tolist()) == [0, 1, 2, 3]
    assert all(len(parts[kinds == kind].unique()) == 1 for kind in range(4))
