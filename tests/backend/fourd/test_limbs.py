"""Limbs: what hangs on what, and an arm that swings too far for small steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from uni4d.fourd import build_node_graph
from uni4d.fourd.colors.tints import Palette
from uni4d.fourd.elasticity import Elasticity, Stiffness
from uni4d.fourd.layers import make_layers
from uni4d.fourd.limbs import LimbSearch, limbs_of
from uni4d.fourd.nodes import NodeGraph
from uni4d.fourd.registration import Registration
from uni4d.fourd.sight import Sight, floor_of
from uni4d.fourd.states import NodeState
from uni4d.fourd.targets import pyramid
from uni4d.fourd.ties import Ties
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting.static import refine_on_views
from uni4d.splatting.surface import splats_from_mesh
from uni4d_shared.cameras import bounding_sphere

from .conftest import Studio, painted
from .test_pieces import boxes

ARM = ((0.29, -0.06, 0.5), (0.41, 0.06, 1.77))
SHOULDER = (0.33, 0.0, 1.7)
SWING_DEGREES = 45.0
"""Per frame."""


def waver() -> TexturedMesh:
    """A narrow trunk of many colours; a thin green arm hangs beside it, on its shoulders."""
    spans = ((-0.2, -0.2, 0.0), (0.2, 0.2, 1.4)), ((-0.3, -0.2, 1.38), (0.3, 0.2, 2.0)), ARM
    vertices, faces = boxes(*spans)
    pattern = 0.5 + 0.3 * np.sin(vertices @ np.array([[9.0, 3, 2], [4, 8, 5], [2, 3, 9]]) + np.arange(3))
    colors = np.where(on_arm(vertices)[:, None], [[0.1, 0.6, 0.15]], pattern)
    return painted(vertices, faces, colors, "waver")


def on_arm(places: NDArray[np.float32]) -> NDArray[np.bool_]:
    return (places[:, 0] > 0.28) & (np.abs(places[:, 1]) < 0.07) & (places[:, 2] < 1.78)


def swing(vertices: NDArray[np.float32], time: float) -> NDArray[np.float32]:
    """The arm is lifted sideways about its upper end; ``time`` in frames."""
    angle = math.radians(SWING_DEGREES) * time
    x, _, z = (vertices - SHOULDER).T
    moved = vertices.copy()
    moved[:, 0] = SHOULDER[0] + x * math.cos(angle) - z * math.sin(angle)
    moved[:, 2] = SHOULDER[2] + x * math.sin(angle) + z * math.cos(angle)
    return np.where(on_arm(vertices)[:, None], moved, vertices).astype(np.float32)


@pytest.fixture(scope="module")
def graph() -> NodeGraph:
    mesh = waver()
    return build_node_graph(mesh.vertices, mesh.faces, 60)


def test_an_arm_is_a_limb_that_hangs_on_the_trunk(graph: NodeGraph) -> None:
    arm = set(np.flatnonzero(on_arm(graph.nodes)))
    limbs = [limb for limb in limbs_of(graph) if arm <= set(limb.nodes.tolist())]
    smallest = min(limbs, key=lambda limb: len(limb.nodes))
    assert len(smallest.nodes) <= len(arm) + 2
    assert smallest.joint[1] not in smallest.nodes.tolist()


def test_limbs_are_no_more_than_half_of_it(graph: NodeGraph) -> None:
    sizes = [len(limb.nodes) for limb in limbs_of(graph)]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) <= len(graph.nodes) / 2


class Scene:
    """Two frames and the splats that follow them."""

    def __init__(self, graph: NodeGraph) -> None:
        mesh = waver()
        stage = Studio(mesh, 96)
        self.views, self.mesh, self.graph = stage.views(), mesh, graph
        self.radius = bounding_sphere(mesh.vertices)[1]
        self.bound = refine_on_views(splats_from_mesh(mesh, 1500, 0), self.views, 60)
        film = stage.film(lambda vertices, share: swing(vertices, 2.0 * share), 2)
        layers = make_layers(self.bound, graph, pyramid(film, film.camera))
        self.sights = [Sight([layer], graph, self.radius) for layer in layers]

    def error(self, state: NodeState) -> float:
        """Mean distance of the arm's splats from where they are in the second frame, in radii."""
        true = self.bound.carried(torch.from_numpy(swing(self.mesh.vertices, 1.0))).means
        away = (self.sights[-1].carried(state).means - true).norm(dim=1)
        return float(away[on_arm(self.bound.splats.means.numpy())].mean()) / self.radius


@pytest.fixture(scope="module")
def scene(graph: NodeGraph) -> Scene:
    return Scene(graph)


def test_a_lost_arm_is_turned_towards_where_the_frame_shows_it(scene: Scene) -> None:
    rest = scene.sights[0].rest
    search = LimbSearch(scene.sights[1], scene.graph)
    beginnings = search.beginnings(1, rest, rest, search.gains(0, rest))
    assert 1 <= len(beginnings) <= 6
    assert min(scene.error(state) for state in beginnings) < 0.65 * scene.error(rest)


def test_what_is_in_place_is_not_lost(scene: Scene) -> None:
    rest = scene.sights[0].rest
    search = LimbSearch(scene.sights[1], scene.graph)
    assert search.beginnings(0, rest, rest, search.gains(0, rest)) == []


def test_an_arm_that_swings_by_more_than_its_width_is_followed(scene: Scene) -> None:
    elasticity = Elasticity(Ties.of(scene.graph), scene.radius, Stiffness())
    splats = scene.bound.splats
    palette = Palette(splats.colors, torch.zeros(len(splats), dtype=torch.int64))
    floor = floor_of(splats, scene.views, 96)
    states = Registration(scene.sights, elasticity, scene.graph, scene.radius, floor, palette).follow()
    assert scene.error(states[1]) < 0.3 * scene.error(states[0])
