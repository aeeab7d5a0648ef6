"""Runs inside a Blender window: opens the sidebar, then does what the test tells it to.

Arguments: DEPENDENCIES ENDPOINT CONTROL FOLDER. The test writes ``FOLDER/order``, the name of an operator of
the add-on (or ``review``, which ticks the box, ``track_add VERB``, ``use_video FILE``, ``quit``); this script
starts it from a timer, as a click would. With every beat it reports the session in ``FOLDER/state.json``, and
the longest time for which the window stood still.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy

given = sys.argv[sys.argv.index("--") + 1 :]
sys.path.append(str(Path(__file__).parents[2]))

from blender_addon import dependencies  # noqa: E402

dependencies.ensure([Path(given[0])])
FOLDER = Path(given[3])
BEAT_SECONDS = 0.05
drawn = {"panel": 0}
beats = {"last": time.monotonic(), "longest": 0.0}


def prepare() -> None:
    import addon_utils

    context: Any = bpy.context
    context.preferences.view.show_splash = False
    addon_utils.enable("blender_addon", default_set=True)
    preferences = context.preferences.addons["blender_addon"].preferences
    preferences.endpoint, preferences.control_endpoint = given[1], given[2]
    state = context.window_manager.uni4d
    state.prompt, state.size = "a toy box is dancing", 96
    count_draws()
    bpy.app.timers.register(beat, first_interval=0.5)


def count_draws() -> None:
    """Know when the panel is seen: Blender draws only what is on the screen."""
    from blender_addon.ui.panels import VIEW3D_PT_uni4d

    draw = VIEW3D_PT_uni4d.draw

    def counted(self: Any, context: Any) -> None:
        drawn["panel"] += 1
        draw(self, context)

    VIEW3D_PT_uni4d.draw = counted  # type: ignore[method-assign]


def show_sidebar() -> Any:
    """Open the 3D view's sidebar; its region."""
    manager: Any = bpy.context.window_manager
    for area in manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True
            return next(region for region in area.regions if region.type == "UI")
    raise RuntimeError("there is no 3D view")


def beat() -> float | None:
    from blender_addon import playback, session

    now = time.monotonic()
    beats["longest"] = max(beats["longest"], now - beats["last"])
    region, current = show_sidebar(), session.current()
    manager: Any = bpy.context.window_manager
    scene = manager.windows[0].scene
    order = FOLDER / "order"
    if order.exists():
        name = order.read_text()
        order.unlink()
        if name == "quit":
            bpy.ops.wm.quit_blender()
            return None
        beats["longest"] = 0.0
        start(name)
    report = {
        "sidebar": [region.x, region.y, region.width, region.height],
        "connected": current.connected,
        "running": current.step.stage if current.step else "",
        "note": current.note,
        "error": str(current.error or ""),
        "hits": len(current.found.hits) if current.found else 0,
        "drawn": drawn["panel"],
        "longest": beats["longest"],
        "motions": [track.verb for track in scene.uni4d_motion.tracks],
        "clip_frame": playback.current().frame,
        "models": len(current.models.models) if current.models else 0,
        "objects": [item.name for item in bpy.data.objects],
    }
    temporary = FOLDER / "state.tmp"
    temporary.write_text(json.dumps(report))
    temporary.replace(FOLDER / "state.json")
    beats["last"] = time.monotonic()
    return BEAT_SECONDS


def start(name: str) -> None:
    manager: Any = bpy.context.window_manager
    operators: Any = bpy.ops.uni4d  # type: ignore[attr-defined]
    with bpy.context.temp_override(window=manager.windows[0]):
        if name == "review":
            bpy.context.preferences.addons["blender_addon"].preferences.review = True  # type: ignore[union-attr]
        elif name.startswith("track_add "):
            operators.track_add("EXEC_DEFAULT", True, verb=name.split()[1])  # True: with a step to undo
        elif name.startswith("use_video "):
            operators.use_video(filepath=name.removeprefix("use_video "))
        else:
            getattr(operators, name)()


prepare()
