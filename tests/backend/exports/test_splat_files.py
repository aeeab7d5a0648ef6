"""Splats in glTF and as deltas: every number where the format's document puts it."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from harness import toy_asset
from harness.plain_gltf import PlainGltf

from uni4d.exports.deltas import read_deltas, write_deltas
from uni4d.exports.splat_glb import splat_glb
from uni4d.splatting import harmonics as differentiable
from uni4d_shared.conventions import gltf_from_world, matrix_from_quaternion
from uni4d_shared.errors import Uni4DError
from uni4d_shared.harmonics import colors_from, evaluate
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import ColorMotion, Gaussians4D, Splats

CHANCE = np.random.default_rng(5)
EXTENSION = "KHR_gaussian_splatting"


def _result(harmonics: int = 15) -> Gaussians4D:
    plain = toy_asset.result(300)
    count, frames = len(plain.splats.means), len(plain.motion.rotations)
    return attrs.evolve(
        plain,
        splats=attrs.evolve(plain.splats, harmonics=CHANCE.normal(size=(count, harmonics, 3)) * 0.1),
        color_motion=ColorMotion(CHANCE.normal(size=(2, count, 3)) * 0.2, CHANCE.normal(size=(frames, 2))),
    )


@pytest.mark.parametrize("harmonics", [0, 3, 8, 15])
def test_colours_from_a_place_are_those_of_the_differentiable_twin(harmonics: int) -> None:
    splats, place = _result(harmonics).splats, np.array([1.0, -2.0, 3.0])
    base = differentiable.from_colors(torch.from_numpy(splats.colors))
    coefficients = torch.cat([base, torch.from_numpy(splats.harmonics)], dim=1)
    directions = torch.nn.functional.normalize(torch.from_numpy(splats.means) - torch.tensor(place), dim=1)
    twin = differentiable.evaluate(coefficients, directions.float()).numpy()
    assert np.allclose(colors_from(splats, place), twin, atol=1e-5)


def _covariances(quaternions: np.ndarray, scales: np.ndarray) -> np.ndarray:
    axes = matrix_from_quaternion(quaternions.astype(np.float64)) * scales[:, None, :]
    return np.asarray(axes @ axes.swapaxes(1, 2))


def _seen(splats: Splats, directions: np.ndarray) -> np.ndarray:
    return np.einsum("mk,nkc->nmc", evaluate(directions, splats.harmonics.shape[1]), splats.harmonics)


def test_a_splat_glb_holds_what_the_khronos_extension_asks_for() -> None:
    splats = splats_at(_result(), 3)
    file = PlainGltf(splat_glb(splats))
    assert file.json["extensionsUsed"] == [EXTENSION]
    (primitive,) = file.json["meshes"][0]["primitives"]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION]["kernel"] == "ellipse"
    assert primitive["extensions"][EXTENSION]["colorSpace"] == "srgb_rec709_display"
    position = file.json["accessors"][primitive["attributes"]["POSITION"]]
    places = file.attribute("POSITION")
    assert np.array_equal(places, gltf_from_world(splats.means))
    assert np.allclose([position["min"], position["max"]], [places.min(axis=0), places.max(axis=0)])
    rotations = file.attribute(f"{EXTENSION}:ROTATION")
    assert np.allclose(np.linalg.norm(rotations, axis=1), 1, atol=1e-6)
    wanted = _covariances(splats.quaternions, splats.scales)
    found = _covariances(np.roll(rotations, 1, axis=1), file.attribute(f"{EXTENSION}:SCALE"))
    turned = gltf_from_world(gltf_from_world(wanted).swapaxes(1, 2))
    assert np.allclose(found, turned, atol=1e-6 * wanted.max())
    assert np.allclose(file.attribute(f"{EXTENSION}:OPACITY")[:, 0], splats.opacities)
    base = file.attribute(f"{EXTENSION}:SH_DEGREE_0_COEF_0")
    assert np.allclose(0.5 + 0.28209479177387814 * base, splats.colors, atol=1e-6)


@pytest.mark.parametrize(("harmonics", "degrees"), [(0, 0), (3, 1), (8, 2), (15, 3)])
def test_harmonics_look_the_same_from_the_same_side_in_gltfs_axes(harmonics: int, degrees: int) -> None:
    splats = _result(harmonics).splats
    file = PlainGltf(splat_glb(splats))
    names = [name for name in file.json["meshes"][0]["primitives"][0]["attributes"] if "SH_DEGREE" in name]
    expected = [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{c}" for d in range(degrees + 1) for c in range(2 * d + 1)]
    assert names == expected
    directions = CHANCE.normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    stored = [file.attribute(name) for name in names[1:]]
    coefficients = np.stack(stored, axis=1) if stored else np.zeros((len(splats.means), 0, 3))
    found = np.einsum("mk,nkc->nmc", evaluate(gltf_from_world(directions), harmonics), coefficients)
    assert np.allclose(found, _seen(splats, directions), atol=1e-5)


def test_deltas_are_read_back_within_the_documented_errors_in_a_fraction_of_the_size(tmp_path: Path) -> None:
    result = _result()
    canonical, deltas = write_deltas(tmp_path, result)
    sequence = read_deltas(tmp_path)
    assert len(sequence) == toy_asset.FRAMES
    assert sequence.fps == result.fps
    exact = [splats_at(result, frame) for frame in range(toy_asset.FRAMES)]
    extent = np.ptp(np.stack([splats.means - result.splats.means for splats in exact]), axis=(0, 1))
    directions = np.eye(3)
    for frame, wanted in enumerate(exact):
        found = sequence.splats_at(frame)
        assert np.all(np.abs(found.means - wanted.means) <= extent / 131070 + 1e-6)
        signs = np.sign((found.quaternions * wanted.quaternions).sum(axis=1, keepdims=True))
        half_angles = np.linalg.norm(signs * found.quaternions - wanted.quaternions, axis=1)
        assert np.all(half_angles < 0.5e-4 + 1e-6)
        assert np.allclose(found.colors, wanted.colors, atol=2e-3)  # the basis has 11 bits
        assert np.allclose(_seen(found, directions), _seen(wanted, directions), atol=1e-3)
        assert np.array_equal(found.scales, sequence.canonical.scales)
    ply = canonical.stat().st_size
    assert deltas.stat().st_size < 0.1 * ply * toy_asset.FRAMES


def test_broken_deltas_are_named_with_a_reason(tmp_path: Path) -> None:
    _, deltas = write_deltas(tmp_path, toy_asset.result(20))
    whole = dict(np.load(deltas))
    for change, reason in (
        ({"version": np.int32(9)}, "its version is 9, expected 1"),
        ({"positions": whole["positions"][:, 1:]}, "its motion is not for the 20 splats"),
    ):
        np.savez(deltas, **{**whole, **change})
        with pytest.raises(Uni4DError, match=reason):
            read_deltas(tmp_path)
    np.savez(deltas, **{name: values for name, values in whole.items() if name != "turns"})
    with pytest.raises(Uni4DError, match=r"deltas\.npz cannot be read: it has no turns"):
        read_deltas(tmp_path)
    deltas.write_bytes(b"x")
    with pytest.raises(Uni4DError, match=r"deltas\.npz cannot be read"):
        read_deltas(tmp_path)
