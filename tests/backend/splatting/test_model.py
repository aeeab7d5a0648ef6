"""The splat model: activations, spherical harmonics, and the value type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from uni4d.splatting import SplatParameters, harmonics


def test_parameters_give_back_what_they_were_made_from(random_scene: Callable[..., Any]) -> None:
    means, quaternions, scales, opacities, colors = random_scene(50, 1)
    opacities = opacities.clamp(0.01, 0.99)
    splats = SplatParameters.from_activated(means, quaternions, scales, opacities, colors)
    torch.testing.assert_close(splats.scales, scales)
    torch.testing.assert_close(splats.opacities, opacities)
    torch.testing.assert_close(splats.colors, colors)
    value = splats.activated()
    np.testing.assert_allclose(np.linalg.norm(value.quaternions, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(value.colors, colors.numpy(), atol=1e-6)


def test_full_and_zero_opacity_stay_finite() -> None:
    splats = SplatParameters.from_activated(
        torch.zeros(2, 3),
        torch.tensor([[1.0, 0, 0, 0]] * 2),
        torch.ones(2, 3),
        torch.tensor([0.0, 1.0]),
        torch.zeros(2, 3),
    )
    assert bool(torch.isfinite(splats.opacity_logits).all())


@pytest.mark.parametrize("count", [1, 4, 9, 16])
def test_harmonics_are_orthonormal(count: int) -> None:
    """∫ Y_i Y_j = δ_ij over the sphere, by Gauss-Legendre quadrature (exact for these degrees)."""
    heights, weights = np.polynomial.legendre.leggauss(8)
    angles = np.arange(16) * 2 * np.pi / 16
    z, phi = (a.ravel() for a in np.meshgrid(heights, angles, indexing="ij"))
    ring = np.sqrt(1 - z * z)
    directions = torch.tensor(np.stack([ring * np.cos(phi), ring * np.sin(phi), z], axis=1))
    area = torch.tensor(np.repeat(weights, 16) * 2 * np.pi / 16)
    basis = (
        torch.stack(
            [
                harmonics.evaluate(unit.expand(len(directions), count, 3) * 0.1, directions)[:, 0] - 0.5
                for unit in torch.eye(count, dtype=torch.float64)[:, :, None]
            ]
        )
        / 0.1
    )
    gram = (basis * area) @ basis.T
    torch.testing.assert_close(gram, torch.eye(count, dtype=torch.float64), atol=1e-9, rtol=0)


def test_colour_depends_on_the_view_only_beyond_degree_zero(random_scene: Callable[..., Any]) -> None:
    means, quaternions, scales, opacities, colors = random_scene(10, 4)
    plain = SplatParameters.from_activated(means, quaternions, scales, opacities, colors)
    here, there = torch.tensor([5.0, 0, 0]), torch.tensor([-5.0, 0, 0])
    assert torch.equal(plain.colors_from(here), plain.colors_from(there))
    coefficients = torch.cat([plain.coefficients, torch.full((10, 3, 3), 0.1)], dim=1)
    shiny = SplatParameters(
        plain.means, plain.quaternions, plain.log_scales, plain.opacity_logits, coefficients
    )
    assert not torch.allclose(shiny.colors_from(here), shiny.colors_from(there))
    with pytest.raises(ValueError, match="1, 4, 9 or 16"):
        harmonics.evaluate(coefficients[:, :3], means)
