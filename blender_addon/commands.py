"""The commands of :mod:`.headless`: their arguments, their progress lines, their errors."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import bpy
from attrs import evolve

from uni4d_shared.errors import Uni4DError
from uni4d_shared.transport import CONTROL_ENDPOINT, WORK_ENDPOINT

from . import batch, sequences
from .generation import Settings, rig
from .prompt_list import read_list, read_program
from .scene import compat, export, meshes, rendering
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
    chain = argparse.ArgumentParser(add_help=False)
    chain.add_argument("--endpoint", default=WORK_ENDPOINT, help="the backend's work socket")
    chain.add_argument("--control", default=CONTROL_ENDPOINT, help="the backend's control socket")
    chain.add_argument("--keys", type=Path, help="folder of CURVE keys, for a backend elsewhere")
    chain.add_argument("--top", type=int, default=5, help="hits to ask for")
    chain.add_argument("--seed", type=int, default=0)
    chain.add_argument("--model", default="", help="the video model, instead of the backend's choice")
    generate = commands.add_parser(
        "generate", parents=[common, chain], help="the whole chain for one prompt, or for a list of them"
    )
    what = generate.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt")
    what.add_argument("--list", type=Path, help="JSON list of prompts or items; see prompt_list.py")
    generate.add_argument("--uid", default="", help="take this hit instead of the best one")
    generate.add_argument("--program", type=Path, help="motion program (JSON) to play instead of the words")
    generate.set_defaults(run=_generate)
    sequences.add_command(commands, common, report)
    usd = commands.add_parser("usd", help="write an animated GLB as USD")
    usd.add_argument("--glb", type=Path, required=True)
    usd.add_argument("--out", type=Path, required=True, help="the file: .usdc, .usda or .usd")
    usd.add_argument("--fps", type=float, default=24.0, help="samples a second")
    usd.add_argument("--deps", default="", help="folders with Python packages that Blender lacks")
    usd.set_defaults(run=_usd)
    return parser


def _usd(options: argparse.Namespace) -> None:
    report("usd", 0.0, "converting")
    export.usd_from_animated_glb(options.glb, options.out, options.fps)


def _render(options: argparse.Namespace) -> None:
    clear_scene()
    report("render", 0.0, "importing")
    objects = meshes.import_glb(options.glb)
    views = rendering.render_views(
        objects,
        rig(meshes.rest_vertices(objects), _settings(options)),
        engine=options.engine,
        samples=options.samples,
        progress=lambda fraction, message: report("render", fraction, message),
    )
    write_views(options.out, views)


def _generate(options: argparse.Namespace) -> None:
    settings = _settings(options)
    if options.program is not None:
        settings = evolve(settings, program=read_program(options.program))
    if options.list is None:
        _generate_one(options, options.prompt, options.out, settings)
        return
    items = read_list(options.list)
    failed: list[Uni4DError] = []
    for number, item in enumerate(items):
        report("item", number / len(items), item.name)
        try:
            _generate_one(options, item.prompt, options.out / item.name, item.settings(settings))
        except Uni4DError as error:
            report("failed", number / len(items), f"{item.name}: {error}")
            failed.append(error)
    report("item", 1.0, f"{len(items) - len(failed)} of {len(items)} done")
    if failed:
        first = failed[0]
        message = f"{len(failed)} of {len(items)} items failed, the first: {first.message}"
        raise Uni4DError(first.code, message, first.cure)


def _generate_one(options: argparse.Namespace, prompt: str, out: Path, settings: Settings) -> None:
    clear_scene()
    batch.generate(prompt, out, options.endpoint, options.control, settings, report, keys=options.keys)


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        top=getattr(options, "top", 5),
        uid=getattr(options, "uid", ""),
        size=options.size,
        azimuths=options.azimuths,
        elevations=tuple(options.elevations),
        margin=options.margin,
        engine=options.engine,
        samples=options.samples,
        seed=getattr(options, "seed", 0),
        model=getattr(options, "model", ""),
        own_scene=True,
    )


def clear_scene() -> None:
    """Empty the scene: no cube, no light, no camera, and nothing of the run before."""
    for item in tuple(bpy.data.objects):
        bpy.data.objects.remove(item)
    for home in tuple(bpy.data.collections):
        bpy.data.collections.remove(home)
    bpy.data.orphans_purge(do_recursive=True)
