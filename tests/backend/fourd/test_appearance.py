"""Changes of colour are found where something lights up, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from uni4d.fourd.colors.appearance import color_change
from uni4d.fourd.colors.tints import Palette
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.nodes import build_node_graph
from uni4d.fourd.targets import pyramid
from uni4d.splatting import BoundSplats, render, splats_from_mesh
from uni4d.splatting.binding import Carried
from uni4d_shared.types import Clip

FRAMES = 8
AMOUNTS = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / FRAMES)
LIGHT = torch.tensor([0.4, 0.3, -0.2])


def lit_clip(stage: Any, lit: bool) -> Clip:
    """The toy stands still; its lower half glows, or nothing does."""
    cloud, camera = stage.cloud.splats, stage.cameras[0]
    low = (cloud.means[:, 2] < 0.4)[:, None].float() if lit else torch.zeros(len(cloud), 1)
    frames = []
    for amount in AMOUNTS.tolist():
        shift = amount * low * LIGHT / 0.28209479177387814
        glowing = cloud.replaced(coefficients=cloud.coefficients + shift[:, None])
        frames.append(render(glowing, camera).image.clamp(0, 1))
    pictures = (255 * torch.stack(frames)).round().to(torch.uint8).numpy()
    return Clip(pictures, 12.0, camera, (1.0, 1.0, 1.0), "glows")


def at_rest(stage: Any, clip: Clip) -> tuple[BoundSplats, list[Layer], list[Carried]]:
    bound = splats_from_mesh(stage.mesh, 3000, 0)
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, 20)
    layer = make_layers(bound, graph, pyramid(clip, clip.camera))[-1]
    still = Carried(bound.splats.means, bound.splats.quaternions)
    return bound, [layer], [still] * FRAMES


def one_part(bound: BoundSplats) -> Palette:
    return Palette(bound.splats.colors, torch.zeros(len(bound), dtype=torch.int64))


def test_a_glow_is_found_with_its_course_and_on_the_side_that_nobody_sees(studio: Callable[..., Any]) -> None:
    stage = studio(size=64)
    bound, layers, placed = at_rest(stage, lit_clip(stage, lit=True))
    found = color_change(layers, placed, 0.8, one_part(bound))
    assert found is not None
    added = torch.stack([found.at(frame) for frame in range(FRAMES)])
    low, high = bound.splats.means[:, 2] < 0.35, bound.splats.means[:, 2] > 0.5
    course = added[:, low].mean(1)[:, 0].numpy()
    assert np.corrcoef(course, AMOUNTS)[0, 1] > 0.98
    at_most = added[FRAMES // 2]
    torch.testing.assert_close(at_most[low].mean(0), LIGHT, atol=0.1, rtol=0)
    assert float(at_most[high].abs().mean()) < 0.08
    away = torch.as_tensor(stage.cameras[0].world_to_camera[2, :3].copy()).float()
    depth = bound.splats.means @ away
    behind = low & (depth > depth[low].quantile(0.8))
    torch.testing.assert_close(at_most[behind].mean(0), LIGHT, atol=0.15, rtol=0)
    exported = found.exported()
    assert exported.basis.shape[1:] == (3000, 3) and len(exported.weights) == FRAMES


def test_where_nothing_glows_colours_stay(studio: Callable[..., Any]) -> None:
    stage = studio(size=64)
    bound, layers, placed = at_rest(stage, lit_clip(stage, lit=False))
    assert color_change(layers, placed, 0.8, one_part(bound)) is None
