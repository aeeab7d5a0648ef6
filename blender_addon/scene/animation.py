# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""The motion as an armature: one bone per control node, keyframed, editable, and a valid glTF skin.

Bone k rests at the node n_k with the world's axes, so its rest matrix is the translation to n_k. In its
pose it has the location t_k and the rotation R_k, and Blender moves a vertex x to

    Σ_j w_j · T(n_k) T(t_k) R_k T(−n_k) x  =  Σ_j w_j (R_k (x − n_k) + n_k + t_k),

the formula of :mod:`uni4d_shared.skinning`, to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import mathutils
import numpy as np
from numpy.typing import NDArray

from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Gaussians4D, NodeMotion

from . import compat
from .meshes import rest_vertices
from .timeline import NATIVE, Timeline

__all__ = ["fitted_vertices", "place_motion"]

_MATCH_TOLERANCE = 0.01
"""Part of the object's size by which a vertex of the scene may differ from the one that was fitted."""


def place_motion(
    objects: Sequence[bpy.types.Object],
    result: Gaussians4D,
    *,
    timeline: Timeline = NATIVE,
    name: str = "Uni4D motion",
    collection: bpy.types.Collection | None = None,
) -> bpy.types.Object:
    """Let ``objects``, the imported mesh at rest, move as ``result`` says; the armature.

    The objects become children of the armature, with identity transforms; the armature can then be moved
    about as a whole. An earlier motion of theirs is replaced.
    """
    collection = collection or bpy.context.scene.collection
    matches = fitted_vertices(objects, result)
    for item in objects:
        _forget_motion(item)
    armature = _armature(result.motion, name, _bone_length(result), collection)
    for item, vertices in zip(objects, matches, strict=True):
        _bind(item, armature, result.motion.vertex_nodes[vertices], result.motion.vertex_weights[vertices])
    _keyframe(armature, result.motion, timeline)
    return armature


def fitted_vertices(objects: Sequence[bpy.types.Object], result: Gaussians4D) -> list[NDArray[np.int64]]:
    """For each object, which vertex of the result's mesh each of its vertices is ``[P_i]``."""
    return _match([rest_vertices([item]) for item in objects], result.mesh.vertices)


def bone_name(node: int) -> str:
    """Bone and vertex group of a control node."""
    return f"node_{node:03d}"


def _match(objects: Sequence[NDArray[np.float32]], fitted: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """For each object, the fitted vertex nearest to each of its vertices ``[P_i, 3]``."""
    ends = np.cumsum([len(vertices) for vertices in objects])
    everything = np.concatenate(objects)
    size = float(np.linalg.norm(np.ptp(fitted, axis=0)))
    if len(everything) == len(fitted) and np.abs(everything - fitted).max() <= 1e-5 * size:
        nearest = np.arange(len(fitted))  # the same file, read in the same order
    else:
        tree = mathutils.kdtree.KDTree(len(fitted))
        for index, point in enumerate(fitted.tolist()):
            tree.insert(point, index)
        tree.balance()
        found: list[Any] = [tree.find(point) for point in everything.tolist()]
        nearest = np.array([index for _, index, _ in found])
        farthest = max(distance for _, _, distance in found)
        if farthest > _MATCH_TOLERANCE * size:
            raise Uni4DError(
                "mesh-mismatch",
                f"The mesh in the scene is not the one that was animated: a vertex lies {farthest:.3g} m "
                "from its counterpart.",
                "Undo the changes to the mesh, or import the asset again.",
            )
    return np.split(nearest, ends[:-1])


def _forget_motion(item: bpy.types.Object) -> None:
    for modifier in [modifier for modifier in item.modifiers if modifier.type == "ARMATURE"]:
        item.modifiers.remove(modifier)
    old: Any = item.parent
    item.vertex_groups.clear()
    item.parent = None
    item.matrix_world = mathutils.Matrix.Identity(4)
    if old is not None and old.type == "ARMATURE" and not old.children:
        bpy.data.armatures.remove(old.data)


def _bone_length(result: Gaussians4D) -> float:
    """Bones long enough to be seen and clicked, short enough not to hide the object."""
    return 0.05 * float(np.linalg.norm(np.ptp(result.mesh.vertices, axis=0)))


def _armature(
    motion: NodeMotion, name: str, length: float, collection: bpy.types.Collection
) -> bpy.types.Object:
    data = bpy.data.armatures.new(name)
    data.display_type = "STICK"
    armature = bpy.data.objects.new(name, data)
    collection.objects.link(armature)
    layer = bpy.context.view_layer
    active = layer.objects.active
    if active is not None and active.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")
    layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")  # bones can only be made in edit mode
    for node, position in enumerate(motion.nodes.tolist()):
        bone = data.edit_bones.new(bone_name(node))
        bone.head = position
        bone.tail = mathutils.Vector(position) + mathutils.Vector((0.0, length, 0.0))
        bone.roll = 0.0  # along +Y without roll: the world's axes
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def _bind(
    item: bpy.types.Object,
    armature: bpy.types.Object,
    nodes: NDArray[np.int32],  # [P, J]
    weights: NDArray[np.float32],  # [P, J]
) -> None:
    groups = [item.vertex_groups.new(name=bone_name(node)) for node in range(len(armature.data.bones))]
    total = np.zeros((len(nodes), len(groups)), np.float32)
    np.add.at(total, (np.arange(len(nodes))[:, None], nodes), weights)  # a node may be listed twice
    for vertex, node in zip(*(axis.tolist() for axis in np.nonzero(total)), strict=True):
        groups[node].add((vertex,), float(total[vertex, node]), "REPLACE")
    item.parent = armature
    modifier = item.modifiers.new("Uni4D motion", "ARMATURE")
    modifier.object = armature
    modifier.use_deform_preserve_volume = False  # linear blending, as the fit and glTF have it


def _keyframe(armature: bpy.types.Object, motion: NodeMotion, timeline: Timeline) -> None:
    frames = timeline.frames(len(motion.rotations))
    new_curve = compat.new_fcurves(armature, armature.name)
    quaternions = _continuous(motion.rotations)
    for node in range(len(motion.nodes)):
        bone = bone_name(node)
        path = f'pose.bones["{bone}"]'
        for axis in range(3):
            curve = new_curve(f"{path}.location", axis, bone)
            compat.set_keyframes(curve, frames, motion.translations[:, node, axis], "LINEAR")
        for axis in range(4):
            curve = new_curve(f"{path}.rotation_quaternion", axis, bone)
            compat.set_keyframes(curve, frames, quaternions[:, node, axis], "LINEAR")


def _continuous(quaternions: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same rotations ``[T, K, 4]``; signs such that each is near the one before, for interpolation."""
    signs = np.ones(quaternions.shape[:2])
    signs[1:] = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0, -1.0, 1.0)
    return quaternions * np.cumprod(signs, axis=0)[..., None]
