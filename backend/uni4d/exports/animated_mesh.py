"""The mesh of a result as an animated GLB, with the materials of its source: as a skin, or as morph targets.

``skinned_glb``: every control node is a joint that rests at n_k with the axes of the scene, so its inverse
bind matrix is T(−n_k). At frame t it is translated to n_k + t_k and turned by R_k, and glTF moves a vertex to

    Σ_j w_j T(n_k + t_k) R_k T(−n_k) x  =  Σ_j w_j (R_k (x − n_k) + n_k + t_k),

which is :func:`uni4d_shared.skinning.vertices_at`. Small, editable, and every engine plays it; between frames
the joints are interpolated (rotations along the sphere).

``morphing_glb``: one morph target for each frame, which holds that frame's positions and normals minus those
of rest, with weights that go from one target to the next. Larger, but it needs no skinning, and between
frames every vertex goes straight.

Where the splats' colours change, materials of both are animated (:mod:`uni4d.exports.lit_materials`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d.exports.lit_materials import add_light
from uni4d.exports.source_mesh import SourceMesh
from uni4d.library.formats.glb import ARRAY_BUFFER, GlbBuffer, pack_glb
from uni4d_shared.conventions import gltf_from_world, matrix_from_quaternion
from uni4d_shared.progress import Progress, silent
from uni4d_shared.skinning import vertices_at
from uni4d_shared.types import Gaussians4D, NodeMotion

__all__ = ["morphing_glb", "skinned_glb"]

Array = NDArray[Any]

_JOINTS_PER_SET = 4  # glTF's JOINTS_n and WEIGHTS_n hold four each
_NAME = "Uni4D"


def skinned_glb(source: SourceMesh, result: Gaussians4D) -> bytes:
    """A GLB whose joints are the control nodes."""
    buffer, motion = GlbBuffer(), result.motion
    document, primitives = source.copy_into(buffer)
    nodes, weights = _influences(motion)
    for rows, primitive in zip(source.slices, primitives, strict=True):
        _add_influences(primitive, nodes[source.fitted[rows]], weights[source.fitted[rows]], buffer)
    places = gltf_from_world(motion.nodes)
    inverse_binds = np.tile(np.eye(4, dtype=np.float32), (len(places), 1, 1))
    inverse_binds[:, 3, :3] = -places  # glTF stores matrices by columns
    joints = [
        {"name": f"node_{index:03d}", "translation": place} for index, place in enumerate(places.tolist())
    ]
    first = 2  # after the mesh and the armature
    numbers = list(range(first, first + len(joints)))
    times = _times(result, buffer)
    document |= {
        "scene": 0,
        "scenes": [{"nodes": [0, 1]}],
        "nodes": [
            {"name": _NAME, "mesh": 0, "skin": 0},
            {"name": f"{_NAME} control nodes", "children": numbers},
            *joints,
        ],
        "meshes": [{"name": _NAME, "primitives": primitives}],
        "skins": [
            {
                "joints": numbers,
                "skeleton": 1,
                "inverseBindMatrices": buffer.add_accessor(inverse_binds, "MAT4"),
            }
        ],
        "animations": [_joint_animation(result, places, numbers, times, buffer)],
    }
    add_light(document, source, result, times, buffer)
    return pack_glb(document, buffer)


def _influences(motion: NodeMotion) -> tuple[Array, Array]:
    """Nodes and weights ``[P, 4 n]``: no node twice for a vertex, heaviest first, empty places node 0."""
    slots = motion.vertex_nodes.shape[1]
    nodes = motion.vertex_nodes.copy()
    weights = motion.vertex_weights.astype(np.float64)
    for slot in range(1, slots):
        for earlier in range(slot):
            twice = nodes[:, slot] == nodes[:, earlier]
            weights[twice, earlier] += weights[twice, slot]
            weights[twice, slot] = 0.0
    order = np.argsort(-weights, axis=1, kind="stable")
    nodes, weights = np.take_along_axis(nodes, order, axis=1), np.take_along_axis(weights, order, axis=1)
    nodes[weights == 0.0] = 0
    sums = weights.sum(axis=1, keepdims=True)
    weights = (weights / np.where(sums > 0, sums, 1.0)).astype(np.float32)
    padding = ((0, 0), (0, -slots % _JOINTS_PER_SET))
    return np.pad(nodes, padding), np.pad(weights, padding)


def _add_influences(primitive: dict[str, Any], nodes: Array, weights: Array, buffer: GlbBuffer) -> None:
    small = int(nodes.max(initial=0)) < 256
    for index, first in enumerate(range(0, nodes.shape[1], _JOINTS_PER_SET)):
        columns = slice(first, first + _JOINTS_PER_SET)
        joints = nodes[:, columns].astype(np.uint8 if small else np.uint16)
        attributes = primitive["attributes"]
        attributes[f"JOINTS_{index}"] = buffer.add_accessor(joints, "VEC4", ARRAY_BUFFER)
        attributes[f"WEIGHTS_{index}"] = buffer.add_accessor(weights[:, columns], "VEC4", ARRAY_BUFFER)


def _joint_animation(
    result: Gaussians4D, places: Array, numbers: list[int], times: int, buffer: GlbBuffer
) -> dict[str, Any]:
    motion = result.motion
    rotations = _gltf_quaternions(_continuous(motion.rotations))
    moved = (places + gltf_from_world(motion.translations)).astype(np.float32)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []
    for joint, number in enumerate(numbers):
        for path, values, kind in (
            ("translation", moved[:, joint], "VEC3"),
            ("rotation", rotations[:, joint], "VEC4"),
        ):
            channels.append({"sampler": len(samplers), "target": {"node": number, "path": path}})
            samplers.append(
                {"input": times, "interpolation": "LINEAR", "output": buffer.add_accessor(values, kind)}
            )
    return {"name": _NAME, "channels": channels, "samplers": samplers}


def _times(result: Gaussians4D, buffer: GlbBuffer) -> int:
    seconds = np.arange(len(result.motion.rotations)) / result.fps
    return buffer.add_accessor(seconds.astype(np.float32), "SCALAR", bounds=True)


def _gltf_quaternions(quaternions: Array) -> Array:
    """World quaternions wxyz ``[..., 4]`` as glTF's xyzw in glTF's axes, unit length."""
    unit = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    return np.concatenate([gltf_from_world(unit[..., 1:]), unit[..., :1]], axis=-1).astype(np.float32)


def _continuous(quaternions: Array) -> Array:
    """The same rotations ``[T, K, 4]``; signs such that each is near the one before."""
    signs = np.ones(quaternions.shape[:2])
    signs[1:] = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0, -1.0, 1.0)
    return quaternions * np.cumprod(signs, axis=0)[..., None]


def morphing_glb(source: SourceMesh, result: Gaussians4D, progress: Progress = silent) -> bytes:
    """A GLB with one morph target for each frame."""
    buffer, count = GlbBuffer(), len(result.motion.rotations)
    document, primitives = source.copy_into(buffer)
    rest = result.mesh.vertices
    for primitive in primitives:
        primitive["targets"] = []
    for frame in range(count):
        progress(frame / count, f"morph target {frame + 1} of {count}")
        shift = gltf_from_world(vertices_at(result, frame) - rest)[source.fitted]
        turns = _vertex_turns(result, frame)[source.fitted]
        for rows, original, primitive in zip(source.slices, source.primitives, primitives, strict=True):
            turned = np.einsum("pij,pj->pi", turns[rows], original.normals)
            turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
            primitive["targets"].append(
                {
                    "POSITION": buffer.add_accessor(shift[rows], "VEC3", ARRAY_BUFFER, bounds=True),
                    "NORMAL": buffer.add_accessor(
                        gltf_from_world(turned - original.normals).astype(np.float32), "VEC3", ARRAY_BUFFER
                    ),
                }
            )
    names = [f"frame_{frame + 1:04d}" for frame in range(count)]
    weights = buffer.add_accessor(np.eye(count, dtype=np.float32).reshape(-1), "SCALAR")
    times = _times(result, buffer)
    sampler = {"input": times, "interpolation": "LINEAR", "output": weights}
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    document |= {
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": _NAME, "mesh": 0}],
        "meshes": [{"name": _NAME, "primitives": primitives, "extras": {"targetNames": names}}],
        "animations": [{"name": _NAME, "channels": [channel], "samplers": [sampler]}],
    }
    add_light(document, source, result, times, buffer)
    return pack_glb(document, buffer)


def _vertex_turns(result: Gaussians4D, frame: int) -> Array:
    """The blended linear part ``[P, 3, 3]`` of what moves each vertex, which is what turns its normal."""
    motion = result.motion
    rotations = matrix_from_quaternion(motion.rotations[frame].astype(np.float64))
    turns = np.zeros((len(result.mesh.vertices), 3, 3))
    for slot in range(motion.vertex_nodes.shape[1]):
        turns += motion.vertex_weights[:, slot, None, None] * rotations[motion.vertex_nodes[:, slot]]
    return turns
