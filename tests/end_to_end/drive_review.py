"""Runs inside Blender, against a real backend: up to the clip, another clip from an edited program, the fit;
then the same with a video from elsewhere.

Arguments: DEPENDENCIES ENDPOINT CONTROL FOLDER; in FOLDER lies ``video.mp4``. Writes the two clips into
``FOLDER/clips.npz`` and prints one line ``REVIEWED {json}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np

given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
sys.path.append(str(Path(__file__).parents[2]))

from blender_addon import dependencies  # noqa: E402

dependencies.ensure([Path(given[0])])


def wait_for_models(jobs: Any) -> dict[str, str]:
    """Each video model of the backend, and what it lacks."""
    from uni4d_shared.messages import VideoModelsRequest

    pending = jobs.submit(VideoModelsRequest())
    while not pending.done:
        jobs.deliver()
        time.sleep(0.02)
    return {model.name: model.problem for model in pending.result().models}


def main() -> dict[str, Any]:
    import addon_utils

    addon_utils.enable("blender_addon", default_set=True)
    from blender_addon import session

    context: Any = bpy.context
    preferences = context.preferences.addons["blender_addon"].preferences
    preferences.endpoint, preferences.control_endpoint, preferences.review = given[1], given[2], True
    state, operators = context.window_manager.uni4d, bpy.ops.uni4d  # type: ignore[attr-defined]
    motion = context.scene.uni4d_motion
    state.prompt, state.size, state.engine = "a red ball is bouncing", 96, "workbench"
    operators.connect()
    models = wait_for_models(session.current().jobs)
    operators.generate()
    first = session.current().draft
    report: dict[str, Any] = {"words": [track.verb for track in motion.tracks], "models": models}
    motion.tracks[0].verb = "slide"
    motion.tracks[0].amplitude = 0.3
    motion.tracks[0].direction = "UP"
    operators.track_add(verb="blink")
    operators.animate_again()
    second = session.current().draft
    report["played"] = second.animated.program["tracks"]
    report["armatures"] = len(bpy.data.armatures)
    motion.tracks[0].start = motion.tracks[0].stop = 0.5
    try:
        operators.animate_again()
    except RuntimeError as error:
        report["refused"] = str(error)
    report["kept"] = session.current().draft is second
    operators.fit_clip()
    report["note"] = session.current().note
    report["meshes"] = [
        item.parent.type
        for item in bpy.data.objects
        if item.name.startswith("red ball") and item.type == "MESH" and item.parent
    ]
    np.savez(
        Path(given[3]) / "clips.npz", first=first.animated.clip.frames, second=second.animated.clip.frames
    )
    operators.use_video(filepath=str(Path(given[3]) / "video.mp4"))
    report["video"] = session.current().draft.animated.program["notes"]
    operators.fit_clip()
    report["findings"] = session.current().findings
    report["carriers"] = [item.name for item in bpy.data.objects if item.type == "ARMATURE"]
    return report


print("REVIEWED " + json.dumps(main()), flush=True)  # noqa: T201
