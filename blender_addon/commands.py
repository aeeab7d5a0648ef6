"""The commands of :mod:`.headless`: their arguments, their progress lines, their errors."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import bpy
import numpy as np

from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Camera

from .scene import compat, meshes, rendering
from .view_files import write_views

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Run a command; 0, or 3 after an error that was reported on stdout."""
    options = _parser().parse_args(arguments)
    try:
        compat.check_version()
        options.run(options)
    except Uni4DError as error:
        _say({"error": {"code": error.code, "message": error.message, "cure": error.cure}})
        return 3
    except KeyboardInterrupt:
        _say({"error": {"code": "interrupted", "message": "Interrupted.", "cure": ""}})
        return 3
    return 0


def report(stage: str, fraction: float, message: str = "") -> None:
    """One progress line."""
    _say({"stage": stage, "fraction": round(fraction, 4), "message": message})


def _say(event: dict[str, object]) -> None:
    sys.stdout.write(f"UNI4D {json.dumps(event)}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, required=True, help="folder for the results")
    common.add_argument("--deps", default="", help="folders with Python packages that Blender lacks")
    common.add_argument("--size", type=int, default=256, help="width and height of the views in pixels")
    common.add_argument("--engine", choices=rendering.ENGINES, default="auto")
    common.add_argument("--samples", type=int, default=rendering.DEFAULT_SAMPLES)
    common.add_argument("--azimuths", type=int, default=8, help="views per ring")
    common.add_argument("--elevations", type=float, nargs="+", default=[15.0, 45.0], help="rings, in degrees")
    common.add_argument("--margin", type=float, default=1.35, help="distance of the object from the border")

    parser = argparse.ArgumentParser(prog="headless.py")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    render = commands.add_parser("render", parents=[common], help="photograph a GLB from all sides")
    render.add_argument("--glb", type=Path, required=True)
    render.set_defaults(run=_render)
    return parser


def _render(options: argparse.Namespace) -> None:
    clear_scene()
    report("render", 0.0, "importing")
    objects = meshes.import_glb(options.glb)
    views = rendering.render_views(
        objects,
        rig(objects, options),
        engine=options.engine,
        samples=options.samples,
        progress=lambda fraction, message: report("render", fraction, message),
    )
    write_views(options.out, views)


def rig(objects: list[bpy.types.Object], options: argparse.Namespace) -> tuple[Camera, ...]:
    """The cameras about ``objects`` that the options ask for."""
    centre, radius = bounding_sphere(np.concatenate([meshes.world_vertices(item) for item in objects]))
    return orbit_rig(
        centre,
        radius,
        azimuths=options.azimuths,
        elevations=[math.radians(angle) for angle in options.elevations],
        size=options.size,
        margin=options.margin,
    )


def clear_scene() -> None:
    """Empty the start-up file: no cube, no light, no camera."""
    for item in tuple(bpy.data.objects):
        bpy.data.objects.remove(item)
