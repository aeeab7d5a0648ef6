"""Shades wander as things turn, where the photographs were taken in such a light, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.config import FitConfig
from uni4d.fourd import fit
from uni4d.fourd.colors.color_change import ColorChange
from uni4d.fourd.colors.illumination import Illumination, Lit, illumination_of
from uni4d.fourd.colors.shading import Shading, shading_of
from uni4d.fourd.colors.shadows import ShadowCaster
from uni4d.fourd.photometry import slack_of
from uni4d.library.geometry import TexturedMesh
from uni4d.splatting import BoundSplats, render, splats_from_mesh
from uni4d.splatting.binding import Carried, multiply_quaternions
from uni4d.splatting.projection import rotation_matrices
from uni4d_shared.conventions import SH_C0, linear_from_srgb
from uni4d_shared.skinning import vertices_at
from uni4d_shared.types import Clip, ViewSet

EVEN = 0.35
STRENGTH = 0.6
TO_LAMP = torch.tensor([-0.4, -0.6, 0.7]) / torch.tensor([-0.4, -0.6, 0.7]).norm()
FRAMES = 6


def everywhere(count: int) -> Lit:
    return lambda direction: torch.ones(count)


def random_normals(count: int) -> Tensor:
    drawn = torch.randn(count, 3, generator=torch.Generator().manual_seed(4))
    return drawn / drawn.norm(dim=1, keepdim=True)


def lambert(normals: Tensor) -> Tensor:
    """``[N, 1]``"""
    return EVEN + STRENGTH * (normals @ TO_LAMP).clamp(min=0.0)[:, None]


def encoded(light: Tensor) -> Tensor:
    """sRGB, above its dark end."""
    return 1.055 * light.clamp(min=0.0031308) ** (1 / 2.4) - 0.055


def face_normals(mesh: TexturedMesh) -> TexturedMesh:
    """With the normals of its triangles; sides of boxes share no vertices."""
    normals = np.zeros_like(mesh.vertices)
    flat = mesh.face_vectors / np.linalg.norm(mesh.face_vectors, axis=1, keepdims=True)
    for corner in range(3):
        normals[mesh.faces[:, corner]] = flat
    return TexturedMesh(
        *(mesh.vertices, normals, mesh.uv, mesh.faces, mesh.face_material, mesh.materials, mesh.vertex_colors)
    )


def crossed(
    starts: NDArray[np.float32], way: NDArray[np.float32], triangles: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """``[N]``: whether a ray from ``starts`` ``[N, 3]`` meets one of ``triangles`` ``[F, 3, 3]`` (Möller &
    Trumbore 1997)."""
    met = np.zeros(len(starts), bool)
    for corner, first, second in zip(
        triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0], strict=True
    ):
        across = np.cross(way, second)
        determinant = first @ across
        if abs(determinant) < 1e-12:
            continue
        away = starts - corner
        u = away @ across / determinant
        turned = np.cross(away, first)
        v, distance = turned @ way / determinant, turned @ second / determinant
        met |= (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
    return met


class Lamplit:
    """The toy before a lamp that does not turn with it. Nothing casts a shadow."""

    def __init__(self, studio: Callable[..., Any], size: int) -> None:
        self.stage = studio(size=size)
        self.mesh = face_normals(self.stage.mesh)
        self.cloud: BoundSplats = self.stage.cloud
        corners = self.mesh.normals[self.mesh.faces[self.cloud.face_index.numpy()]]
        self.normals = torch.from_numpy(corners[:, 0].copy())

    def splats(self, vertices: NDArray[np.float32], *, lit: bool = True) -> Any:
        carried = self.cloud.carried(torch.from_numpy(vertices))
        rest = self.cloud.splats
        back = rest.quaternions * torch.tensor([1.0, -1.0, -1.0, -1.0])
        turned = rotation_matrices(multiply_quaternions(carried.quaternions, back)) @ self.normals[..., None]
        normals = turned[..., 0] if lit else self.normals
        light = torch.from_numpy(linear_from_srgb(rest.colors.numpy())) * lambert(normals)
        coefficients = (encoded(light)[:, None] - 0.5) / SH_C0
        return replace(rest, means=carried.means, quaternions=carried.quaternions, coefficients=coefficients)

    def views(self) -> ViewSet:
        splats = self.splats(self.mesh.vertices)
        rendered = [render(splats, camera, (0.0, 0.0, 0.0)) for camera in self.stage.cameras]
        rgba = [
            torch.cat([r.image / r.alpha.clamp(min=1e-3)[..., None], r.alpha[..., None]], dim=-1)
            for r in rendered
        ]
        images = (torch.stack(rgba).clamp(0, 1) * 255).round().to(torch.uint8)
        return ViewSet(images.numpy(), torch.stack([r.depth for r in rendered]).numpy(), self.stage.cameras)

    def film(self, motion: Callable[..., Any], *, lit: bool) -> Clip:
        """With shades that wander (``lit``), or with those at rest on what turns."""
        camera, images = self.stage.cameras[0], []
        for frame in range(FRAMES):
            splats = self.splats(motion(self.mesh.vertices, frame / 24), lit=lit)
            image = render(splats, camera).image
            images.append((image.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
        return Clip(np.stack(images), camera=camera)


def test_a_lamp_is_found_in_what_matt_surfaces_show() -> None:
    normals = random_normals(2000)
    albedo = torch.rand(2000, 3, generator=torch.Generator().manual_seed(5))
    seen = albedo * lambert(normals)
    seen[::10] = torch.rand(200, 3, generator=torch.Generator().manual_seed(6))  # gloss, neighbours
    light = illumination_of(seen, albedo, normals, everywhere(len(normals)))
    assert light is not None and len(light.directions) == 1
    assert float(light.directions[0] @ TO_LAMP) > np.cos(np.radians(2.0))
    torch.testing.assert_close(light.even, torch.full((3,), EVEN), atol=0.02, rtol=0)
    torch.testing.assert_close(light.strengths[0], torch.full((3,), STRENGTH), atol=0.03, rtol=0)


def test_two_lamps_of_two_colours_are_told_apart() -> None:
    normals = random_normals(2000)
    albedo = torch.full((2000, 3), 0.5)
    other, warm, cold = (
        torch.tensor([0.0, 1.0, 0.0]),
        torch.tensor([0.6, 0.4, 0.1]),
        torch.tensor([0.1, 0.2, 0.5]),
    )
    true = Illumination(torch.full((3,), 0.2), torch.stack([TO_LAMP, other]), torch.stack([warm, cold]))
    light = illumination_of(
        albedo * true.at(normals, everywhere(len(normals))), albedo, normals, everywhere(len(normals))
    )
    assert light is not None
    torch.testing.assert_close(
        light.at(normals, everywhere(len(normals))),
        true.at(normals, everywhere(len(normals))),
        atol=0.05,
        rtol=0,
    )


def test_an_even_light_and_black_things_say_nothing() -> None:
    normals, albedo = random_normals(500), torch.rand(500, 3, generator=torch.Generator().manual_seed(5))
    noise = 0.02 * torch.randn(500, 3, generator=torch.Generator().manual_seed(6))
    assert illumination_of(0.8 * albedo + noise, albedo, normals, everywhere(len(normals))) is None
    black = torch.full((500, 3), 0.01)
    assert illumination_of(black * lambert(normals), black, normals, everywhere(len(normals))) is None


def test_shadows_fall_where_rays_say(studio: Callable[..., Any]) -> None:
    """The map against rays cast at the triangles, one by one."""
    mesh = studio(size=64).mesh
    bound = splats_from_mesh(mesh, 4000, 0)
    splats, radius = bound.splats, 0.4
    caster = ShadowCaster(splats, radius)
    normals = torch.from_numpy(mesh.face_vectors[bound.face_index.numpy()]).float()
    facing = (normals @ TO_LAMP) > 0.3 * normals.norm(dim=1)  # others are dark anyway
    lit = caster.lit(Carried(splats.means, splats.quaternions), TO_LAMP)[facing]
    start = (splats.means + 2.0 * slack_of(splats, radius) * TO_LAMP)[facing].numpy()
    blocked = crossed(start, TO_LAMP.numpy(), mesh.vertices[mesh.faces])
    agree = (lit < 0.5).numpy() == blocked
    assert blocked.mean() > 0.05
    assert agree.mean() > 0.95


def test_what_turns_is_lit_anew_and_what_nobody_photographed_has_its_own_colour(
    studio: Callable[..., Any], spinning: Callable[..., Any]
) -> None:
    lamplit = Lamplit(studio, 64)
    bound, light = (
        lamplit.cloud,
        Illumination(torch.full((3,), EVEN), TO_LAMP[None], torch.full((1, 3), STRENGTH)),
    )
    rest, splats = lamplit.splats(lamplit.mesh.vertices), bound.splats
    shown = torch.arange(len(bound)) % 2 == 0

    class NoShadows(ShadowCaster):
        def lit(self, carried: Carried, direction: Tensor) -> Tensor:
            return torch.ones(len(carried.means))

    shading = Shading(bound, lamplit.normals, shown, light, NoShadows(splats, 0.4))
    colors = torch.where(shown[:, None], rest.colors, splats.colors)
    for time in (0.0, 0.25, 0.6):
        true = lamplit.splats(spinning(lamplit.mesh.vertices, time))
        relit = shading.relit(colors, true.means, true.quaternions)
        torch.testing.assert_close(relit, true.colors.clamp(0, 1), atol=0.01, rtol=0)


def test_a_change_of_low_rank_shows_nearly_all() -> None:
    generator = torch.Generator().manual_seed(2)
    weights, basis = torch.randn(9, 2, generator=generator), torch.randn(2, 50, 3, generator=generator)
    added = torch.einsum("tr,rnc->tnc", weights, basis)
    noise = 1e-3 * torch.randn(9, 50, 3, generator=generator)
    change = ColorChange.nearest(added + noise)
    assert len(change.basis) == 2
    shown = torch.stack([change.at(frame) for frame in range(9)])
    assert float((shown - added).square().mean().sqrt()) < 2e-3
    assert len(ColorChange.nearest(torch.zeros(4, 5, 3)).basis) == 1


def test_the_light_is_found_on_photographs(studio: Callable[..., Any]) -> None:
    from uni4d.splatting.static import refine_on_views

    lamplit = Lamplit(studio, 64)
    bound = refine_on_views(splats_from_mesh(lamplit.mesh, 1500, 0), lamplit.views(), 60)
    shading = shading_of(lamplit.mesh, bound, lamplit.views(), 0.4)
    assert shading is not None
    assert float(shading.light.directions[0] @ TO_LAMP) > np.cos(np.radians(12.0))
    even = refine_on_views(splats_from_mesh(lamplit.mesh, 1500, 0), lamplit.stage.views(), 60)
    assert shading_of(lamplit.mesh, even, lamplit.stage.views(), 0.4) is None


@pytest.mark.slow
@pytest.mark.parametrize("lit", [True, False])
def test_a_fit_tells_shades_that_wander_from_those_that_are_carried_along(
    lit: bool, studio: Callable[..., Any], spinning: Callable[..., Any]
) -> None:
    lamplit = Lamplit(studio, 64)
    config = FitConfig(splats=1500, nodes=30, static_iterations=60, iterations=60, seed=0)
    found = fit(
        lamplit.mesh, lamplit.views(), lamplit.stage.alignment(), lamplit.film(spinning, lit=lit), config
    )
    assert (found.metrics["lamps"] > 0) == lit
    assert (found.result.color_motion is not None) == lit
    assert found.metrics["psnr_foreground"] > 24.0
    diagonal = float(np.linalg.norm(np.ptp(lamplit.mesh.vertices, axis=0)))
    errors = [
        np.linalg.norm(vertices_at(found.result, t) - spinning(lamplit.mesh.vertices, t / 24), axis=1).mean()
        for t in range(FRAMES)
    ]
    assert float(np.mean(errors)) < 0.02 * diagonal
