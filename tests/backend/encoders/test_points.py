"""The local point encoder, with the weights that come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from uni4d.encoders.local.points import (
    LocalPoints,
    PointNetwork,
    PointNetworkConfig,
    load_network,
    save_network,
)
from uni4d_shared.errors import Uni4DError


@pytest.fixture(scope="module")
def encoder() -> LocalPoints:
    return LocalPoints()


def cloud(seed: int, count: int = 1_500) -> tuple[np.ndarray, np.ndarray]:
    """Points on an ellipsoid whose shape and colour depend on the seed."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= generator.uniform(0.2, 1.0, 3)
    colors = np.broadcast_to(generator.random(3), points.shape)
    return points.astype(np.float32), colors.astype(np.float32)


def test_tokens_and_pooled_vector(encoder: LocalPoints) -> None:
    points, colors = (np.stack(part) for part in zip(cloud(0), cloud(1), strict=True))
    encoded = encoder.encode(points, colors)
    assert encoded.tokens.shape[0] == 2
    assert encoded.tokens.shape[2] == encoder.dimensions
    assert encoded.tokens.shape[1] > 8
    assert encoded.mask.all()
    assert np.array_equal(encoded.pooled, encoded.tokens[:, 0])


def test_a_batch_is_as_good_as_one_at_a_time(encoder: LocalPoints) -> None:
    points, colors = (np.stack(part) for part in zip(*(cloud(seed) for seed in range(3)), strict=True))
    together = encoder.encode(points, colors).pooled
    alone = np.concatenate([encoder.encode(points[i : i + 1], colors[i : i + 1]).pooled for i in range(3)])
    assert np.allclose(together, alone, atol=1e-4)


def test_another_sample_of_a_surface_is_nearer_than_another_surface(encoder: LocalPoints) -> None:
    points, colors = cloud(5, 3_000)
    first, second = encoder.encode(
        np.stack([points[:1_500], points[1_500:]]), np.stack([colors[:1_500], colors[1_500:]])
    ).pooled
    other = encoder.encode(*(part[None] for part in cloud(6))).pooled[0]
    assert np.linalg.norm(first - second) < 0.5 * np.linalg.norm(first - other)


def test_no_clouds_give_no_vectors(encoder: LocalPoints) -> None:
    encoded = encoder.encode(np.zeros((0, 100, 3), np.float32), np.zeros((0, 100, 3), np.float32))
    assert encoded.pooled.shape == (0, encoder.dimensions)


def test_a_cloud_with_too_few_points_says_so(encoder: LocalPoints) -> None:
    with pytest.raises(Uni4DError) as caught:
        encoder.encode(np.zeros((1, 5, 3), np.float32), np.zeros((1, 5, 3), np.float32))
    assert caught.value.code == "points-too-few"


def test_saved_weights_come_back_and_damaged_ones_are_named(tmp_path: Path) -> None:
    network = PointNetwork(PointNetworkConfig(groups=4, neighbours=8, width=24, layers=1, heads=2))
    path = tmp_path / "points.safetensors"
    save_network(network, path, {"seed": "0"})
    again = load_network(path)
    assert again.config == network.config
    assert all(
        torch.equal(left, right)
        for left, right in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(Uni4DError) as caught:
        load_network(path)
    assert caught.value.code == "weights-unreadable"
    assert str(path) in caught.value.message


def test_the_shipped_weights_are_small() -> None:
    from uni4d.encoders.local.points import WEIGHTS

    assert WEIGHTS.stat().st_size < 25_000_000
