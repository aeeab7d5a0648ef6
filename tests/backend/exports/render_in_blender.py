"""Run inside a Blender: the add-on places the splats of a result and photographs them with Cycles.

    … render_in_blender.py DEPENDENCIES FOLDER FRAME

``FOLDER`` holds ``result.u4d`` and ``transforms.json`` with one camera; ``photographed.npz`` is written
there, with the picture of the splats as they are (``sharp``) and widened by that camera's pixels
(``widened``)."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np

given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
sys.path.append(str(Path(__file__).parents[3]))

from blender_addon import dependencies  # noqa: E402

dependencies.ensure([Path(given[0])])
FOLDER = Path(given[1])

from blender_addon.scene import splats  # noqa: E402
from blender_addon.scene.rendering import Studio  # noqa: E402
from uni4d_shared.cameras import read_transforms  # noqa: E402
from uni4d_shared.codec import read_file  # noqa: E402
from uni4d_shared.types import Gaussians4D  # noqa: E402

for item in tuple(bpy.data.objects):
    bpy.data.objects.remove(item)
result = read_file(FOLDER / "result.u4d", Gaussians4D)
(camera,), _ = read_transforms(FOLDER / "transforms.json")
pictures = {}
for name, lens in (("sharp", None), ("widened", camera)):
    cloud = splats.place_splats(result, camera=lens)
    with Studio([cloud], engine="cycles", samples=8, layers=128) as studio:
        pictures[name] = studio.photograph(camera, frame=int(given[2]) + 1)  # a timeline begins at 1
    bpy.data.objects.remove(cloud)
np.savez(FOLDER / "photographed.npz", **pictures)
