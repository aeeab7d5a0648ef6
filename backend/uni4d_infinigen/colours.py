"""The base colour of an object's shaders, as a colour per vertex and material.

Every surface shader of every material, in node groups too, is replaced by an emission of its own base
colour; mixed shaders so become mixed colours. A Cycles bake of the emission to a colour attribute then
evaluates the node trees as they are (noise, ramps, attributes, object coordinates), one sample a corner.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

__all__ = ["bake_base_colour", "lifted"]

_COLOUR_INPUTS = ("Base Color", "Color")
_SURFACE = {
    "BSDF_PRINCIPLED",
    "BSDF_DIFFUSE",
    "BSDF_GLOSSY",
    "BSDF_ANISOTROPIC",
    "BSDF_GLASS",
    "BSDF_REFRACTION",
    "BSDF_TRANSLUCENT",
    "BSDF_SHEEN",
    "BSDF_VELVET",
    "BSDF_TOON",
    "BSDF_METALLIC",
    "SUBSURFACE_SCATTERING",
    "BSDF_HAIR",
    "BSDF_HAIR_PRINCIPLED",
    "EMISSION",
    "BSDF_TRANSPARENT",
    "PRINCIPLED_VOLUME",
    "VOLUME_ABSORPTION",
    "VOLUME_SCATTER",
}
_DARK = 0.08
_COLOURED = 0.45
_MOST_GAIN = 6.0
_ATTRIBUTE = "base colour"


def bake_base_colour(whole: Any) -> NDArray[np.float64]:
    """Linear RGB per face corner ``[corners, 3]`` in [0, 1]."""
    trees: set[str] = set()
    for slot in whole.material_slots:
        if slot.material is None:
            slot.material = _plain()
        _emit_base_colour(slot.material, trees)
    if not whole.material_slots:
        whole.data.materials.append(_plain())
        _emit_base_colour(whole.data.materials[0], trees)
    mesh = whole.data
    attribute = mesh.color_attributes.new(_ATTRIBUTE, "FLOAT_COLOR", "CORNER")
    mesh.color_attributes.active_color = attribute
    bpy.context.view_layer.update()
    for other in bpy.context.view_layer.objects:
        other.select_set(other == whole)
    bpy.context.view_layer.objects.active = whole
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.render.threads_mode = "FIXED"
    scene.render.threads = 1
    bpy.ops.object.bake(type="EMIT", target="VERTEX_COLORS")
    values = np.empty(len(mesh.loops) * 4, np.float32)
    mesh.color_attributes[_ATTRIBUTE].data.foreach_get("color", values)
    return np.clip(np.nan_to_num(values.reshape(-1, 4)[:, :3].astype(np.float64)), 0.0, 1.0)


def lifted(colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear ``colours`` ``[N, 3]``, brighter where they are all dark and coloured, with the same hue.

    Infinigen lights its scenes with a sun and gives its plants a reflectance of one or two hundredths: right
    for its renderer, black to any other. What is dark and grey (a screen, a tyre) stays as it is.
    """
    red, green, blue = mean = colours.mean(axis=0)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    saturation = 1.0 - mean.min() / max(mean.max(), 1e-6)
    if luminance >= _DARK or saturation < _COLOURED:
        return colours
    return np.clip(colours * min(_DARK / max(luminance, 1e-6), _MOST_GAIN), 0.0, 1.0)


def _plain() -> Any:
    material = bpy.data.materials.new("plain")
    material.use_nodes = True
    return material


def _emit_base_colour(material: Any, done: set[str]) -> None:
    if not material.use_nodes or material.node_tree is None:
        colour = tuple(material.diffuse_color)
        material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = colour
    _rewrite(material.node_tree, done)
    for output in [node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL"]:
        for name in ("Displacement",):
            for link in list(output.inputs[name].links):
                material.node_tree.links.remove(link)
        volume = output.inputs["Volume"]
        if volume.is_linked:
            source = volume.links[0].from_socket
            material.node_tree.links.remove(volume.links[0])
            if not output.inputs["Surface"].is_linked:
                material.node_tree.links.new(source, output.inputs["Surface"])


def _rewrite(tree: Any, done: set[str]) -> None:
    """Replace the shaders of ``tree`` and of the groups in it."""
    key = str(tree.as_pointer())
    if key in done:
        return
    done.add(key)
    for node in list(tree.nodes):
        if node.type == "GROUP" and node.node_tree is not None:
            _rewrite(node.node_tree, done)
        elif node.type == "MIX_SHADER":
            _bypass_transparent(tree, node)
    for node in list(tree.nodes):
        if node.type == "ADD_SHADER":
            _replace_add(tree, node)
        elif node.type in _SURFACE:
            _replace_shader(tree, node)


def _bypass_transparent(tree: Any, node: Any) -> None:
    """A mix with a transparent shader cuts holes; the colour is that of the other shader."""
    sources = [socket.links[0].from_node if socket.is_linked else None for socket in node.inputs[1:3]]
    for own, other in ((0, 1), (1, 0)):
        if (
            sources[own] is not None
            and sources[own].type == "BSDF_TRANSPARENT"
            and sources[other] is not None
        ):
            kept = node.inputs[1 + other].links[0].from_socket
            for link in list(node.outputs[0].links):
                tree.links.new(kept, link.to_socket)
            return


def _replace_add(tree: Any, node: Any) -> None:
    mix = tree.nodes.new("ShaderNodeMixShader")
    mix.inputs[0].default_value = 0.5
    sources = [socket.links[0].from_socket for socket in node.inputs if socket.is_linked]
    if not sources:
        return
    tree.links.new(sources[0], mix.inputs[1])
    tree.links.new(sources[-1], mix.inputs[2])
    for link in list(node.outputs[0].links):
        tree.links.new(mix.outputs[0], link.to_socket)


def _replace_shader(tree: Any, node: Any) -> None:
    emission = tree.nodes.new("ShaderNodeEmission")
    socket = next((node.inputs[name] for name in _COLOUR_INPUTS if name in node.inputs), None)
    glow = node.inputs.get("Emission Strength") if node.type == "BSDF_PRINCIPLED" else None
    if glow is not None and not glow.is_linked and glow.default_value >= 0.5:
        socket = node.inputs["Emission Color"]
    if socket is not None and socket.is_linked:
        tree.links.new(socket.links[0].from_socket, emission.inputs["Color"])
    elif socket is not None:
        emission.inputs["Color"].default_value = tuple(socket.default_value)
    for output in node.outputs:
        for link in list(output.links):
            tree.links.new(emission.outputs[0], link.to_socket)
