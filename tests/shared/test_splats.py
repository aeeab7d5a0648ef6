"""Splat files: read back, as other tools expect them, and never half-understood."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uni4d_shared.errors import Uni4DError
from uni4d_shared.skinning import splats_at
from uni4d_shared.splats import read_ply, read_splat, write_ply, write_ply_sequence, write_splat
from uni4d_shared.types import Gaussians4D, Mesh, NodeMotion, Splats

quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _cloud(seed: int, count: int, harmonics: int = 0) -> Splats:
    chance = np.random.default_rng(seed)
    quaternions = chance.normal(size=(count, 4))
    return Splats(
        chance.normal(size=(count, 3)),
        quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True),
        np.exp(chance.uniform(-8, 1, (count, 3))),
        chance.random(count),
        chance.random((count, 3)),
        chance.normal(size=(count, harmonics, 3)),
    )


def _assert_close(left: Splats, right: Splats, tolerance: float) -> None:
    for name in ("means", "scales", "opacities", "colors", "harmonics"):
        assert np.allclose(getattr(left, name), getattr(right, name), rtol=tolerance, atol=tolerance), name
    assert np.allclose(np.abs(np.sum(left.quaternions * right.quaternions, 1)), 1, atol=tolerance)


@quick
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 50), harmonics=st.sampled_from([0, 3, 8, 15]))
def test_ply_files_are_read_back(seed: int, count: int, harmonics: int, tmp_path: Path) -> None:
    splats = _cloud(seed, count, harmonics)
    write_ply(tmp_path / "a.ply", splats)
    _assert_close(read_ply(tmp_path / "a.ply"), splats, 1e-4)


@quick
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 50))
def test_splat_files_are_read_back_to_8_bits(seed: int, count: int, tmp_path: Path) -> None:
    splats = _cloud(seed, count)
    write_splat(tmp_path / "a.splat", splats)
    assert (tmp_path / "a.splat").stat().st_size == 32 * count
    read = read_splat(tmp_path / "a.splat")
    assert np.array_equal(read.means, splats.means)
    assert np.array_equal(read.scales, splats.scales)
    assert np.abs(read.colors - splats.colors).max(initial=0) <= 0.5 / 255 + 1e-6
    assert np.abs(read.opacities - splats.opacities).max(initial=0) <= 0.5 / 255 + 1e-6
    assert np.allclose(np.abs(np.sum(read.quaternions * splats.quaternions, 1)), 1, atol=3e-4)


def test_a_ply_holds_what_3dgs_tools_expect(tmp_path: Path) -> None:
    one = Splats(
        np.array([[1, 2, 3]]),
        np.array([[1, 0, 0, 0]]),
        np.full((1, 3), math.e),
        np.array([0.5]),
        np.ones((1, 3)),
    )
    write_ply(tmp_path / "a.ply", one)
    header, row = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property float")]
    values = dict(zip(names, np.frombuffer(row, "<f4"), strict=True))
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n")
    assert names[:6] == ["x", "y", "z", "nx", "ny", "nz"]
    assert [values[name] for name in ("x", "y", "z")] == [1, 2, 3]
    assert values["opacity"] == 0  # logit(1/2)
    assert values["scale_0"] == pytest.approx(1.0)  # ln e
    assert values["f_dc_0"] == pytest.approx(0.5 * 2 * math.sqrt(math.pi))  # (1 − ½) / C0
    assert [values[f"rot_{i}"] for i in range(4)] == [1, 0, 0, 0]


def test_a_ply_lists_the_harmonics_channel_by_channel(tmp_path: Path) -> None:
    """INRIA's order: f_rest_0..2 are the three coefficients of red, f_rest_3..5 those of green, …"""
    splats = _cloud(1, 2, harmonics=3)
    write_ply(tmp_path / "a.ply", splats)
    header, rows = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")
    names = [line.split()[-1].decode() for line in header.splitlines() if line.startswith(b"property float")]
    place = names.index("f_rest_0")
    assert names[place - 1 : place + 10] == ["f_dc_2", *(f"f_rest_{i}" for i in range(9)), "opacity"]
    values = np.frombuffer(rows, "<f4").reshape(2, -1)[1, place : place + 9]
    assert np.array_equal(values.reshape(3, 3), splats.harmonics[1].T)


def test_opacity_and_scale_at_their_ends_stay_finite(tmp_path: Path) -> None:
    ends = Splats(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros((2, 3)), np.array([0, 1]), np.zeros((2, 3)))
    write_ply(tmp_path / "a.ply", ends)
    read = read_ply(tmp_path / "a.ply")
    assert np.allclose(read.opacities, [0, 1], atol=1e-5)
    assert np.allclose(read.scales, 0, atol=1e-8)
    assert read.quaternions.tolist() == [[1, 0, 0, 0]] * 2  # no rotation at all is the identity
    write_splat(tmp_path / "a.splat", ends)
    assert np.all(np.isfinite(read_splat(tmp_path / "a.splat").quaternions))


