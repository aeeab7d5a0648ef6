"""Quick pictures of a mesh without Blender: its surface as splats, rasterised.

They serve the index (appearance features) and as thumbnails where a source ships no icons. The light comes
from beside the camera, so that form shows on untextured surfaces too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.library.geometry import TexturedMesh
from uni4d_shared.cameras import bounding_sphere, look_at, pinhole_intrinsics
from uni4d_shared.types import Camera, ViewSet

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VIEWPOINTS", "photograph", "photographs_from"]

VIEWPOINTS = ((-60.0, 18.0), (-125.0, 28.0), (60.0, 15.0), (-90.0, 5.0))
"""Azimuth and elevation in degrees, best first: both front quarters, a back quarter, the front."""

_SPLATS = 8_000
_SIZE = 224
_FIELD_OF_VIEW = math.radians(30.0)
_LOW_PASS = 0.3
"""Pixels²: splats at random leave gaps that a wide filter closes."""
_AMBIENT = 0.45


def photograph(mesh: TexturedMesh, views: int, *, size: int = _SIZE, seed: int = 0) -> NDArray[Any]:
    """``[views, size, size, 4]`` uint8 sRGB with straight alpha, from the first ``VIEWPOINTS``."""
    centre, radius = bounding_sphere(mesh.vertices)
    cameras = [
        _camera(centre, radius, math.radians(azimuth), math.radians(elevation), size)
        for azimuth, elevation in VIEWPOINTS[:views]
    ]
    return photographs_from(mesh, cameras, seed=seed).images


def photographs_from(
    mesh: TexturedMesh, cameras: Sequence[Camera], *, splats: int = _SPLATS, seed: int = 0
) -> ViewSet:
    """The mesh at rest as each of ``cameras`` sees it."""
    from uni4d.splatting.rasterise import rasterise
    from uni4d.splatting.surface import splats_from_mesh

    bound = splats_from_mesh(mesh, splats, seed, candidates=1)
    cloud = bound.splats
    face_normals = torch.from_numpy(mesh.face_vectors.astype(np.float32))[bound.face_index]
    normals = torch.nn.functional.normalize(face_normals, dim=1)
    pictures, depths = [], []
    for camera in cameras:
        with torch.inference_mode():
            rendered = rasterise(
                cloud.means,
                cloud.quaternions,
                cloud.scales,
                cloud.opacities,
                cloud.colors * _light(normals, camera)[:, None],
                camera,
                background=(0.0, 0.0, 0.0),
                low_pass=_LOW_PASS,
                antialiased=False,
            )
        alpha = rendered.alpha.clamp(0.0, 1.0)[..., None]
        straight = torch.where(alpha > 1e-3, rendered.image / alpha.clamp(min=1e-3), 0.0)
        picture = torch.cat([straight.clamp(0.0, 1.0), alpha], dim=-1)
        pictures.append((picture * 255.0 + 0.5).to(torch.uint8).numpy())
        depths.append(rendered.depth.numpy())
    return ViewSet(np.stack(pictures), np.stack(depths), tuple(cameras))


def _camera(centre: NDArray[Any], radius: float, azimuth: float, elevation: float, size: int) -> Camera:
    direction = np.array(
        [
            math.cos(elevation) * math.cos(azimuth),
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
        ]
    )
    distance = 1.05 * radius / math.sin(_FIELD_OF_VIEW / 2)
    position = centre + distance * direction
    return Camera(look_at(position, centre), pinhole_intrinsics(size, size, _FIELD_OF_VIEW), size, size)


def _light(normals: Tensor, camera: Camera) -> Tensor:
    """``[N]`` brightness: Lambert with a lamp above the camera's left shoulder; both sides are lit."""
    to_camera = torch.tensor(camera.world_to_camera[:3, :3].T @ (-0.35, -0.6, -0.75), dtype=torch.float32)
    cosine = (normals @ torch.nn.functional.normalize(to_camera, dim=0)).abs()
    return _AMBIENT + (1.0 - _AMBIENT) * cosine
