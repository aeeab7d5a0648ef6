# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Animated Gaussian splats that play on the timeline by themselves, without Python.

All moments lie side by side in one mesh, the *bank*: vertex t·N + i is splat i at clip frame t, with its
rotation, size and colour as attributes. A Geometry Nodes modifier keeps the vertices of the present frame
and puts an ellipsoid of three standard deviations on each; :mod:`.splat_material` gives it the
Gaussian's transparency. So the object can be scrubbed, rendered, linked and appended like any other.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d_shared.conventions import matrix_from_quaternion
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import Gaussians4D, Splats

from . import compat, splat_material
from .timeline import NATIVE, Timeline

__all__ = ["euler_from_quaternion", "linear_from_srgb", "place_splats"]

FRAME, TURN, SIZE = "uni4d_frame", "uni4d_turn", "uni4d_size"
"""Attributes of the bank: clip frame; XYZ Euler angles in radians; standard deviations in metres."""

_ICOSAHEDRON_INSPHERE = 0.7946544723
"""Radius of the sphere inside an icosahedron of circumradius 1."""


def place_splats(
    result: Gaussians4D,
    *,
    timeline: Timeline = NATIVE,
    name: str = "Uni4D splats",
    collection: bpy.types.Collection | None = None,
) -> bpy.types.Object:
    """A new object that shows the splats of ``result``, each clip frame at its time."""
    count = len(result.motion.rotations)
    moments = [splats_at(result, frame) for frame in range(count)]
    item = bpy.data.objects.new(name, _bank(moments, name))
    (collection or bpy.context.scene.collection).objects.link(item)
    modifier = item.modifiers.new("Uni4D splats", "NODES")
    modifier.node_group = _node_group(name, timeline, count, splat_material.splat_material())
    item.visible_shadow = False
    return item


def _bank(moments: list[Splats], name: str) -> bpy.types.Mesh:
    total = sum(len(moment.means) for moment in moments)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(total)
    mesh.vertices.foreach_set("co", np.concatenate([moment.means for moment in moments]).ravel())
    frames = np.repeat(np.arange(len(moments)), [len(moment.means) for moment in moments])
    colors = np.concatenate([_rgba(moment) for moment in moments])
    turns = euler_from_quaternion(np.concatenate([moment.quaternions for moment in moments]))
    sizes = np.concatenate([moment.scales for moment in moments])
    _attribute(mesh, FRAME, "INT", "value", frames.astype(np.int32))
    _attribute(mesh, TURN, "FLOAT_VECTOR", "vector", turns)
    _attribute(mesh, SIZE, "FLOAT_VECTOR", "vector", sizes)
    _attribute(mesh, splat_material.TINT, "FLOAT_COLOR", "color", colors)
    mesh.update()
    return mesh


def _attribute(mesh: Any, name: str, kind: str, field: str, values: NDArray[Any]) -> None:
    attribute = mesh.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(field, values.ravel() if kind == "INT" else values.astype(np.float32).ravel())


def _rgba(moment: Splats) -> NDArray[np.float32]:
    return np.concatenate([linear_from_srgb(moment.colors), moment.opacities[:, None]], axis=1)


def _node_group(name: str, timeline: Timeline, count: int, material: bpy.types.Material) -> Any:
    """Bank → vertices of the present frame → ellipsoids."""
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    compat.new_socket(group, "INPUT", "NodeSocketGeometry", "Geometry")
    compat.new_socket(group, "OUTPUT", "NodeSocketGeometry", "Geometry")
    nodes, links = group.nodes, group.links

    def math(operation: str, first: Any, second: Any = None) -> Any:
        node = nodes.new("ShaderNodeMath")
        node.operation = operation
        for socket, value in zip(node.inputs, (first, second), strict=False):
            if isinstance(value, (int, float)):
                socket.default_value = value
            elif value is not None:
                links.new(value, socket)
        return node.outputs[0]

    def attribute(name: str, kind: str) -> Any:
        node = nodes.new("GeometryNodeInputNamedAttribute")
        node.data_type = kind
        node.inputs["Name"].default_value = name
        return next(socket for socket in node.outputs if socket.enabled)

    now = nodes.new("GeometryNodeInputSceneTime").outputs["Frame"]
    moment = math("ROUND", math("DIVIDE", math("SUBTRACT", now, timeline.start), timeline.step))
    moment = math("MINIMUM", math("MAXIMUM", moment, 0.0), count - 1.0)
    other = math("COMPARE", attribute(FRAME, "INT"), moment)
    other.node.inputs[2].default_value = 0.5  # the tolerance

    keep = nodes.new("GeometryNodeSeparateGeometry")
    keep.domain = "POINT"
    links.new(nodes.new("NodeGroupInput").outputs[0], keep.inputs["Geometry"])
    links.new(other, keep.inputs["Selection"])

    ball = nodes.new("GeometryNodeMeshIcoSphere")
    ball.inputs["Radius"].default_value = 1.0 / _ICOSAHEDRON_INSPHERE  # so that the unit ball fits inside
    ball.inputs["Subdivisions"].default_value = 1
    painted = nodes.new("GeometryNodeSetMaterial")
    painted.inputs["Material"].default_value = material
    links.new(ball.outputs["Mesh"], painted.inputs["Geometry"])

    extent = nodes.new("ShaderNodeVectorMath")
    extent.operation = "SCALE"
    extent.inputs["Scale"].default_value = splat_material.EXTENT
    links.new(attribute(SIZE, "FLOAT_VECTOR"), extent.inputs[0])

    place = nodes.new("GeometryNodeInstanceOnPoints")
    links.new(keep.outputs["Selection"], place.inputs["Points"])
    links.new(painted.outputs["Geometry"], place.inputs["Instance"])
    links.new(attribute(TURN, "FLOAT_VECTOR"), place.inputs["Rotation"])
    links.new(extent.outputs[0], place.inputs["Scale"])
    links.new(place.outputs["Instances"], nodes.new("NodeGroupOutput").inputs[0])
    return group


def linear_from_srgb(colors: ArrayLike) -> NDArray[np.float32]:
    """Scene-linear values of sRGB colours in [0, 1] (IEC 61966-2-1)."""
    c = np.clip(np.asarray(colors, np.float32), 0.0, 1.0)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def euler_from_quaternion(quaternions: ArrayLike) -> NDArray[np.float32]:
    """Blender's XYZ Euler angles ``[N, 3]`` (R = R_z R_y R_x) in radians, of quaternions ``[N, 4]`` wxyz."""
    m = matrix_from_quaternion(np.asarray(quaternions, np.float64))
    cosine = np.hypot(m[:, 0, 0], m[:, 1, 0])
    locked = cosine < 1e-7  # looking along ±Z: x and z turn about one axis, so let z be 0
    x = np.where(locked, np.arctan2(-m[:, 1, 2], m[:, 1, 1]), np.arctan2(m[:, 2, 1], m[:, 2, 2]))
    y = np.arctan2(-m[:, 2, 0], cosine)
    z = np.where(locked, 0.0, np.arctan2(m[:, 1, 0], m[:, 0, 0]))
    return np.stack([x, y, z], axis=1).astype(np.float32)
