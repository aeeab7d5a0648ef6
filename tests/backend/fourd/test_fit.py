"""The fit as a whole: it finds motions it was never told, and says how well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest
import torch

from uni4d.config import FitConfig
from uni4d.fourd import fit, foreground_psnr
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.types import Clip

QUICK = FitConfig(splats=1500, nodes=40, static_iterations=60, iterations=120, seed=0)


def test_a_walk_is_found_and_a_static_fit_is_clearly_worse(
    studio: Callable[..., Any], walking: Callable[..., Any]
) -> None:
    stage = studio(size=64)
    clip, reports = stage.film(walking, 6), []
    found = fit(
        *(stage.mesh, stage.views(), stage.alignment(), clip, QUICK),
        lambda fraction, message: reports.append(fraction),
    )
    assert found.metrics["psnr_foreground"] > 26.0
    assert found.metrics["psnr_foreground"] > found.metrics["psnr_foreground_static"] + 5.0
    assert reports == sorted(reports) and reports[-1] == 1.0
    result = found.result
    assert result.motion.rotations.shape == (6, 40, 4)
    # what travels renders to what was measured
    from uni4d.splatting import rasterise

    images = []
    for frame in range(6):
        at = splats_at(result, frame)
        tensors = [
            torch.from_numpy(a) for a in (at.means, at.quaternions, at.scales, at.opacities, at.colors)
        ]
        means, quaternions, scales, opacities, colors = tensors
        images.append(rasterise(means, quaternions, scales, opacities, colors, clip.camera).image)
    assert foreground_psnr(torch.stack(images), clip) == pytest.approx(
        found.metrics["psnr_foreground"], abs=0.1
    )


def test_few_splats_may_follow_for_many(studio: Callable[..., Any], walking: Callable[..., Any]) -> None:
    stage = studio(size=64)
    clip, views = stage.film(walking, 4), stage.views()
    config = attrs.evolve(QUICK, splats=3000, following_splats=700, static_iterations=80)
    found = fit(stage.mesh, views, stage.alignment(), clip, config)
    alone = fit(stage.mesh, views, stage.alignment(), clip, attrs.evolve(config, splats=700))
    assert found.metrics["splats"] == 3000 and len(found.result.splat_faces) == 3000
    assert found.metrics["psnr_foreground"] > alone.metrics["psnr_foreground"] + 1.0
    assert found.metrics["psnr_foreground"] > found.metrics["psnr_foreground_static"] + 4.0


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_clips_are_fitted(
    studio: Callable[..., Any], walking: Callable[..., Any], frames: int
) -> None:
    """A picture, and two."""
    stage = studio(size=48)
    clip = stage.film(walking, 8, shown=frames)
    config = FitConfig(splats=600, nodes=20, static_iterations=20, iterations=10, look_iterations=10)
    found = fit(stage.mesh, stage.views(), stage.alignment(), clip, config)
    assert found.result.motion.rotations.shape[0] == frames
    moved = vertices_at(found.result, 0.0) - stage.mesh.vertices
    assert np.abs(moved).max() < 0.05 * np.ptp(stage.mesh.vertices)


def test_any_number_of_threads_gives_the_same_fit(
    studio: Callable[..., Any], walking: Callable[..., Any]
) -> None:
    """And PyTorch has as many afterwards as before, also when the fit was cancelled."""
    stage = studio(size=48)
    clip, views = stage.film(walking, 3), stage.views()
    config = FitConfig(splats=600, nodes=20, static_iterations=20, iterations=20, look_iterations=20)
    before, found, inside = torch.get_num_threads(), [], set()

    def stop(fraction: float, message: str) -> None:
        inside.add(torch.get_num_threads())
        if fraction > 0.5:
            raise Cancelled

    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(fit(stage.mesh, views, stage.alignment(), clip, config).result)
        with pytest.raises(Cancelled):
            fit(stage.mesh, views, stage.alignment(), clip, config, stop)
        assert inside == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    for one, other in (
        (found[0].motion.rotations, found[1].motion.rotations),
        (found[0].splats.scales, found[1].splats.scales),
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_fit_at_another_size(
    studio: Callable[..., Any], spinning: Callable[..., Any]
) -> None:
    """Deterministic; and a 3 cm object is fitted like one of 10 m."""
    config = FitConfig(splats=600, nodes=20, static_iterations=20, iterations=20, look_iterations=20)
    results = []
    for scale in (0.03, 0.03, 10.0):
        stage = studio(scale=scale, size=48)
        views, clip = stage.views(), stage.film(spinning, 4)
        results.append(fit(stage.mesh, views, stage.alignment(), clip, config))
    first, again, large = results
    np.testing.assert_array_equal(first.result.motion.translations, again.result.motion.translations)
    assert large.metrics["psnr_foreground"] == pytest.approx(first.metrics["psnr_foreground"], abs=1.5)


@pytest.mark.slow
def test_every_motion_at_full_size(studio: Callable[..., Any], motion: Callable[..., Any]) -> None:
    """24 frames at 256², default settings: the product's promise."""
    stage = studio(size=256)
    clip = stage.film(motion, 24)
    found = fit(stage.mesh, stage.views(), stage.alignment(), clip)
    assert found.metrics["psnr_foreground"] >= 28.0
    assert found.metrics["psnr_foreground"] > found.metrics["psnr_foreground_static"] + 6.0
    diagonal = float(np.linalg.norm(np.ptp(stage.mesh.vertices, axis=0)))
    errors = [
        np.linalg.norm(vertices_at(found.result, t) - motion(stage.mesh.vertices, t / 24), axis=1).mean()
        for t in range(24)
    ]
    assert np.mean(errors) < 0.03 * diagonal


