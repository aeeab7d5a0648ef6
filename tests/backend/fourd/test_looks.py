"""The splats' looks, refined in motion: what no photograph shows is learnt from the frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from uni4d.fourd.checkpoint import Checkpoint
from uni4d.fourd.layers import Layer, make_layers
from uni4d.fourd.looks import Looks
from uni4d.fourd.metrics import foreground_psnr
from uni4d.fourd.nodes import build_node_graph
from uni4d.fourd.targets import pyramid
from uni4d.splatting import BoundSplats, render
from uni4d.splatting.view_loss import ViewLoss
from uni4d_shared.cameras import bounding_sphere
from uni4d_shared.progress import Cancelled, silent
from uni4d_shared.types import Camera, Clip

FRAMES = 6
PAINT = torch.tensor([0.9, 0.1, 0.1])


class Reared(NamedTuple):
    """A toy whose belly is red, of which its texture knows nothing and its photographs show nothing; in a
    clip it rears up."""

    bound: BoundSplats
    views: ViewLoss
    cameras: tuple[Camera, ...]
    layer: Layer
    moved: list[Tensor]
    clip: Clip

    def looks(self) -> Looks:
        return Looks(self.bound, self.views, self.cameras, [self.layer], self.moved, seed=0)

    def pictures(self, bound: BoundSplats) -> Tensor:
        """``[T, H, W, 3]`` of all frames."""
        images = []
        for vertices in self.moved:
            means, quaternions = bound.carried(vertices)
            splats = bound.splats.replaced(means=means, quaternions=quaternions)
            images.append(render(splats, self.cameras[0]).image)
        return torch.stack(images)


def on_the_belly(bound: BoundSplats) -> Tensor:
    """``[N]`` bool: under the body, away from the legs and the rims."""
    x, y, z = (bound.splats.means / 0.6).unbind(dim=1)
    return (z < 0.41) & (z > 0.39) & (x.abs() < 0.06) & (y.abs() < 0.3)


@pytest.fixture(scope="module")
def reared(studio: Callable[..., Any], refined: BoundSplats) -> Reared:
    stage = studio(size=64)
    centre, _ = bounding_sphere(stage.mesh.vertices)
    colors = stage.cloud.splats.coefficients.clone()
    red = stage.cloud.splats.from_activated(
        *(stage.cloud.splats.means, stage.cloud.splats.quaternions, stage.cloud.splats.scales),
        *(stage.cloud.splats.opacities, PAINT.expand(len(stage.cloud), 3)),
    )
    below = on_the_belly(stage.cloud)
    colors[below] = red.coefficients[below]
    cloud, moved, images = stage.cloud.splats.replaced(coefficients=colors), [], []
    for frame in range(FRAMES):
        angle = 0.7 * math.pi * frame / (FRAMES - 1)
        turn = np.array(
            [[1, 0, 0], [0, math.cos(angle), math.sin(angle)], [0, -math.sin(angle), math.cos(angle)]]
        )
        vertices = torch.from_numpy(((stage.mesh.vertices - centre) @ turn.T + centre).astype(np.float32))
        means, quaternions = stage.cloud.carried(vertices)
        image = render(cloud.replaced(means=means, quaternions=quaternions), stage.cameras[0]).image
        images.append((image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
        moved.append(vertices)
    clip = Clip(np.stack(images), camera=stage.cameras[0])
    graph = build_node_graph(stage.mesh.vertices, stage.mesh.faces, 20)
    layer = make_layers(refined, graph, pyramid(clip, stage.cameras[0]))[-1]
    return Reared(refined, ViewLoss(stage.views()), stage.cameras, layer, moved, clip)


def test_what_only_the_frames_show_is_learnt(reared: Reared) -> None:
    reports: list[float] = []
    after = reared.looks().refined(200, lambda fraction, _: reports.append(fraction), Checkpoint())
    shown = torch.from_numpy(reared.clip.frames.astype(np.float32) / 255)
    red = (shown - PAINT).abs().amax(dim=-1) < 0.1
    pictures = [reared.pictures(bound) for bound in (reared.bound, after)]
    before, now = (float((image - shown)[red].abs().mean()) for image in pictures)
    assert int(red.sum()) > 20
    assert now < 0.3 * before
    assert foreground_psnr(pictures[1], reared.clip) > foreground_psnr(pictures[0], reared.clip) + 3.0
    assert reports == sorted(reports) and reports[-1] == 1.0


def test_no_steps_change_nothing(reared: Reared) -> None:
    assert reared.looks().refined(0, silent, Checkpoint()) is reared.bound


def test_it_is_cancelled_between_two_steps(reared: Reared) -> None:
    def cancel(fraction: float, message: str) -> None:
        if "3 of 40" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        reared.looks().refined(40, cancel, Checkpoint())
