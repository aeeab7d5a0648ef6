"""The static stage and its losses."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, rasterise, render, splats_from_mesh
from uni4d.splatting.image_losses import dissimilarity, psnr
from uni4d.splatting.static import refine_on_views, splats_at_rest
from uni4d.splatting.view_loss import ViewLoss
from uni4d.splatting.visibility import shown_shares
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.progress import Cancelled
from uni4d_shared.types import ViewSet


@pytest.fixture
def photographs(two_tone_box: TexturedMesh) -> ViewSet:
    """The box as a much denser cloud shows it, under "light" that darkens all colours to the left."""
    splats = splats_from_mesh(two_tone_box, 20_000, seed=9, candidates=1).splats
    colors = splats.colors * (0.6 + 0.2 * splats.means[:, :1])
    cameras = orbit_rig(*bounding_sphere(two_tone_box.vertices), size=64, azimuths=6)
    rendered = rasterise(
        splats.means, splats.quaternions, splats.scales, splats.opacities, colors, cameras, (0, 0, 0)
    )
    straight = rendered.image / rendered.alpha.clamp(min=1e-3)[..., None]
    rgba = torch.cat([straight, rendered.alpha[..., None]], dim=-1).clamp(0, 1) * 255
    return ViewSet(rgba.round().to(torch.uint8).numpy(), rendered.depth.numpy(), cameras)


def view_psnr(bound: BoundSplats, views: ViewSet) -> float:
    splats, values = bound.splats, []
    for image, camera in zip(views.images, views.cameras, strict=True):
        rgba = torch.from_numpy(image.astype(np.float32) / 255)
        target = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
        rendered = render(splats, camera)
        values.append(psnr(rendered.image, target, rgba[..., 3] > 0.1))
    return float(np.mean(values))


def test_refinement_learns_what_the_photographs_show(
    two_tone_box: TexturedMesh, photographs: ViewSet
) -> None:
    before = splats_from_mesh(two_tone_box, 1500)
    reports: list[float] = []
    after = refine_on_views(before, photographs, 80, lambda fraction, message: reports.append(fraction))
    assert view_psnr(after, photographs) > max(26.0, view_psnr(before, photographs) + 6.0)
    assert reports == sorted(reports) and reports[-1] == 1.0
    moved = (after.splats.means - before.splats.means).norm(dim=1) / before.splats.scales.median()
    assert float(moved.quantile(0.99)) < 2.0  # every splat still belongs to its triangle
    once, again = (refine_on_views(before, photographs, 5).splats for _ in range(2))
    assert torch.equal(once.coefficients, again.coefficients)


def test_what_no_photograph_shows_keeps_its_colour(two_tone_box: TexturedMesh, photographs: ViewSet) -> None:
    before = splats_from_mesh(two_tone_box, 1500)
    after = refine_on_views(before, photographs, 40).splats
    below = (before.splats.means[:, 2] < 1e-4) & (before.splats.means[:, :2].abs() < 0.4).all(dim=1)
    assert int(below.sum()) > 10
    change = (after.colors - before.splats.colors).abs().mean(dim=1)
    assert float(change[below].mean()) < 0.2 * float(change[~below].mean())


def test_what_no_photograph_shows_may_only_draw_back(
    two_tone_box: TexturedMesh, photographs: ViewSet
) -> None:
    before = splats_from_mesh(two_tone_box, 1500).splats
    hidden = shown_shares(before, photographs.cameras) < 0.2
    after = refine_on_views(splats_from_mesh(two_tone_box, 1500), photographs, 60).splats
    assert int(hidden.sum()) > 10
    assert torch.equal(after.means[hidden], before.means[hidden])
    change = (after.log_scales - before.log_scales)[hidden]
    assert float(change.max()) <= 0.0 and float(change.min()) < -0.05


def test_splats_outgrow_their_places_by_no_more_than_twofold(
    two_tone_box: TexturedMesh, photographs: ViewSet
) -> None:
    """Nor do their children, whatever the photographs ask for: here, an object twice as large."""
    larger = attrs.evolve(two_tone_box, vertices=2.0 * two_tone_box.vertices)
    cloud = splats_from_mesh(larger, 20_000, seed=9, candidates=1).splats
    drawn = [render(cloud, camera, (0.0, 0.0, 0.0)) for camera in photographs.cameras]
    rgba = torch.stack([torch.cat([r.image, r.alpha[..., None]], dim=-1) for r in drawn])
    views = ViewSet(
        (rgba.clamp(0, 1) * 255).round().to(torch.uint8).numpy(),
        torch.stack([r.depth for r in drawn]).numpy(),
        photographs.cameras,
    )
    before = splats_from_mesh(two_tone_box, 600)
    most = 2.02 * float(before.splats.scales.max())
    sizes = []
    for count in (600, 1_200):
        after = refine_on_views(before, views, 200, count=count)
        assert len(after) == count
        sizes.append(float(after.splats.scales.max()))
    assert sizes[0] > 0.9 * most, "they want to grow"
    assert max(sizes) < most


def test_splats_gather_where_the_photographs_show_more(two_tone_box: TexturedMesh) -> None:
    """Stripes on the left half of the box only, of which its even splats know nothing."""
    splats = splats_from_mesh(two_tone_box, 30_000, seed=9).splats
    x = splats.means[:, :1]
    stripes = 0.5 + 0.4 * torch.sign(torch.sin(25.0 * x))
    colors = torch.where(x < 0, stripes, torch.full_like(x, 0.5)).expand(-1, 3)
    cameras = orbit_rig(*bounding_sphere(two_tone_box.vertices), size=128, azimuths=6)
    drawn = rasterise(
        splats.means, splats.quaternions, splats.scales, splats.opacities, colors, cameras, (0, 0, 0)
    )
    straight = drawn.image / drawn.alpha.clamp(min=1e-3)[..., None]
    rgba = (torch.cat([straight, drawn.alpha[..., None]], dim=-1).clamp(0, 1) * 255).round()
    views = ViewSet(rgba.to(torch.uint8).numpy(), drawn.depth.numpy(), cameras)
    even, gathered = (
        splats_at_rest(two_tone_box, views, 2_000, 200, placed_share=share) for share in (1.0, 0.5)
    )
    assert len(even) == len(gathered) == 2_000
    left = [float((bound.splats.means[:, 0] < 0).float().mean()) for bound in (even, gathered)]
    assert left[0] < 0.55 and left[1] > 0.65
    assert view_psnr(gathered, views) > view_psnr(even, views) + 0.5


def test_splitting_is_repeatable(two_tone_box: TexturedMesh, photographs: ViewSet) -> None:
    once, again = (splats_at_rest(two_tone_box, photographs, 1_000, 60, placed_share=0.5) for _ in range(2))
    assert len(once) == 1_000
    assert torch.equal(again.splats.means, once.splats.means)
    assert torch.equal(again.barycentric, once.barycentric)


def test_too_few_steps_to_settle_after_a_split_place_all_splats_at_once(
    two_tone_box: TexturedMesh, photographs: ViewSet
) -> None:
    assert len(splats_at_rest(two_tone_box, photographs, 300, 3, placed_share=0.5)) == 300


def test_a_view_counts_as_a_whole_though_only_the_object_is_drawn(
    two_tone_box: TexturedMesh, photographs: ViewSet
) -> None:
    splats = splats_from_mesh(two_tone_box, 800, seed=3).splats
    loss = ViewLoss(photographs).of_next(splats, torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    view = int(torch.randperm(len(photographs.images), generator=generator)[-1])
    background = torch.rand(3, generator=generator)
    rgba = torch.from_numpy(photographs.images[view].astype(np.float32) / 255)
    target = rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:]) * background
    rendered = render(splats, photographs.cameras[view], background)
    depth = torch.from_numpy(photographs.depth[view])
    known = torch.isfinite(depth) & torch.isfinite(rendered.depth) & (rgba[..., 3] >= 250 / 255)
    unit = np.ptp(photographs.depth[np.isfinite(photographs.depth)]) / 2
    expected = (
        0.8 * (rendered.image - target).abs().mean()
        + 0.2 * dissimilarity(rendered.image, target)
        + 0.08 * (rendered.image - target).square().mean().sqrt()
        + 0.5 * (rendered.alpha - rgba[..., 3]).abs().mean()
        + 0.3 * ((rendered.depth - depth)[known].abs() / unit).clamp(max=0.1).sum() / known.numel()
    )
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-6)


def test_views_that_show_nothing_are_no_trouble(two_tone_box: TexturedMesh, photographs: ViewSet) -> None:
    empty = ViewSet(
        np.zeros_like(photographs.images), np.full_like(photographs.depth, np.inf), photographs.cameras
    )
    after = refine_on_views(splats_from_mesh(two_tone_box, 100), empty, 30).splats
    assert bool(torch.isfinite(after.means).all() and torch.isfinite(after.log_scales).all())


def test_refinement_can_be_cancelled(two_tone_box: TexturedMesh, photographs: ViewSet) -> None:
    def cancel(fraction: float, message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        refine_on_views(splats_from_mesh(two_tone_box, 100), photographs, 50, cancel)
