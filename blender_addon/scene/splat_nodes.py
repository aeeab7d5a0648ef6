"""Geometry Nodes that show a bank of splats: of all moments the present one, a shape on each point.

The bank is described in :mod:`.splats`, the look of the shapes in :mod:`.splat_material`.
"""

from __future__ import annotations

from typing import Any

import bpy

from . import compat, splat_material
from .timeline import Timeline

__all__ = ["FRAME", "SIZE", "TURN", "node_group"]

FRAME, TURN, SIZE = "uni4d_frame", "uni4d_turn", "uni4d_size"
"""Attributes of the bank: clip frame; XYZ Euler angles in radians; standard deviations in metres."""

_ICOSAHEDRON_INSPHERE = 0.7946544723
"""Radius of the sphere inside an icosahedron of circumradius 1."""

_OCTAGON_INCIRCLE = 0.9238795325
"""Radius of the circle inside an octagon of circumradius 1, cos(π/8)."""


def node_group(name: str, timeline: Timeline, count: int, material: bpy.types.Material) -> bpy.types.NodeTree:
    """Bank of ``count`` moments → the points of the present frame → discs and ellipsoids."""
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    compat.new_socket(group, "INPUT", "NodeSocketGeometry", "Geometry")
    compat.new_socket(group, "OUTPUT", "NodeSocketGeometry", "Geometry")
    points = _present_points(group, timeline, count)
    disc = _node(group, "GeometryNodeMeshCircle", Vertices=8, Radius=1.0 / _OCTAGON_INCIRCLE)
    disc.fill_type = "NGON"
    ball = _node(group, "GeometryNodeMeshIcoSphere", Subdivisions=1, Radius=1.0 / _ICOSAHEDRON_INSPHERE)
    flat = _attribute(group, splat_material.FLAT, "FLOAT")
    everything = _node(group, "GeometryNodeJoinGeometry")
    for shape, comparison in ((disc, "GREATER_THAN"), (ball, "LESS_THAN")):
        painted = _node(group, "GeometryNodeSetMaterial", Geometry=shape.outputs["Mesh"], Material=material)
        instances = _node(
            group,
            "GeometryNodeInstanceOnPoints",
            Points=points,
            Selection=_math(group, comparison, flat, 0.5),
            Instance=painted.outputs["Geometry"],
            Rotation=_attribute(group, TURN, "FLOAT_VECTOR"),
            Scale=_extent(group),
        )
        group.links.new(instances.outputs["Instances"], everything.inputs[0])
    group.links.new(everything.outputs[0], _node(group, "NodeGroupOutput").inputs[0])
    return group  # type: ignore[no-any-return]


def _present_points(group: Any, timeline: Timeline, count: int) -> Any:
    """The points whose clip frame is the one to be shown now, the first and the last one being held."""
    now = _node(group, "GeometryNodeInputSceneTime").outputs["Frame"]
    elapsed = _math(group, "SUBTRACT", now, timeline.start)
    moment = _math(group, "ROUND", _math(group, "DIVIDE", elapsed, timeline.step))
    moment = _math(group, "MINIMUM", _math(group, "MAXIMUM", moment, 0.0), count - 1.0)
    present = _math(group, "COMPARE", _attribute(group, FRAME, "INT"), moment, 0.5)  # 0.5: the tolerance
    bank = _node(group, "NodeGroupInput").outputs[0]
    keep = _node(group, "GeometryNodeSeparateGeometry", Geometry=bank, Selection=present)
    keep.domain = "POINT"
    return keep.outputs["Selection"]


def _extent(group: Any) -> Any:
    """Semi-axes in metres."""
    sizes = _attribute(group, SIZE, "FLOAT_VECTOR")
    scale = _node(group, "ShaderNodeVectorMath", Vector=sizes)
    scale.operation = "SCALE"
    scale.inputs["Scale"].default_value = splat_material.EXTENT
    return scale.outputs[0]


def _attribute(group: Any, name: str, kind: str) -> Any:
    node = _node(group, "GeometryNodeInputNamedAttribute", Name=name)
    node.data_type = kind
    return next(socket for socket in node.outputs if socket.enabled)


def _math(group: Any, operation: str, *inputs: Any) -> Any:
    node = group.nodes.new("ShaderNodeMath")
    node.operation = operation
    for socket, value in zip(node.inputs, inputs, strict=False):
        _feed(group, socket, value)
    return node.outputs[0]


def _node(group: Any, kind: str, **inputs: Any) -> Any:
    """A new node; each of ``inputs`` is another node's socket, or a value."""
    node = group.nodes.new(kind)
    for name, value in inputs.items():
        _feed(group, node.inputs[name], value)
    return node


def _feed(group: Any, socket: Any, value: Any) -> None:
    if isinstance(value, bpy.types.NodeSocket):
        group.links.new(value, socket)
    else:
        socket.default_value = value
