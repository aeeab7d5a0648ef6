"""From :class:`uni4d_shared.types.Camera` to Blender camera objects, exactly, and keyframed cameras.

Blender's camera with ``sensor_fit = HORIZONTAL`` sees, for an image of w × h pixels and a pixel aspect of
a_x : a_y,

    f_x = w · lens / sensor_width          f_y = f_x · a_x / a_y
    c_x = w · (1/2 − shift_x)              c_y = h / 2 + w · shift_y · a_x / a_y

(the shifts are in units of the image width). :func:`place` solves these for the camera,
:func:`pixel_aspect` for the render settings, which is where Blender keeps the aspect.
"""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import mathutils
import numpy as np

from uni4d_shared.conventions import blender_matrix_from_world_to_camera
from uni4d_shared.types import Camera

from . import compat

__all__ = ["SENSOR_WIDTH", "pixel_aspect", "place", "place_sequence"]

SENSOR_WIDTH = 36.0
"""Millimetres. Any value gives the same picture; this one gives familiar focal lengths in the interface."""


def place(
    camera: Camera,
    *,
    name: str = "Uni4D camera",
    collection: bpy.types.Collection | None = None,
) -> bpy.types.Object:
    """A new Blender camera object that sees what ``camera`` sees; linked to ``collection`` if given."""
    data = bpy.data.cameras.new(name)
    data.sensor_fit = "HORIZONTAL"
    data.sensor_width = SENSOR_WIDTH
    data.lens, data.shift_x, data.shift_y = _lens(camera)
    item = bpy.data.objects.new(name, data)
    item.rotation_mode = "QUATERNION"
    item.matrix_world = _matrix(camera)
    if collection is not None:
        collection.objects.link(item)
    return item


def place_sequence(
    cameras: Sequence[Camera],
    *,
    name: str = "Uni4D views",
    start: int = 1,
    collection: bpy.types.Collection | None = None,
) -> bpy.types.Object:
    """One camera object that is at ``cameras[i]`` on frame ``start + i`` (keyframed, no interpolation)."""
    item = place(cameras[0], name=name, collection=collection)
    frames = np.arange(start, start + len(cameras), dtype=np.float32)
    matrices = [_matrix(camera) for camera in cameras]
    locations = np.array([matrix.to_translation() for matrix in matrices])
    quaternions = np.array([matrix.to_quaternion() for matrix in matrices])
    lenses = np.array([_lens(camera) for camera in cameras])

    new_curve = compat.new_fcurves(item, f"{name} poses")
    for axis, values in enumerate(locations.T):
        compat.set_keyframes(new_curve("location", axis), frames, values, "CONSTANT")
    for axis, values in enumerate(quaternions.T):
        compat.set_keyframes(new_curve("rotation_quaternion", axis), frames, values, "CONSTANT")
    if np.ptp(lenses, axis=0).max() > 0:  # a rig has one lens; other sets of cameras need not
        new_curve = compat.new_fcurves(item.data, f"{name} lenses")
        for path, values in zip(("lens", "shift_x", "shift_y"), lenses.T, strict=True):
            compat.set_keyframes(new_curve(path), frames, values, "CONSTANT")
    return item


def pixel_aspect(camera: Camera) -> tuple[float, float]:
    """``(pixel_aspect_x, pixel_aspect_y)`` of the render settings; Blender wants both ≥ 1."""
    ratio = camera.intrinsics[1, 1] / camera.intrinsics[0, 0]
    return (float(ratio), 1.0) if ratio >= 1.0 else (1.0, float(1.0 / ratio))


def _lens(camera: Camera) -> tuple[float, float, float]:
    """Focal length in millimetres, and the shifts in units of the image width."""
    (focal_x, _, centre_x), (_, focal_y, centre_y), _ = camera.intrinsics
    return (
        SENSOR_WIDTH * focal_x / camera.width,
        0.5 - centre_x / camera.width,
        (centre_y - 0.5 * camera.height) / camera.width * focal_x / focal_y,
    )


def _matrix(camera: Camera) -> mathutils.Matrix:
    return mathutils.Matrix(blender_matrix_from_world_to_camera(camera.world_to_camera).tolist())