def test_cancelling_stops_at_the_next_of_many_reports(
    studio: Callable[..., Any], walking: Callable[..., Any]
) -> None:
    stage = studio(size=64)
    clip, views = stage.film(walking, 3), stage.views()
    fractions: list[float] = []

    def cancel_late(fraction: float, message: str) -> None:
        fractions.append(fraction)
        if fraction > 0.9:
            raise Cancelled

    with pytest.raises(Cancelled):
        fit(stage.mesh, views, stage.alignment(), clip, QUICK, cancel_late)
    assert [fraction > 0.9 for fraction in fractions].index(True) == len(fractions) - 1
    assert np.diff(fractions).max() < 0.1
    assert len(fractions) > 200


def test_clips_that_cannot_be_fitted_are_refused(studio: Callable[..., Any]) -> None:
    stage = studio(size=48)
    views, alignment = stage.views(), stage.alignment()
    white = np.full((3, 48, 48, 3), 255, dtype=np.uint8)
    with pytest.raises(Uni4DError, match="nowhere to be seen"):
        fit(stage.mesh, views, alignment, Clip(white, camera=stage.cameras[0]), QUICK)
    with pytest.raises(Uni4DError, match="no frames"):
        fit(stage.mesh, views, alignment, Clip(white[:0], camera=stage.cameras[0]), QUICK)
    with pytest.raises(Uni4DError, match="camera is"):
        fit(stage.mesh, views, alignment, Clip(white[:, :20], camera=stage.cameras[0]), QUICK)


def test_foreground_psnr_counts_only_what_shows_the_object() -> None:
    frames = np.full((2, 32, 32, 3), 255, dtype=np.uint8)
    frames[:, 8:16, 8:16] = 100
    clip = Clip(frames)
    images = torch.from_numpy(frames.astype(np.float32) / 255)
    assert foreground_psnr(images, clip) == 99.0
    images[:, 0, 0] = 0.0  # far from the object
    assert foreground_psnr(images, clip) == 99.0
    images[:, 8:16, 8:16] += 0.1
    share = 64 / 144  # of the dilated square
    assert foreground_psnr(images, clip) == pytest.approx(20 - 10 * np.log10(share), abs=0.01)
    with pytest.raises(ValueError, match="do not match"):
        foreground_psnr(images[:1], clip)
