"""A textured mesh as splats: even over the area, flat in the triangles' planes, coloured by the texture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from uni4d.splatting.binding import BoundSplats, quaternions_from_matrices, triangle_frames
from uni4d.splatting.model import SplatParameters

if TYPE_CHECKING:  # the library renders with this package
    from uni4d.library.geometry import TexturedMesh

__all__ = ["splats_from_mesh"]

_SPREAD = 0.6
"""Standard deviation along the surface, in units of √(area per splat): neighbours form an opaque skin."""
_THICKNESS = 0.1
"""Standard deviation along the normal, in units of that along the surface."""
_MAX_OPACITY = 0.97


def splats_from_mesh(mesh: TexturedMesh, count: int, seed: int = 0) -> BoundSplats:
    """``count`` splats on the surface of ``mesh``, each bound to its triangle.

    Single-sided sheets need nothing special: splats have no back. Glass keeps the opacity of its material.
    """
    if count < 1:
        raise ValueError(f"splats_from_mesh: count must be positive, got {count}")
    from uni4d.library.geometry import sample_surface

    samples = sample_surface(mesh, count, seed)
    vertices = torch.from_numpy(np.ascontiguousarray(mesh.vertices, dtype=np.float32))
    faces = torch.from_numpy(np.ascontiguousarray(mesh.faces, dtype=np.int64))
    face_index = torch.from_numpy(samples.face_index.astype(np.int64))
    area = float(np.linalg.norm(mesh.face_vectors, axis=1).sum()) / 2
    spread = _SPREAD * math.sqrt(area / count)
    scales = torch.tensor([spread, spread, _THICKNESS * spread]).expand(count, 3)
    splats = SplatParameters.from_activated(
        means=torch.from_numpy(samples.points),
        quaternions=quaternions_from_matrices(triangle_frames(vertices[faces[face_index]])),
        scales=scales,
        opacities=torch.from_numpy(samples.opacities).clamp(max=_MAX_OPACITY),
        colors=torch.from_numpy(samples.colors).clamp(0.0, 1.0),
    )
    return BoundSplats(splats, vertices, faces, face_index, torch.from_numpy(samples.barycentric))
