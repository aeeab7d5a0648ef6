# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""Animated Gaussian splats that play on the timeline by themselves, without Python.

All moments lie side by side in one mesh, the *bank*: vertex t·N + i is splat i at clip frame t, with its
rotation, size and colour as attributes. A Geometry Nodes modifier keeps the vertices of the present frame
and puts a shape of three standard deviations on each, to which :mod:`.splat_material` gives the
Gaussian's transparency: a disc for a flat splat, as those on a surface are, else an ellipsoid. Both give the
same picture, but a ray crosses a disc once and an ellipsoid twice, and crossings are what rendering costs.
So the object can be scrubbed, rendered, linked and appended like any other.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d_shared.conventions import linear_from_srgb
from uni4d_shared.skinning import splats_at
from uni4d_shared.splat_shapes import lens_of, shapes_of
from uni4d_shared.types import Camera, Gaussians4D, Splats

from . import splat_material, splat_nodes
from .timeline import NATIVE, Timeline

__all__ = ["euler_from_matrix", "place_splats"]


def place_splats(
    result: Gaussians4D,
    *,
    camera: Camera | None = None,
    timeline: Timeline = NATIVE,
    name: str = "Uni4D splats",
    collection: bpy.types.Collection | None = None,
) -> bpy.types.Object:
    """A new object that shows the splats of ``result``, each clip frame at its time.

    ``camera``: the one that they were fitted with, whose pixels they are widened by; see :mod:`.splat_nodes`.
    """
    count = len(result.motion.rotations)
    moments = [splats_at(result, frame) for frame in range(count)]
    item = bpy.data.objects.new(name, _bank(moments, result.traced_change, name))
    (collection or bpy.context.scene.collection).objects.link(item)
    modifier = item.modifiers.new("Uni4D splats", "NODES")
    modifier.node_group = splat_nodes.node_group(
        *(name, timeline, count, splat_material.splat_material()), **_lens(camera)
    )
    item.visible_shadow = False
    return item


def _lens(camera: Camera | None) -> dict[str, Any]:
    """A camera's place, and the width of its pixels at a distance of 1."""
    if camera is None:
        return {}
    place, pixel = lens_of(camera)
    return {"viewpoint": tuple(place.tolist()), "pixel": pixel}


def _bank(moments: list[Splats], change: NDArray[np.float32], name: str) -> bpy.types.Mesh:
    total = sum(len(moment.means) for moment in moments)
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(total)
    mesh.vertices.foreach_set("co", np.concatenate([moment.means for moment in moments]).ravel())
    frames = np.repeat(np.arange(len(moments)), [len(moment.means) for moment in moments])
    colors = np.concatenate([_rgba(moment, change) for moment in moments])
    shapes = [shapes_of(moment) for moment in moments]
    turns, sizes, flat = (np.concatenate(parts) for parts in zip(*shapes, strict=True))
    _attribute(mesh, splat_nodes.FRAME, "INT", "value", frames.astype(np.int32))
    _attribute(mesh, splat_nodes.TURN, "FLOAT_VECTOR", "vector", euler_from_matrix(turns))
    _attribute(mesh, splat_nodes.SIZE, "FLOAT_VECTOR", "vector", sizes)
    _attribute(mesh, splat_material.FLAT, "FLOAT", "value", flat)
    _attribute(mesh, splat_material.TINT, "FLOAT_COLOR", "color", colors)
    mesh.update()
    return mesh


def _attribute(mesh: Any, name: str, kind: str, field: str, values: NDArray[Any]) -> None:
    attribute = mesh.attributes.new(name, kind, "POINT")
    attribute.data.foreach_set(field, values.ravel() if kind == "INT" else values.astype(np.float32).ravel())


def _rgba(moment: Splats, change: NDArray[np.float32]) -> NDArray[np.float32]:
    shown = linear_from_srgb(np.clip(moment.colors, 0.0, 1.0))
    if len(change):
        shown = np.clip(shown + change, 0.0, 1.0)
    return np.concatenate([shown, moment.opacities[:, None]], axis=1)


def euler_from_matrix(rotations: ArrayLike) -> NDArray[np.float32]:
    """Blender's XYZ Euler angles ``[N, 3]`` (R = R_z R_y R_x, radians) of rotation matrices ``[N, 3, 3]``."""
    m = np.asarray(rotations, np.float64)
    cosine = np.hypot(m[:, 0, 0], m[:, 1, 0])
    locked = cosine < 1e-12  # looking along ±Z: x and z turn about one axis, so let z be 0
    x = np.where(locked, np.arctan2(-m[:, 1, 2], m[:, 1, 1]), np.arctan2(m[:, 2, 1], m[:, 2, 2]))
    y = np.arctan2(-m[:, 2, 0], cosine)
    z = np.where(locked, 0.0, np.arctan2(m[:, 1, 0], m[:, 0, 0]))
    return np.stack([x, y, z], axis=1).astype(np.float32)
