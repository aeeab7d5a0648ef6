"""Clouds, features, near-duplicates: what training and measuring stand on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness.sample_meshes import write_cube
from hypothesis import given, settings
from hypothesis import strategies as st

from uni4d.library.clouds import Cloud, cloud_from_mesh, packed, unpacked
from uni4d.library.duplicates import near_duplicates
from uni4d.library.features import AssetFeatures, split_of
from uni4d.library.formats.reading import load_mesh


def features(count: int = 4) -> AssetFeatures:
    generator = np.random.default_rng(0)
    uids = tuple(f"thing-{row}" for row in range(count))
    return AssetFeatures(
        uids,
        tuple(f"Thing {row}" for row in range(count)),
        tuple((f"Thing {row}", "tag", "Ünïcode “text”") for row in range(count)),
        ("things",) * count,
        uids,
        generator.random((count, 2, 1280)).astype(np.float32),
        generator.random((count, 3, 8)).astype(np.float32),
        generator.random((count, 3)).astype(np.float32),
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60), st.integers(0, 1000))
def test_packed_clouds_come_back(count: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    cloud = Cloud(
        generator.uniform(-1, 1, (count, 3)).astype(np.float32),
        generator.random((count, 3)).astype(np.float32),
    )
    data = packed(cloud)
    assert len(data) == 9 * count
    again = unpacked(data)
    assert np.abs(again.points - cloud.points).max(initial=0.0) < 2e-5
    assert np.abs(again.colors - cloud.colors).max(initial=0.0) < 0.5 / 255 + 1e-6


def test_bytes_of_another_length_are_no_cloud() -> None:
    with pytest.raises(ValueError, match="9 bytes"):
        unpacked(b"1234567890")


def test_a_cloud_is_the_mesh_y_up_in_the_unit_ball(tmp_path: Path) -> None:
    write_cube(tmp_path, "cube")
    mesh = load_mesh(tmp_path / "cube.obj")
    cloud = cloud_from_mesh(mesh, 2_000)
    lengths = np.linalg.norm(cloud.points, axis=1)
    assert lengths.max() == pytest.approx(1.0, abs=1e-5)
    assert np.abs(cloud.points.mean(axis=0)).max() < 0.05
    # A prefix is a sample of the whole, not of one side.
    assert np.abs(cloud.points[:200].mean(axis=0)).max() < 0.15


def test_saved_features_come_back(tmp_path: Path) -> None:
    some = features()
    some.save(tmp_path / "features.npz")
    again = AssetFeatures.load(tmp_path / "features.npz")
    assert (again.uids, again.names, again.texts) == (some.uids, some.names, some.texts)
    assert np.abs(again.views - some.views).max() < 1e-3
    assert np.array_equal(again.sizes, some.sizes)


def test_rows_keep_what_belongs_together() -> None:
    some = features().rows([3, 1])
    assert some.names == ("Thing 3", "Thing 1")
    assert np.array_equal(some.views, features().views[[3, 1]])


def test_the_split_is_a_property_of_the_group() -> None:
    splits = [split_of(f"group {number}") for number in range(4_000)]
    shares = {name: splits.count(name) / len(splits) for name in set(splits)}
    assert shares["test"] == pytest.approx(0.22, abs=0.03)
    assert shares["validation"] == pytest.approx(0.11, abs=0.03)
    assert split_of("group 7") == split_of("group 7")
    parts = [features(60).split(name) for name in ("train", "validation", "test")]  # type: ignore[arg-type]
    assert sum(len(part) for part in parts) == 60
    assert not set(parts[0].groups) & set(parts[2].groups)


def test_near_duplicates_are_found_and_nothing_else() -> None:
    generator = np.random.default_rng(1)
    views = generator.random((6, 2, 64)) ** 4
    views[4] = views[1] * 1.02  # a copy of 1
    views[2] = views[4] + 1e-4 * generator.random((2, 64))  # and a copy of the copy
    assert near_duplicates(list("abcdef"), views) == ("a", "b", "b", "d", "b", "f")
    assert near_duplicates(["a"], views[:1]) == ("a",)
    assert near_duplicates([], views[:0]) == ()
