"""From splats that change colour to materials that shine or fade."""

from __future__ import annotations

import attrs
import numpy as np
from harness import toy_asset

from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.skinning import colors_at
from uni4d_shared.surface_light import lit_faces, lit_parts
from uni4d_shared.types import ColorMotion, Gaussians4D

RESULT = toy_asset.result()
ONE = np.zeros(len(RESULT.mesh.vertices), int)
HEIGHT = RESULT.mesh.vertices[:, 2]


def test_the_part_that_lights_up_is_found_with_the_light_that_it_gives() -> None:
    """Of a box of one material the upper half, of which all colours are the material's, plus light."""
    glowing = toy_asset.glowing((0.7, 0.5, 0.1))
    (part,) = lit_parts(glowing, ONE)
    assert (part.material, part.whole) == (0, False)
    assert part.vertices[HEIGHT > 0.36].all() and not part.vertices[HEIGHT < 0.24].any()
    lit = lit_faces(part, glowing.mesh.faces)
    assert 0.35 < lit.mean() < 0.65
    np.testing.assert_allclose(part.base, 1.0, atol=1e-5)
    assert np.corrcoef(part.emission[:, 0], toy_asset.course())[0, 1] > 0.95
    blue = linear_from_srgb(np.array([40.0, 60.0, 220.0]) / 255.0)
    above = glowing.splats.means[:, 2] > 0.3
    for frame in range(toy_asset.FRAMES):
        shown = linear_from_srgb(colors_at(glowing, frame)[above].mean(axis=0))
        np.testing.assert_allclose(blue + part.emission[frame], shown, atol=5e-3)


def test_what_fades_multiplies_the_colours_and_gives_no_light() -> None:
    """A box of two colours: each of its splats is as dark as the factor says."""
    still = RESULT.splats.colors
    dark = _changing(-0.8 * still[None])
    (part,) = lit_parts(dark, ONE)
    assert part.whole and part.vertices.all()
    assert part.emission.max() < 0.02
    for frame in range(toy_asset.FRAMES):
        shown = linear_from_srgb(colors_at(dark, frame))
        told = part.base[frame] * linear_from_srgb(still) + part.emission[frame]
        assert np.abs(told - shown).max() < 0.04
    assert part.base[toy_asset.FRAMES // 2].max() < 0.1 and part.base[0].min() > 0.98


def test_a_mixture_of_both_is_told_apart() -> None:
    """Mixed half towards a warm white in linear light: half of its own colour is left."""
    still = RESULT.splats.colors.astype(np.float64)
    warm = np.array([1.0, 0.86, 0.42])
    full = 0.5 * linear_from_srgb(still) + 0.5 * linear_from_srgb(warm)
    srgb = np.where(full <= 0.0031308, 12.92 * full, 1.055 * full ** (1 / 2.4) - 0.055)
    (part,) = lit_parts(_changing((srgb - still)[None]), ONE)
    peak = toy_asset.FRAMES // 2
    mixed = [0, 2]  # of green the box has nearly the same everywhere
    np.testing.assert_allclose(part.base[peak, mixed], 0.5, atol=0.02)
    np.testing.assert_allclose(part.emission[peak, mixed], 0.5 * linear_from_srgb(warm)[mixed], atol=0.02)
    assert (part.emission_alone[peak, mixed] < part.emission[peak, mixed]).all()


def test_materials_are_looked_at_one_by_one_and_what_stays_is_left_alone() -> None:
    glowing = toy_asset.glowing((0.3, 0.2, 0.1))
    materials = np.where(HEIGHT > 0.3, 4, 7)
    (part,) = lit_parts(glowing, materials)
    assert (part.material, part.whole) == (4, True)
    assert np.array_equal(part.vertices, materials == 4)
    assert lit_parts(glowing, np.full(len(HEIGHT), -1)) == []
    assert lit_parts(RESULT, materials) == []
    assert lit_parts(toy_asset.glowing((0.02, 0.02, 0.02)), materials) == []


def test_shades_that_wander_are_for_splats_and_not_for_the_mesh() -> None:
    """A mesh is shaded by whoever draws it; what glows besides glows on."""
    shaded = _changing(-0.5 * RESULT.splats.colors[None])
    assert lit_parts(shaded, ONE) != []
    only = attrs.evolve(shaded, color_motion=attrs.evolve(shaded.color_motion, shades=1))
    assert lit_parts(only, ONE) == []
    assert np.array_equal(colors_at(only, 4), colors_at(shaded, 4))
    glowing = toy_asset.glowing((0.7, 0.5, 0.1))
    both = ColorMotion(
        np.concatenate([glowing.color_motion.basis, shaded.color_motion.basis]),
        np.concatenate([glowing.color_motion.weights, shaded.color_motion.weights], axis=1),
        shades=1,
    )
    (alone,), (part,) = lit_parts(glowing, ONE), lit_parts(attrs.evolve(glowing, color_motion=both), ONE)
    assert np.array_equal(part.vertices, alone.vertices) and np.array_equal(part.emission, alone.emission)


def _changing(basis: np.ndarray) -> Gaussians4D:
    """The toy, with ``basis`` ``[1, N, 3]`` added in its course."""
    return attrs.evolve(RESULT, color_motion=ColorMotion(basis, toy_asset.course()[:, None]))
