"""Geometry Nodes that show a bank of splats: of all moments the present one, a shape on each point.

The bank is described in :mod:`.splats`, the look of the shapes in :mod:`.splat_material`.

They are widened by the pixels of the camera that they were fitted with (:mod:`uni4d_shared.splat_shapes`).
Its viewpoint and the width of its pixels can be edited in the nodes :data:`VIEWPOINT` and :data:`PIXEL`; a
width of 0 leaves it out.
"""

from __future__ import annotations

from typing import Any

import bpy

from uni4d_shared.splat_shapes import EXTENT, LOW_PASS, STEEPEST

from . import compat, splat_material
from .timeline import Timeline

__all__ = ["FRAME", "PIXEL", "SIZE", "TURN", "VIEWPOINT", "node_group"]

FRAME, TURN, SIZE = "uni4d_frame", "uni4d_turn", "uni4d_size"
"""Attributes of the bank: clip frame; XYZ Euler angles in radians; standard deviations in metres."""

VIEWPOINT, PIXEL = "Viewpoint", "Pixel"
"""Names of the nodes that hold the camera's place, and the width of its pixels at a distance of 1."""

_ICOSAHEDRON_INSPHERE = 0.7946544723
"""Radius of the sphere inside an icosahedron of circumradius 1."""

_OCTAGON_INCIRCLE = 0.9238795325
"""Radius of the circle inside an octagon of circumradius 1, cos(π/8)."""


def node_group(
    name: str,
    timeline: Timeline,
    count: int,
    material: bpy.types.Material,
    viewpoint: tuple[float, float, float] = (0.0, 0.0, 0.0),
    pixel: float = 0.0,
) -> bpy.types.NodeTree:
    """Bank of ``count`` moments → the points of the present frame → discs and ellipsoids."""
    group: Any = bpy.data.node_groups.new(name, "GeometryNodeTree")
    compat.new_socket(group, "INPUT", "NodeSocketGeometry", "Geometry")
    compat.new_socket(group, "OUTPUT", "NodeSocketGeometry", "Geometry")
    points = _present_points(group, timeline, count)
    disc = _node(group, "GeometryNodeMeshCircle", Vertices=8, Radius=1.0 / _OCTAGON_INCIRCLE)
    disc.fill_type = "NGON"
    ball = _node(group, "GeometryNodeMeshIcoSphere", Subdivisions=1, Radius=1.0 / _ICOSAHEDRON_INSPHERE)
    flat = _attribute(group, splat_material.FLAT, "FLOAT")
    extent = _extent(group, _blur(group, viewpoint, pixel))
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
            Scale=extent,
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


def _blur(group: Any, viewpoint: tuple[float, float, float], pixel: float) -> Any:
    """The variance that each point's splat is widened by, in metres²."""
    eye = _node(group, "FunctionNodeInputVector")
    eye.name = eye.label = VIEWPOINT
    eye.vector = viewpoint
    width = _node(group, "ShaderNodeValue")
    width.name = width.label = PIXEL
    width.outputs[0].default_value = pixel
    place = _node(group, "GeometryNodeInputPosition").outputs[0]
    ray = _vector_math(group, "SUBTRACT", place, eye.outputs[0]).outputs["Vector"]
    distance = _vector_math(group, "LENGTH", ray).outputs["Value"]
    footprint = _math(group, "MULTIPLY", distance, width.outputs[0])
    variance = _math(group, "MULTIPLY", _math(group, "MULTIPLY", footprint, footprint), LOW_PASS)
    return _math(group, "DIVIDE", variance, _facing(group, ray))


def _facing(group: Any, ray: Any) -> Any:
    """The cosine at a disc's normal, at least ``STEEPEST``; 1 for ellipsoids."""
    normal = group.nodes.new("ShaderNodeVectorRotate")
    normal.rotation_type = "EULER_XYZ"  # before its inputs are named: it decides which there are
    normal.inputs["Vector"].default_value = (0.0, 0.0, 1.0)
    _feed(group, normal.inputs["Rotation"], _attribute(group, TURN, "FLOAT_VECTOR"))
    towards = _vector_math(group, "NORMALIZE", ray).outputs["Vector"]
    cosine = _vector_math(group, "DOT_PRODUCT", normal.outputs[0], towards).outputs["Value"]
    cosine = _math(group, "MAXIMUM", _math(group, "ABSOLUTE", cosine), STEEPEST)
    round_ones = _math(group, "SUBTRACT", 1.0, _attribute(group, splat_material.FLAT, "FLOAT"))
    return _math(group, "MAXIMUM", cosine, round_ones)


def _extent(group: Any, blur: Any) -> Any:
    """Semi-axes in metres."""
    sizes = _node(group, "ShaderNodeSeparateXYZ", Vector=_attribute(group, SIZE, "FLOAT_VECTOR"))
    widened = [
        _math(
            group,
            "MULTIPLY",
            _math(group, "SQRT", _math(group, "MULTIPLY_ADD", size, size, blur)),
            EXTENT,
        )
        for size in sizes.outputs
    ]
    return _node(group, "ShaderNodeCombineXYZ", X=widened[0], Y=widened[1], Z=widened[2]).outputs[0]


def _vector_math(group: Any, operation: str, *inputs: Any) -> Any:
    node = group.nodes.new("ShaderNodeVectorMath")
    node.operation = operation
    for socket, value in zip(node.inputs, inputs, strict=False):
        _feed(group, socket, value)
    return node


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