def _ply(properties: list[tuple[str, str]], rows: Any, head: str = "", tail: str = "") -> bytes:
    lines = "".join(f"property {kind} {name}\n" for kind, name in properties)
    header = (
        f"ply\nformat binary_little_endian 1.0\n{head}element vertex {len(rows)}\n{lines}{tail}end_header\n"
    )
    return header.encode() + rows.tobytes()


NAMES = ["rot_3", "rot_2", "rot_1", "rot_0", "scale_2", "scale_1", "scale_0", "opacity", "label"]
NAMES += ["f_dc_2", "f_dc_1", "f_dc_0", "z", "y", "x"]


def test_a_foreign_ply_in_another_order_and_in_doubles_is_read(tmp_path: Path) -> None:
    rows = np.zeros(2, dtype=[(name, "<f8") for name in NAMES])
    rows["x"], rows["rot_0"], rows["label"] = [1, 2], 2.0, 9.0
    content = _ply(
        [("double", name) for name in NAMES], rows, "comment by another tool\n", "element face 0\n"
    )
    (tmp_path / "a.ply").write_bytes(content)
    read = read_ply(tmp_path / "a.ply")
    assert read.means[:, 0].tolist() == [1, 2]
    assert read.quaternions[0].tolist() == [1, 0, 0, 0]
    assert np.allclose(read.opacities, 0.5)
    assert np.allclose(read.colors, 0.5)


GOOD = _ply([("float", name) for name in NAMES], np.zeros(2, dtype=[(name, "<f4") for name in NAMES]))
DAMAGED = {
    "empty": (b"", "not a PLY"),
    "another format": (b"\x89PNG\r\n", "not a PLY"),
    "text PLY": (GOOD.replace(b"binary_little_endian", b"ascii"), "its format is ascii"),
    "cut rows": (GOOD[:-1], "2 splats and was cut off"),
    "cut header": (GOOD[:100], "header is not complete"),
    "plain mesh": (GOOD.replace(b"rot_0", b"rot_x"), "no property rot_0"),
    "harmonics of no degree": (GOOD.replace(b"label", b"f_rest_0"), "1 f_rest_ properties"),
    "a gap in the harmonics": (GOOD.replace(b"label", b"f_rest_8"), "no property f_rest_0"),
    "unknown type": (GOOD.replace(b"float rot_0", b"blob rot_0"), "unknown type 'blob'"),
    "property twice": (GOOD.replace(b"rot_0", b"rot_1"), "there twice"),
    "list property": (GOOD.replace(b"property float rot_0", b"property list uchar int rot_0"), "list prop"),
    "faces first": (GOOD.replace(b"element vertex", b"element face"), "first element is 'face'"),
    "absurd count": (GOOD.replace(b"vertex 2", b"vertex 999999"), "999999 splats and was cut off"),
    "endless header": (b"ply\n" + b"comment\n" * 1000, "header is not complete"),
}


@pytest.mark.parametrize(("content", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_ply_is_named_with_a_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "cloud.ply").write_bytes(content)
    with pytest.raises(Uni4DError, match=rf"cloud\.ply cannot be read: .*{reason}") as caught:
        read_ply(tmp_path / "cloud.ply")
    assert caught.value.code == "splats-unreadable"


def test_a_damaged_splat_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cloud.splat").write_bytes(b"x" * 33)
    with pytest.raises(Uni4DError, match=r"cloud\.splat cannot be read"):
        read_splat(tmp_path / "cloud.splat")


def test_a_sequence_is_one_numbered_file_per_frame_with_the_splats_in_order(tmp_path: Path) -> None:
    mesh = Mesh(np.eye(3), np.array([[0, 1, 2]]))
    shifts = np.array([[[0, 0, 0]], [[1, 0, 0]], [[2, 0, 0]]], dtype=float)
    motion = NodeMotion(
        np.zeros((1, 3)), np.tile([1.0, 0, 0, 0], (3, 1, 1)), shifts, np.zeros((3, 1)), np.ones((3, 1))
    )
    result = Gaussians4D(mesh, _cloud(5, 4), motion, np.zeros(4), np.full((4, 3), 1 / 3))
    reports: list[float] = []
    paths = write_ply_sequence(tmp_path / "splats", result, lambda fraction, _: reports.append(fraction))
    assert [path.name for path in paths] == ["frame_0001.ply", "frame_0002.ply", "frame_0003.ply"]
    assert sorted((tmp_path / "splats").iterdir()) == paths
    for frame, path in enumerate(paths):
        _assert_close(read_ply(path), splats_at(result, frame), 1e-4)
        assert np.allclose(read_ply(path).means, result.splats.means + shifts[frame], atol=1e-5)
    assert (reports[0], reports[-1]) == (0.0, 1.0)
