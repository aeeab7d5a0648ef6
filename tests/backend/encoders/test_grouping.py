"""Patches of point clouds: the fast searches choose what the plain ones choose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from uni4d.encoders import grouping
from uni4d.encoders.grouping import farthest_points, group, nearest, plain_farthest_points, plain_nearest
from uni4d_shared.errors import Uni4DError


def clouds(count: int, length: int, seed: int) -> torch.Tensor:
    """Clouds in the unit ball: solid, on a sphere, flat, stretched."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, length, 3, generator=generator)
    points[1::4] /= points[1::4].norm(dim=2, keepdim=True)
    points[2::4, :, 2] = 0.3
    points[3::4, :, 0] *= 8
    points -= points.mean(dim=1, keepdim=True)
    return points / points.norm(dim=2).amax(dim=1)[:, None, None]


def farthest_by_hand(cloud: np.ndarray[Any, Any], count: int, start: int) -> list[int]:
    chosen = [start]
    while len(chosen) < count:
        gaps = ((cloud[:, None] - cloud[None, chosen]) ** 2).sum(axis=2).min(axis=1)
        chosen.append(int(gaps.argmax()))
    return chosen


def test_the_plain_loop_is_farthest_point_sampling() -> None:
    points = clouds(4, 300, seed=0)
    chosen = plain_farthest_points(points, 40, start=7)
    for cloud, row in zip(points.double().numpy(), chosen.tolist(), strict=True):
        assert row == farthest_by_hand(cloud, 40, 7)


@pytest.mark.parametrize("length", [64, 1_000, 3_000, 5_000])
@pytest.mark.parametrize("unpicked", [None, 1e-3, 0.1])
def test_fast_picks_are_the_plain_ones(length: int, unpicked: float | None) -> None:
    pytest.importorskip("fpsample", reason="fpsample has no build for this Python")
    points = clouds(8, length, seed=length)
    for start in (0, length // 3, length - 1):
        count = min(100, length // 4)
        fast = farthest_points(points, count, start, unpicked_square_norm=unpicked)
        assert torch.equal(fast, plain_farthest_points(points, count, start, unpicked))


def test_large_clouds_really_take_the_pruned_search(monkeypatch: pytest.MonkeyPatch) -> None:
    fpsample = pytest.importorskip("fpsample", reason="fpsample has no build for this Python")

    def exhaustive(*_: object) -> None:
        raise AssertionError("the place of the start in the tree was wrong")

    monkeypatch.setattr(fpsample, "fps_sampling", exhaustive)
    points = clouds(8, 4_000, seed=1)
    for start in range(0, 4_000, 501):
        assert (farthest_points(points, 8, start)[:, 0] == start).all()


def test_a_version_that_counts_otherwise_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("fpsample", reason="fpsample has no build for this Python")
    monkeypatch.setattr(grouping, "_place_in_tree", lambda cloud, start: start)
    points = clouds(4, 3_000, seed=2)
    assert torch.equal(farthest_points(points, 50, 11), plain_farthest_points(points, 50, 11))


def test_without_fpsample_the_plain_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    points = clouds(2, 500, seed=3)
    expected = farthest_points(points, 30)
    monkeypatch.setattr(grouping, "_fpsample", lambda: None)
    assert torch.equal(farthest_points(points, 30), expected)


def test_points_near_the_origin_are_picked_only_as_the_start() -> None:
    points = clouds(1, 2_000, seed=4)
    squares = points.square().sum(dim=2)[0]
    start = int(squares.argmin())
    chosen = farthest_points(points, 1_500, start, unpicked_square_norm=0.01)[0]
    assert chosen[0] == start
    assert (squares[chosen[1:]] > 0.01).all()
    every = points / 100.0  # everything is near the origin: the start again and again, as the kernel does
    assert (farthest_points(every, 5, 0, unpicked_square_norm=0.01) == 0).all()


@pytest.mark.parametrize("length", [200, 2_500])
def test_neighbours_are_the_nearest_by_hand(length: int) -> None:
    points, centres = clouds(3, length, seed=5), clouds(3, 20, seed=6)
    found = nearest(points, centres, 16)
    assert torch.equal(found, plain_nearest(points, centres, 16))
    gaps = (centres[:, :, None].double() - points[:, None].double()).norm(dim=3)
    assert torch.equal(found, gaps.argsort(dim=2)[:, :, :16])


def test_neighbours_in_pieces_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points, centres = clouds(2, 100, seed=7), clouds(2, 23, seed=8)
    expected = plain_nearest(points, centres, 5)
    monkeypatch.setattr(grouping, "_BLOCK", 300)  # three centres at a time
    assert torch.equal(plain_nearest(points, centres, 5), expected)


def test_groups_are_relative_and_keep_their_colours() -> None:
    points, colors = clouds(2, 700, seed=9), torch.rand(2, 700, 3)
    groups = group(points, colors, 32, 16)
    index = nearest(points, groups.centres, 16)
    assert groups.centres.shape == (2, 32, 3)
    assert groups.neighbourhoods.shape == (2, 32, 16, 6)
    assert (groups.neighbourhoods[:, :, 0, :3] == 0).all()  # a centre is its own nearest
    for cloud in range(2):
        absolute = groups.neighbourhoods[cloud, :, :, :3] + groups.centres[cloud, :, None]
        assert torch.allclose(absolute, points[cloud][index[cloud]], atol=1e-6)
        assert torch.equal(groups.neighbourhoods[cloud, :, :, 3:], colors[cloud][index[cloud]])


def test_too_few_points_are_a_clear_error() -> None:
    points = clouds(1, 50, seed=10)
    with pytest.raises(Uni4DError, match="50 points") as caught:
        farthest_points(points, 51)
    assert caught.value.code == "points-too-few"
    with pytest.raises(Uni4DError, match="51 neighbours"):
        nearest(points, points, 51)
