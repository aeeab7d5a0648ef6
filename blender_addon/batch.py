# mypy: disable-error-code="union-attr"
# (the stubs call data None-able and of any kind that Blender guarantees here)
"""The chain without a window, and the files that it leaves.

In ``OUT``: ``views/`` (photographs, ``transforms.json``, ``depth.npz``), ``glb/<uid>.glb``, ``stages/*.u4d``,
``scene.blend``, ``animated.glb``, ``renders4d/mesh_*.png`` and ``splats_*.png``, ``blender.json``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import bpy
import mathutils

from uni4d_shared.codec import read_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import FetchResult, FitResult
from uni4d_shared.types import Camera, ViewSet

from .client import Client
from .generation import Generation, Settings
from .pump import Jobs
from .run import Step
from .run_folder import RunFolder
from .scene import export, rendering
from .scene.placement import Placed, resolve
from .view_files import write_png, write_views

__all__ = ["generate"]

Report = Callable[[str, float, str], None]

_IDLE_SECONDS = 0.02
_MOMENTS = 6
"""Moments of the clip that are rendered."""
_SPLAT_SAMPLES, _SPLAT_LAYERS = 3, 128


def generate(
    prompt: str,
    out: Path,
    endpoint: str,
    control_endpoint: str,
    settings: Settings,
    report: Report,
    *,
    keys: Path | None = None,
) -> None:
    """Run the chain for ``prompt`` in the present, empty scene and write everything into ``out``."""
    if not prompt.strip():
        raise Uni4DError("prompt-empty", "The prompt is empty.", "Try: a teddy bear is dancing.")
    folder = RunFolder(out)
    before = folder.read_json("blender.json").get("seconds", {})
    client = Client(endpoint, control_endpoint, name=f"Blender {bpy.app.version_string}", keys=keys)
    try:
        jobs = Jobs(client)
        report("connect", 0.0, endpoint)
        _wait_until_ready(jobs, report)
        run = Generation(prompt, jobs, settings, store=folder)
        _drive(run, report)
    finally:
        client.close()

    seconds = dict(run.seconds)
    started = time.perf_counter()
    placed, draft = run.placed, run.draft
    if placed is None or draft is None:
        raise RuntimeError("the run ended without a result")
    if not _is_written(folder):
        folder.set_key("files", "")
        _write(folder, placed, draft.animated.clip.camera, settings, report)
        folder.set_key("files", folder.key("fit"))
    else:
        folder.recalled.add("files")
    seconds["files"] = time.perf_counter() - started
    for stage in folder.recalled & before.keys():  # how long it took when it was done
        seconds[stage] = before[stage]
    notes = {
        "blender": bpy.app.version_string,
        "engine": rendering.pick_engine(settings.engine),
        "splat_engine": rendering.splat_engine(settings.engine),
        "seconds": {stage: round(value, 3) for stage, value in seconds.items()},
        "skipped": sorted(folder.recalled),
    }
    (out / "blender.json").write_text(json.dumps(notes, indent=1))
    report("files", 1.0, "done")


def _wait_until_ready(jobs: Jobs, report: Report) -> None:
    """Until the backend's worker has loaded its library: its size is part of the stages' keys."""
    backend = jobs.wait_for_backend()
    while backend.worker == "starting":
        report("connect", 0.5, "the backend is starting")
        time.sleep(0.2)
        jobs.deliver()
        backend = jobs.wait_for_backend()
    if backend.worker == "broken":
        raise Uni4DError("worker-broken", "The backend cannot work.", backend.note)
    report("connect", 1.0, f"{backend.library_size} objects in the library")
    report("connect", 1.0, "ready")


def _drive(run: Generation, report: Report) -> None:
    shown: Step | None = None
    try:
        while run.advance():
            if run.step == shown:
                time.sleep(_IDLE_SECONDS)
                continue
            shown = run.step
            report(shown.stage, shown.fraction, shown.message)
    except BaseException:
        run.cancel()
        time.sleep(_IDLE_SECONDS)  # let the client's thread pass that on
        raise


def _is_written(folder: RunFolder) -> bool:
    wanted = ("scene.blend", "animated.glb", "views/transforms.json", "views/depth.npz", "renders4d")
    return folder.key("files") == folder.key("fit") != "" and all(
        (folder.path / name).exists() for name in wanted
    )


def _write(
    folder: RunFolder, placed: Placed, camera: Camera | None, settings: Settings, report: Report
) -> None:
    out, stages = folder.path, folder.path / "stages"
    report("files", 0.0, "views")
    views = read_file(stages / "views.u4d", ViewSet)
    write_views(out / "views", views)
    fetched = read_file(stages / "fetch.u4d", FetchResult)
    (out / "glb").mkdir(exist_ok=True)
    (out / "glb" / f"{Path(fetched.asset.uid).name}.glb").write_bytes(fetched.glb)

    report("files", 0.1, "scene.blend")
    _save(out / "scene.blend")
    report("files", 0.2, "animated.glb")
    objects = [resolve(name) for name in (placed.armature, *placed.meshes)]
    export.export_animated_glb(objects, out / "animated.glb")

    fps = read_file(stages / "fit.u4d", FitResult).result.fps
    _render_moments(out / "renders4d", placed, camera or views.cameras[0], settings, report, fps)


def _save(path: Path) -> None:
    path.unlink(missing_ok=True)
    bpy.ops.file.pack_all()
    bpy.ops.wm.save_as_mainfile(filepath=str(path.resolve()), compress=True, copy=True)
    if not path.is_file():
        raise Uni4DError("save-failed", f"Blender did not write {path}.", "Check the folder and the disk.")


def _render_moments(
    folder: Path, placed: Placed, camera: Camera, settings: Settings, report: Report, fps: float
) -> None:
    """The animated mesh and the animated splats as Blender shows them, from the clip's camera."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    count = min(_MOMENTS, len(placed.frames))
    moments = [placed.frames[index * len(placed.frames) // count] for index in range(count)]
    cloud = resolve(placed.splats)
    aside, cloud.matrix_world = cloud.matrix_world.copy(), mathutils.Matrix.Identity(4)
    mesh = [resolve(name) for name in placed.meshes]
    kinds = (
        ("mesh", mesh, settings.engine, {"samples": settings.samples}),
        (
            *("splats", [cloud], rendering.splat_engine(settings.engine)),
            {"samples": _SPLAT_SAMPLES, "layers": _SPLAT_LAYERS},
        ),
    )
    for done, (kind, objects, engine, quality) in enumerate(kinds):
        with rendering.Studio(objects, engine=engine, **quality) as studio:
            for index, frame in enumerate(moments):
                seconds = (frame - placed.frames[0]) / fps
                report("files", 0.3 + 0.35 * (done + index / count), f"{kind} at {seconds:.2f} s")
                write_png(folder / f"{kind}_{frame:04d}.png", studio.photograph(camera, frame=frame))
    cloud.matrix_world = aside
