"""Shades that wander as things turn: splats in the light in which they were photographed.

At rest, a splat has the colour that its photographs show, light included. Where it has turned, and where it
comes out of the object's shadow, it gets other light; and so its colour, in linear light, is that at rest
times

    E(n_t) / E(n_0),

E being the light that the photographs tell (:mod:`uni4d.fourd.colors.illumination`), n the normals of the
mesh. What no photograph shows has the colour of its material, as if E(n_0) were 1. Gloss stays where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uni4d.fourd.colors.illumination import Illumination, illumination_of
from uni4d.fourd.colors.shadows import ShadowCaster
from uni4d.fourd.rotations import conjugate
from uni4d.library.geometry import TexturedMesh, surface_colors
from uni4d.splatting.binding import BoundSplats, Carried, multiply_quaternions
from uni4d.splatting.projection import rotation_matrices
from uni4d.splatting.visibility import SHOWN, shown_shares
from uni4d_shared.cameras import scaled
from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Camera, ViewSet

__all__ = ["Shading", "shading_of"]

_CAMERAS, _WIDTH = 16, 256
"""How many of the photographs decide what they show, and at what width in pixels."""
_DARKEST = 0.02
"""Light below which nothing is told apart from nothing."""


class Shading:
    """The light on the splats of one object."""

    def __init__(
        self, bound: BoundSplats, normals: Tensor, shown: Tensor, light: Illumination, caster: ShadowCaster
    ) -> None:
        """``normals`` ``[N, 3]`` at rest; ``shown`` ``[N]`` bool: whose colours were photographed."""
        self.light, self._caster, self._normals = light, caster, normals
        self._back = conjugate(bound.splats.quaternions.detach())
        got = self._received(Carried(bound.splats.means.detach(), bound.splats.quaternions.detach()))
        self._rest = torch.where(shown[:, None], got.clamp(min=_DARKEST), torch.ones_like(got))

    def relit(self, colors: Tensor, means: Tensor, quaternions: Tensor) -> Tensor:
        """sRGB ``colors`` ``[N, 3]`` at rest as they look where the splats are at ``means`` ``[N, 3]``,
        turned to ``quaternions`` ``[N, 4]``; the light is a constant, colours have gradients."""
        got = self._received(Carried(means.detach(), quaternions.detach()))
        return _encoded(_linear(colors.clamp(0.0, 1.0)) * (got / self._rest)).clamp(max=1.0)

    @torch.no_grad()
    def _received(self, carried: Carried) -> Tensor:
        turned = torch.nn.functional.normalize(multiply_quaternions(carried.quaternions, self._back), dim=1)
        normals = (rotation_matrices(turned) @ self._normals[:, :, None])[..., 0]
        return self.light.at(normals, lambda direction: self._caster.lit(carried, direction))


@torch.no_grad()
def shading_of(
    mesh: TexturedMesh,
    bound: BoundSplats,
    views: ViewSet,
    radius: float,
    progress: Progress = silent,
    *,
    light: Illumination | None = None,
) -> Shading | None:
    """The splats at rest, which are those of ``views``, in the ``light`` that is known, or that they tell
    about; ``None`` if it is even: then nothing changes as things turn."""
    faces, places = bound.face_index.numpy(), bound.barycentric.numpy()
    normals = torch.from_numpy(_normals(mesh, faces, places))
    every = max(len(views.cameras) // _CAMERAS, 1)
    shown = shown_shares(bound.splats, _told(views.cameras[::every], progress)) >= SHOWN
    splats = bound.splats.detached()
    caster = ShadowCaster(splats, radius)
    if light is None:
        rest, told = Carried(splats.means, splats.quaternions), shown.nonzero()[:, 0]
        own = linear_from_srgb(surface_colors(mesh, faces, places)[:, :3]).astype(np.float32)
        light = illumination_of(
            *(_linear(splats.colors.clamp(0.0, 1.0))[told], torch.from_numpy(own)[told], normals[told]),
            lambda direction: caster.lit(rest, direction)[told],
        )
    return None if light is None else Shading(bound, normals, shown, light, caster)


def _told(cameras: Sequence[Camera], progress: Progress) -> Iterator[Camera]:
    """Small ones, each of which is a step of the ``progress``."""
    for number, camera in enumerate(cameras):
        progress(number / len(cameras), "looking at the light of the photographs")
        yield scaled(camera, _WIDTH)
    progress(1.0, "looking for lamps")


def _normals(
    mesh: TexturedMesh, faces: NDArray[np.int64], places: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``[N, 3]`` unit shading normals at barycentric ``places`` ``[N, 3]`` of ``faces`` ``[N]``."""
    blended = np.einsum("nc,nck->nk", places, mesh.normals[mesh.faces[faces]])
    lengths = np.linalg.norm(blended, axis=1, keepdims=True)
    flat = mesh.face_vectors[faces] / (2.0 * mesh.face_areas[faces, None])
    return np.where(lengths > 1e-3, blended / np.maximum(lengths, 1e-3), flat).astype(np.float32)


def _linear(colors: Tensor) -> Tensor:
    """Linear light of sRGB in [0, 1]."""
    return torch.where(
        colors <= 0.04045, colors / 12.92, ((colors.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    )


def _encoded(light: Tensor) -> Tensor:
    """sRGB of linear light, which may be more than 1."""
    bright = 1.055 * light.clamp(min=0.0031308) ** (1.0 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, 12.92 * light, bright)
