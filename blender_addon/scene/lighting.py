# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Light that comes on and fades, on the mesh: keyframes of its materials.

What changes of a material is found by :mod:`uni4d_shared.surface_light`. It gets a copy of it, whose
emission and base colour are keyframed at the clip's frames; the material itself stays as it was imported.
Only materials with a Principled BSDF can be animated so, and of these an emission that is a texture is left
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from uni4d_shared.surface_light import LitPart, lit_parts
from uni4d_shared.types import Gaussians4D

from . import compat
from .animation import fitted_vertices
from .timeline import NATIVE, Timeline

__all__ = ["is_lit", "place_light"]

_DULL = "uni4d_dull"
"""The property of a lit material that names the one that it is a copy of."""
_SHINES, _FADES = 0.01, 0.98
"""Light above which, and factor below which, there is something to keyframe."""


def place_light(
    objects: Sequence[bpy.types.Object], result: Gaussians4D, *, timeline: Timeline = NATIVE
) -> None:
    """Let the materials of ``objects`` shine and fade as the splats of ``result`` do; an earlier light of
    theirs is taken away."""
    for item in objects:
        _forget_light(item)
    matches = fitted_vertices(objects, result)
    materials: list[Any] = []
    of_vertices = np.full(len(result.mesh.vertices), -1)
    for item, fitted in zip(objects, matches, strict=True):
        for slot, corners in _slots(item):
            if slot.material is None:
                continue
            if slot.material not in materials:
                materials.append(slot.material)
            of_vertices[fitted[corners.ravel()]] = materials.index(slot.material)
    frames = timeline.frames(len(result.motion.rotations))
    for part in lit_parts(result, of_vertices):
        lit = _lit_copy(materials[part.material], part, frames)
        if lit is None:
            continue
        for item, fitted in zip(objects, matches, strict=True):
            _hand_over(item, materials[part.material], lit, part, fitted)


def is_lit(item: bpy.types.Object) -> bool:
    """Whether a material of the object is one of those that shine and fade."""
    return any(slot.material and slot.material.get(_DULL) is not None for slot in item.material_slots)


def _forget_light(item: Any) -> None:
    for slot in item.material_slots:
        lit = slot.material
        dull = lit.get(_DULL) if lit else None
        if dull is None or dull not in bpy.data.materials:
            continue
        slot.material = bpy.data.materials[dull]
        if not lit.users:
            bpy.data.materials.remove(lit)


def _slots(item: Any) -> list[tuple[Any, NDArray[np.int32]]]:
    """Each slot that is used, with the vertices ``[F, 3]`` of the triangles that use it."""
    mesh = item.data
    mesh.calc_loop_triangles()
    corners = np.empty(3 * len(mesh.loop_triangles), np.int32)
    used = np.empty(len(mesh.loop_triangles), np.int32)
    mesh.loop_triangles.foreach_get("vertices", corners)
    mesh.loop_triangles.foreach_get("material_index", used)
    triangles = corners.reshape(-1, 3)
    return [
        (slot, triangles[used == index]) for index, slot in enumerate(item.material_slots) if index in used
    ]


def _hand_over(item: Any, dull: Any, lit: Any, part: LitPart, fitted: NDArray[np.int64]) -> None:
    """Give the polygons of ``part`` the lit material; most of whose corners belong to it."""
    mesh = item.data
    numbers = [index for index, slot in enumerate(item.material_slots) if slot.material == dull]
    if not numbers:
        return
    if part.whole:
        for number in numbers:
            item.material_slots[number].material = lit
        return
    used = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", used)
    belongs = part.vertices[fitted]
    changes = [
        index in numbers and belongs[list(polygon.vertices)].mean() > 0.5
        for index, polygon in zip(used.tolist(), mesh.polygons, strict=True)
    ]
    if any(changes):
        mesh.materials.append(lit)
        used[changes] = len(mesh.materials) - 1
        mesh.polygons.foreach_set("material_index", used)
        mesh.update()


def _lit_copy(dull: Any, part: LitPart, frames: NDArray[np.float64]) -> Any:
    """A copy of the material with its keyframes; ``None`` if there is nothing in it to keyframe."""
    nodes = dull.node_tree.nodes if dull.use_nodes else ()
    if not any(node.type == "BSDF_PRINCIPLED" for node in nodes):
        return None
    lit = dull.copy()
    lit.name, lit[_DULL] = f"{dull.name} (lit)", dull.name
    tree = lit.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    new_curve = compat.new_fcurves(tree, lit.name)

    def keyframe(socket: Any, values: NDArray[np.float64]) -> None:
        for channel in range(3):
            curve = new_curve(f"{socket.path_from_id()}.default_value", channel, "Light")
            compat.set_keyframes(curve, frames, values[:, channel], "LINEAR")

    base = shader.inputs["Base Color"]
    if part.base.min() < _FADES:
        if base.is_linked:
            base = _factor(tree, base)
            keyframe(base, part.base)
        else:
            keyframe(base, np.array(base.default_value)[:3] * part.base)
    shine = shader.inputs.get("Emission Color") or shader.inputs["Emission"]  # its name until 3.6
    if part.emission.max() > _SHINES and not shine.is_linked:
        strength = shader.inputs["Emission Strength"]
        own = np.array(shine.default_value)[:3] * strength.default_value
        strength.default_value = 1.0
        keyframe(shine, own + part.emission)
    return lit


def _factor(tree: Any, socket: Any) -> Any:
    """A colour that what feeds ``socket`` is multiplied by, in nodes that glTF's exporter knows."""
    source = socket.links[0].from_socket
    mix = tree.nodes.new("ShaderNodeMix")
    mix.data_type, mix.blend_type = "RGBA", "MULTIPLY"
    factor, first, second = (mix.inputs[number] for number in (0, 6, 7))  # those of colours
    factor.default_value = 1.0
    second.default_value = (1.0, 1.0, 1.0, 1.0)
    tree.links.new(source, first)
    tree.links.new(mix.outputs[2], socket)
    mix.location = (socket.node.location.x - 200.0, socket.node.location.y)
    return second
