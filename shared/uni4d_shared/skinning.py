"""From control nodes to vertices and splats at one moment: linear blend skinning, in numpy.

The add-on builds its armature from the same formula, so Blender, the exports and the backend agree
to rounding. The backend's differentiable twin is :mod:`uni4d.fourd.deformation`.
"""

from __future__ import annotations

import numpy as np

from uni4d_shared.conventions import (
    matrix_from_quaternion,
    multiply_quaternions,
    quaternion_from_matrix,
)
from uni4d_shared.harmonics import rotate
from uni4d_shared.trajectories import state_at, weights_at
from uni4d_shared.types import Array, Gaussians4D, Splats

__all__ = ["colors_at", "splats_at", "vertices_at"]


def vertices_at(result: Gaussians4D, frame: float) -> Array:
    """Vertex positions at ``frame``, whole or between: ``[P, 3]`` float32, world space in metres."""
    motion = result.motion
    quaternions, translations = state_at(motion, frame)
    rotations = matrix_from_quaternion(quaternions)  # [K, 3, 3]
    offsets = motion.nodes + translations - np.einsum("kij,kj->ki", rotations, motion.nodes)
    moved = np.zeros_like(result.mesh.vertices)
    for slot in range(motion.vertex_nodes.shape[1]):
        node = motion.vertex_nodes[:, slot]
        placed = np.einsum("pij,pj->pi", rotations[node], result.mesh.vertices) + offsets[node]
        moved += motion.vertex_weights[:, slot, None] * placed
    return moved.astype(np.float32)


def splats_at(result: Gaussians4D, frame: float) -> Splats:
    """The splats carried along by their triangles at ``frame``, whole or between.

    A splat keeps its barycentric place and its offset from the surface, and turns with its triangle's
    frame (edge, normal × edge, normal), and so does what depends on the view; its scales stay as they are at
    rest. Its colour follows :class:`~uni4d_shared.types.ColorMotion`.
    """
    rest, moved = result.mesh.vertices, vertices_at(result, frame)
    corners = result.mesh.faces[result.splat_faces]  # [N, 3]
    before, after = _triangle_frames(rest[corners]), _triangle_frames(moved[corners])
    turn = np.einsum("nij,nkj->nik", after, before)
    anchor = np.einsum("nc,ncd->nd", result.splat_barycentric, rest[corners])
    place = np.einsum("nc,ncd->nd", result.splat_barycentric, moved[corners])
    offset = np.einsum("nij,nj->ni", turn, result.splats.means - anchor)
    return Splats(
        means=place + offset,
        quaternions=multiply_quaternions(quaternion_from_matrix(turn), result.splats.quaternions),
        scales=result.splats.scales,
        opacities=result.splats.opacities,
        colors=colors_at(result, frame),
        harmonics=rotate(result.splats.harmonics, turn),
    )


def colors_at(result: Gaussians4D, frame: float) -> Array:
    """The splats' colours at ``frame``: ``[N, 3]`` sRGB in [0, 1], without what depends on the view."""
    if result.color_motion is None:
        return result.splats.colors
    between = weights_at(len(result.color_motion.weights), frame, result.motion.length_scale)
    change = np.tensordot(between @ result.color_motion.weights, result.color_motion.basis, axes=1)
    return np.clip(result.splats.colors + change, 0.0, 1.0)


def _triangle_frames(corners: Array) -> Array:
    """Frames ``[N, 3, 3]`` (columns: first edge, normal × edge, normal) of corners ``[N, 3, 3]``."""
    edge = corners[:, 1] - corners[:, 0]
    normal = np.cross(edge, corners[:, 2] - corners[:, 0])
    edge = edge / np.maximum(np.linalg.norm(edge, axis=1, keepdims=True), 1e-12)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    return np.stack([edge, np.cross(normal, edge), normal], axis=2)
