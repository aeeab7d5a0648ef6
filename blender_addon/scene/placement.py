# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""The last stage: a 4D result into the scene, as an animated mesh, animated splats, and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy
import mathutils
import numpy as np
from attrs import frozen

from uni4d_shared.skinning import vertices_at
from uni4d_shared.types import Camera, Gaussians4D

from . import animation, assets, cameras, lighting, splats, timeline

__all__ = ["Placed", "place", "resolve"]


@frozen
class Placed:
    """Names of what was placed; Blender data itself would not survive an undo."""

    meshes: tuple[str, ...]
    armature: str
    splats: str
    clip_camera: str
    views: str
    frames: tuple[int, ...]
    """The scene frame of each clip frame."""


def place(
    mark: str,
    result: Gaussians4D,
    views: Sequence[Camera],
    clip_camera: Camera | None,
    *,
    title: str,
    own_scene: bool,
) -> Placed:
    """Animate the asset of ``mark`` with ``result`` and put its splats beside it.

    The mesh stays where the user has put it. ``own_scene``: the scene was made for this result, and takes
    the clip's rate, length, light and camera; else only the preview range is set, to loop the clip.
    """
    scene: Any = bpy.context.scene
    objects, home = assets.objects(mark), assets.collection(mark)
    if own_scene:
        timeline.set_rate(scene, result.fps)
    count = len(result.motion.rotations)
    times = timeline.of_scene(scene, result.fps)

    spot = objects[0].matrix_world.copy()
    armature = animation.place_motion(objects, result, timeline=times, name=title, collection=home)
    armature.matrix_world = spot
    lighting.place_light(objects, result, timeline=times)
    cloud = splats.place_splats(
        result,
        camera=clip_camera or views[0],
        timeline=times,
        name=f"{title} (splats)",
        collection=home,
    )
    cloud.matrix_world = spot @ mathutils.Matrix.Translation((_width(result), 0.0, 0.0))

    rig = cameras.place_sequence(views, name="Uni4D views", start=times.start, collection=home)
    lens = cameras.place(clip_camera or views[0], name="Uni4D clip camera", collection=home)
    for camera in (rig, lens):
        camera.parent = armature
    _set_range(scene, times.start, times.last(count), own_scene)
    if own_scene:
        _furnish(scene, lens)
    scene.frame_set(times.start)
    return Placed(
        tuple(item.name for item in objects),
        armature.name,
        cloud.name,
        lens.name,
        rig.name,
        tuple(round(frame) for frame in times.frames(count)),
    )


def resolve(name: str) -> bpy.types.Object:
    """The object of a name in :class:`Placed`."""
    return bpy.data.objects[name]


def _width(result: Gaussians4D) -> float:
    """How far to the side the splats must stand so as to be clear of the mesh at every moment."""
    moments = [vertices_at(result, frame)[:, 0] for frame in range(len(result.motion.rotations))]
    return 1.1 * float(np.max(moments) - np.min(moments))


def _set_range(scene: bpy.types.Scene, first: int, last: int, own_scene: bool) -> None:
    if own_scene:
        scene.frame_start, scene.frame_end = first, last
    else:
        scene.use_preview_range = True
        scene.frame_preview_start, scene.frame_preview_end = first, last


def _furnish(scene: bpy.types.Scene, camera: bpy.types.Object) -> None:
    """Even light and the clip's camera, so that the scene renders well as it is."""
    scene.camera = camera
    size = 512
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "Standard"
    world = scene.world or bpy.data.worlds.new("World")
    scene.world = world
    if not world.use_nodes:  # always on from 5.0
        world.use_nodes = True
    for node in world.node_tree.nodes:
        if node.type == "BACKGROUND":
            node.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
            node.inputs["Strength"].default_value = 1.0
