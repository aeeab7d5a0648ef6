"""The material that turns a disc or an ellipsoid into a Gaussian, for Cycles and EEVEE.

The instance's own space is the splat's space divided by :data:`EXTENT`: there the Gaussian is round, with
standard deviation 1/EXTENT. For a ray that meets the shape at p with the (normalised) direction v, the
point of the ray nearest to the centre has squared distance d² = p·p − (p·v)², and the most opaque point of
the ray, which is what 3D Gaussian splatting composites, has

    α = opacity · exp(−½ · EXTENT² · d²).

The back of an ellipsoid is left out, so that each splat counts once. Colours are emitted, unlit. Blender
blends in linear light, the rasteriser in sRGB, so half-covered edges come out slightly lighter here; within
the object the colours make up for it (``Gaussians4D.traced_change``).
"""

from __future__ import annotations

from typing import Any

import bpy

from uni4d_shared.splat_shapes import EXTENT

from . import compat

__all__ = ["FLAT", "TINT", "splat_material"]

TINT = "uni4d_tint"
"""The colour attribute: scene-linear RGB, and the opacity as A."""

FLAT = "uni4d_flat"
"""The attribute that is 1 for discs (seen from both sides) and 0 for ellipsoids."""

NAME = "Uni4D splat"


def splat_material() -> bpy.types.Material:
    """The one material of all splats in this file, made on first use."""
    existing = bpy.data.materials.get(NAME)
    if existing is not None:
        return existing
    material: Any = bpy.data.materials.new(NAME)
    if not material.use_nodes:  # always on from 5.0
        material.use_nodes = True
    compat.set_splat_rendering(material)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    nodes.clear()

    def add(kind: str, operation: str = "", *inputs: Any) -> Any:
        node = nodes.new(kind)
        if operation:
            node.operation = operation
        for socket, value in zip(node.inputs, inputs, strict=False):
            if isinstance(value, float):
                socket.default_value = value
            else:
                links.new(value, socket)
        return node

    geometry = add("ShaderNodeNewGeometry")
    place = add("ShaderNodeTexCoord").outputs["Object"]
    into = add("ShaderNodeVectorTransform", "", geometry.outputs["Incoming"])
    into.vector_type, into.convert_from, into.convert_to = "VECTOR", "WORLD", "OBJECT"
    ray = add("ShaderNodeVectorMath", "NORMALIZE", into.outputs[0]).outputs["Vector"]
    along = add("ShaderNodeVectorMath", "DOT_PRODUCT", place, ray).outputs["Value"]
    length = add("ShaderNodeVectorMath", "DOT_PRODUCT", place, place).outputs["Value"]
    square = add("ShaderNodeMath", "MULTIPLY", along, along).outputs[0]
    distance = add("ShaderNodeMath", "SUBTRACT", length, square).outputs[0]
    exponent = add("ShaderNodeMath", "MULTIPLY", distance, -0.5 * EXTENT**2).outputs[0]
    gaussian = add("ShaderNodeMath", "EXPONENT", exponent).outputs[0]

    tint = add("ShaderNodeAttribute")
    tint.attribute_type = "INSTANCER"
    tint.attribute_name = TINT
    peak = add("ShaderNodeMath", "MULTIPLY", gaussian, tint.outputs["Alpha"]).outputs[0]
    front = add("ShaderNodeMath", "SUBTRACT", 1.0, geometry.outputs["Backfacing"]).outputs[0]
    flat = add("ShaderNodeAttribute")
    flat.attribute_type = "INSTANCER"
    flat.attribute_name = FLAT
    counted = add("ShaderNodeMath", "MAXIMUM", front, flat.outputs["Fac"]).outputs[0]
    alpha = add("ShaderNodeMath", "MULTIPLY", peak, counted).outputs[0]

    glow = add("ShaderNodeEmission", "", tint.outputs["Color"]).outputs[0]
    clear = add("ShaderNodeBsdfTransparent").outputs[0]
    surface = add("ShaderNodeMixShader", "", alpha, clear, glow).outputs[0]
    links.new(surface, add("ShaderNodeOutputMaterial").inputs["Surface"])
    return material
