"""Runs inside Blender without a window: the panel's operators in turn, and what they leave.

Arguments: DEPENDENCIES ENDPOINT CONTROL. Prints one line ``DRIVEN {json}``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy

given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
sys.path.append(str(Path(__file__).parents[2]))

from blender_addon import dependencies  # noqa: E402

dependencies.ensure([Path(given[0])])


def attempt(operator: Any, **options: Any) -> str:
    """The operator's result, or the error that it reports."""
    try:
        return ",".join(operator(**options))
    except RuntimeError as error:
        return str(error)


def review(operators: Any, preferences: Any, session: Any) -> dict[str, Any]:
    """Generate up to the clip, edit its program, make the clip again, and go on."""
    scene: Any = bpy.context.scene
    motion = scene.uni4d_motion
    from uni4d_shared.messages import VideoModelInfo, VideoModelsResult

    report: dict[str, Any] = {}
    preferences.review = True
    bpy.context.window_manager.uni4d.engine = "workbench"  # type: ignore[union-attr]
    placed = len(bpy.data.armatures)
    report["generate"] = attempt(operators.generate)
    report["waits"] = len(bpy.data.armatures) == placed
    report["note"] = session.note
    report["shown"] = [(track.verb, track.cycles, track.direction) for track in motion.tracks]
    report["add"] = attempt(operators.track_add, verb="spin")
    motion.track.period = 0.25
    motion.track.direction = "DOWN"
    report["angle"] = motion.track.angle
    report["up"] = attempt(operators.track_move, up=True)
    report["again"] = attempt(operators.animate_again)
    motion.tracks[1].verb = "jump"
    motion.tracks[1].start = 0.5
    report["remade"] = [track.verb for track in motion.tracks]
    report["vary"] = attempt(operators.vary_motion)
    motion.tracks.clear()
    report["empty"] = attempt(operators.animate_again)
    report["reset"] = attempt(operators.motion_reset)
    report["kept"] = [track.verb for track in motion.tracks]
    motion.model = "wan"
    motion.seed = 7
    report["painted"] = attempt(operators.animate_again)
    report["still"] = [track.verb for track in motion.tracks]
    motion.model = "backend"
    lacking = VideoModelInfo("wan", "Wan", False, True, "It needs CUDA.", "Use another machine.")
    session.models = VideoModelsResult((lacking,), "wan")
    report["lacking"] = attempt(operators.generate)
    session.models = None
    report["fit"] = attempt(operators.fit_clip)
    report["placed"] = len(bpy.data.armatures) - placed
    report["video"] = own_video(operators, preferences, session)
    session.draft = None  # as after the file was saved and opened again
    report["taken_up"] = attempt(operators.animate_again)
    report["disconnected"] = attempt(operators.disconnect)
    report["offline"] = attempt(operators.track_remove)
    report["left"] = [track.verb for track in motion.tracks]
    report["nobody"] = attempt(operators.animate_again)
    return report


def own_video(operators: Any, preferences: Any, session: Any) -> dict[str, Any]:
    """A file in the clip's place: looked at, fitted, and the two in one go for another object."""
    from blender_addon.ui.clip import describe

    state: Any = bpy.context.window_manager.uni4d  # type: ignore[union-attr]
    report: dict[str, Any] = {}
    placed = len(bpy.data.armatures)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "walk.mp4"
        report["missing"] = attempt(operators.use_video, filepath=str(path))
        path.write_bytes(b"a film")
        report["use"] = attempt(operators.use_video, filepath=str(path), fps=8.0, start=0.5)
        report["note"], report["described"] = session.note, describe(session)
        report["notes"] = session.draft.animated.program["notes"]
        report["waits"] = len(bpy.data.armatures) == placed
        report["fit"] = attempt(operators.fit_clip)
        report["findings"] = session.findings
        preferences.review, state.prompt = False, "another toy box is dancing"
        operators.search()
        operators.choose(index=1)
        report["at_once"] = attempt(operators.use_video, filepath=str(path))
    report["placed"] = len(bpy.data.armatures) - placed
    report["armatures"] = [item.name for item in bpy.data.objects if item.type == "ARMATURE"]
    preferences.review, state.prompt = True, "a toy box is dancing"
    return report


def main(endpoint: str, control: str) -> dict[str, Any]:
    import addon_utils  # there once bpy is

    addon_utils.enable("blender_addon", default_set=True)
    from blender_addon import session

    addons: Any = bpy.context.preferences.addons  # type: ignore[union-attr]
    preferences = addons["blender_addon"].preferences
    state = bpy.context.window_manager.uni4d  # type: ignore[union-attr]
    report: dict[str, Any] = {"unconnected": attempt(bpy.ops.uni4d.search)}  # type: ignore[attr-defined]
    operators: Any = bpy.ops.uni4d  # type: ignore[attr-defined]
    preferences.endpoint, preferences.control_endpoint = endpoint, control
    report["connect"] = attempt(operators.connect)
    state.prompt = "   "
    report["empty"] = attempt(operators.search)
    state.prompt, state.size = "a toy box is dancing", 64
    report["search"] = attempt(operators.search)
    report["more"] = attempt(operators.more_like, index=2)
    report["choose"] = attempt(operators.choose, index=1)
    choose: Any = bpy.types.Operator.bl_rna_get_subclass_py("UNI4D_OT_choose")
    report["tooltip"] = choose.description(bpy.context, SimpleNamespace(index=1))
    report["import"] = attempt(operators.import_hit)
    imported = next(item for item in bpy.data.objects if item.name.startswith("Toy box"))
    imported.location.x = 2.0  # the artist puts it somewhere; there it must stay
    frame_end = bpy.context.scene.frame_end  # type: ignore[union-attr]
    report["generate"] = attempt(operators.generate)
    armature: Any = imported.parent
    scene: Any = bpy.context.scene
    report["parent"] = armature.type
    report["place"] = list(armature.matrix_world.translation)
    report["scenes"] = [other.name for other in bpy.data.scenes]
    report["range"] = [scene.frame_end == frame_end, scene.use_preview_range, scene.frame_preview_end]
    report["splats"] = sum(item.modifiers.get("Uni4D splats") is not None for item in bpy.data.objects)
    report["note"] = session.current().note
    report["review"] = review(operators, preferences, session.current())
    addon_utils.disable("blender_addon", default_set=True)
    report["left"] = [name for name in dir(bpy.types) if "uni4d" in name.lower()]
    report["property_left"] = hasattr(bpy.types.WindowManager, "uni4d")
    return report


print("DRIVEN " + json.dumps(main(given[1], given[2])), flush=True)  # noqa: T201
