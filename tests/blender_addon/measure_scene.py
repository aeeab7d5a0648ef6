"""Runs inside Blender: places a 4D result and measures what Blender makes of it.

Arguments: DEPENDENCIES FOLDER, with ``toy.glb`` and ``result.u4d``. Writes ``FOLDER/measured.npz``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
sys.path.append(str(Path(__file__).parents[2]))

from blender_addon import dependencies  # noqa: E402

dependencies.ensure([Path(given[0])])
FOLDER = Path(given[1])

from blender_addon.scene import animation, cameras, meshes, splats  # noqa: E402
from blender_addon.scene.rendering import Studio  # noqa: E402
from uni4d_shared.cameras import look_at  # noqa: E402
from uni4d_shared.codec import read_file  # noqa: E402
from uni4d_shared.types import Camera, Gaussians4D  # noqa: E402

ODD_CAMERA = Camera(
    look_at([0.9, -1.4, 0.8], [0.0, 0.0, 0.3]),
    np.array([[150.0, 0.0, 60.0], [0.0, 180.0, 35.0], [0.0, 0.0, 1.0]]),
    width=110,
    height=90,
)
"""Off-centre, not square, with two focal lengths: everything that a pinhole can have."""


def main() -> None:
    scene: Any = bpy.context.scene
    for item in tuple(bpy.data.objects):
        bpy.data.objects.remove(item)
    result = read_file(FOLDER / "result.u4d", Gaussians4D)
    objects = meshes.import_glb(FOLDER / "toy.glb")
    before = (scene.render.engine, scene.render.resolution_x, scene.render.filepath, len(bpy.data.scenes))
    with Studio(objects, engine="cycles", samples=16) as studio:
        image = studio.photograph(ODD_CAMERA)
        depth = studio.depth(ODD_CAMERA, image[..., 3] > 0)
    after = (scene.render.engine, scene.render.resolution_x, scene.render.filepath, len(bpy.data.scenes))

    armature = animation.place_motion(objects, result)
    armature.location = (0.5, -0.25, 0.125)
    cloud = splats.place_splats(result)
    lens = cameras.place_sequence([ODD_CAMERA, ODD_CAMERA], collection=scene.collection)
    vertices, centres, axes = [], [], []
    for frame in range(1, len(result.motion.rotations) + 1):
        scene.frame_set(frame)
        graph = bpy.context.evaluated_depsgraph_get()
        vertices.append(meshes.world_triangles(objects, graph)[0])
        placed = [
            np.array(instance.matrix_world)
            for instance in graph.object_instances
            if instance.is_instance and instance.parent and instance.parent.original == cloud
        ]
        centres.append(np.array([matrix[:3, 3] for matrix in placed]))
        axes.append(np.array([matrix[:3, :3] for matrix in placed]))
    widened = splats.place_splats(result, camera=ODD_CAMERA)
    graph = bpy.context.evaluated_depsgraph_get()
    wide_axes = [
        np.array(instance.matrix_world)[:3, :3]
        for instance in graph.object_instances
        if instance.is_instance and instance.parent and instance.parent.original == widened
    ]
    np.savez(
        FOLDER / "measured.npz",
        wide_axes=wide_axes,
        vertices=vertices,
        centres=centres,
        axes=axes,
        image=image,
        depth=depth,
        untouched=before == after,
        camera=np.array(lens.matrix_world),
    )


main()
