"""Runs inside Blender: places a result that lights up and one that fades, and photographs them.

Arguments: DEPENDENCIES FOLDER, with ``toy.glb``, ``glowing.u4d`` and ``fading.u4d``. Writes
``FOLDER/light.npz`` and, of the first, ``FOLDER/animated.glb``.
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

from blender_addon.scene import animation, export, lighting, meshes  # noqa: E402
from blender_addon.scene.rendering import Studio  # noqa: E402
from uni4d_shared.cameras import orbit_rig  # noqa: E402
from uni4d_shared.codec import read_file  # noqa: E402
from uni4d_shared.types import Gaussians4D  # noqa: E402

(CAMERA,) = orbit_rig([0.0, 0.0, 0.3], 0.5, azimuths=1, elevations=(0.1,), size=48)


def photographs(objects: Any, count: int) -> Any:
    with Studio(objects, engine="cycles", samples=16) as studio:
        return np.stack([studio.photograph(CAMERA, frame=frame) for frame in range(1, count + 1)])


def main() -> None:
    for item in tuple(bpy.data.objects):
        bpy.data.objects.remove(item)
    objects = meshes.import_glb(FOLDER / "toy.glb")
    names: list[list[str]] = []
    shown = {}
    for name in ("glowing", "fading"):  # the second takes the place of the first
        result = read_file(FOLDER / f"{name}.u4d", Gaussians4D)
        armature = animation.place_motion(objects, result)
        lighting.place_light(objects, result)
        names.append([slot.material.name for item in objects for slot in item.material_slots])
        shown[name] = photographs(objects, len(result.motion.rotations))
        if name == "glowing":
            scene: Any = bpy.context.scene
            scene.frame_start, scene.frame_end = 1, len(result.motion.rotations)
            export.export_animated_glb([armature, *objects], FOLDER / "animated.glb")
    np.savez(FOLDER / "light.npz", first=names[0], second=names[1], **shown)


main()
