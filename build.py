#!/usr/bin/env python3
"""The one entry point for a person with a fresh clone: set up, try, test and package Uni4D.

Needs nothing but Python; what it installs stays in this folder (``.venv``, ``.venv-bpy``, ``.cache``) and in
the user's cache folder. The steps themselves are in ``backend/uni4d_setup``. This file keeps to the syntax
of Python 3.8, so that an old Python ends with a clear sentence and not with a syntax error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
DEFAULT_PROMPT = "a teddy bear is dancing"

EXAMPLES = """
examples:
  python3 build.py demo                                the default sentence: "a teddy bear is dancing"
  python3 build.py demo "an old biplane flies in circles"
  python3 build.py demo "a desk lamp is nodding" --blender /opt/blender-5.2/blender
  python3 build.py demo "a chair is spinning" --library ~/my-meshes
  python3 build.py test --quick                        the inner loop, under three minutes
  python3 build.py test tests/shared -k codec          what follows goes to pytest
  python3 build.py addon                               the archives to install in Blender, in dist/

The first run downloads about 1.5 GB (PyTorch, models, meshes); later runs take what is there.
"""


def use_new_python() -> None:
    """Start again under a Python that is new enough, or say which one is needed."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    for minor in (11, 12, 13, 14):
        program = shutil.which("python3.%d" % minor)  # noqa: UP031
        if program and subprocess.run([program, "-c", ""], check=False).returncode == 0:
            os.execv(program, [program, str(Path(__file__).resolve()), *sys.argv[1:]])  # noqa: S606
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        f"error: Uni4D needs Python 3.11 or newer; this is Python {found} ({sys.executable}), "
        "and no python3.11 … python3.14 is on PATH.\n"
        "Install one: `apt-get install python3.11 python3.11-venv` on Debian 12, or from python.org."
    )


def parse_arguments(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The chosen subcommand's options, and the rest, which ``demo`` and ``test`` hand on."""
    parser = argparse.ArgumentParser(
        prog="build.py",
        description="Uni4D: a sentence becomes an animated 3D asset in Blender.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=summary, description=summary, allow_abbrev=False)

    demo = add("demo", "From a sentence to out/NAME/: scene, animated mesh, splats, clip, sheet, report.")
    demo.add_argument("prompt", nargs="?", default=DEFAULT_PROMPT, help='default: "%(default)s"')
    demo.add_argument("--blender", help="a Blender, 3.4 or newer; default: on PATH, else the bpy module")
    demo.add_argument("--library", type=Path, help="a folder of meshes, instead of the Sweet Home 3D library")
    demo.add_argument("--out", type=Path, help="output folder; default: out/ and the prompt's words")
    demo.add_argument("--engine", help="auto (default), cycles, workbench or eevee")

    test = add("test", "Install what the tests need, check the code and run the tests; more goes to pytest.")
    extent = test.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="no Blender, no slow tests; under 3 minutes")
    extent.add_argument("--all", action="store_true", help="also the newest Blender, and what takes minutes")

    setup = add("setup", "Only install: the backend's environment, and what the flags name.")
    setup.add_argument("--bpy", action="store_true", help="Blender as a Python module, in .venv-bpy")
    setup.add_argument("--blender", metavar="PATH", help="the add-on's packages for this Blender's Python")
    setup.add_argument("--newest-blender", action="store_true", help="the newest Blender, from Debian sid")

    generated = add("objects", "Make coloured objects with Infinigen to train on, as GLB with names; slow.")
    generated.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="what is there is kept")
    generated.add_argument("--seeds", type=int, default=16, help="objects of each kind; default: %(default)s")
    generated.add_argument("--processes", type=int, default=1, help="default: %(default)s")

    add("addon", "Make the archives that Blender installs, in dist/.")
    add("check", "Lint, format, types and the three components' import rules.")
    add("bench", "Measure; prints the numbers that the README quotes.")
    add("where", "Print where the interpreters, Blenders and caches are.")
    clean = add("clean", "Remove what build.py made in this folder.")
    clean.add_argument("--cache", action="store_true", help="also the user's cache: library, newest Blender")

    options, rest = parser.parse_known_args(arguments)
    if rest and options.command not in ("demo", "test"):
        commands.choices[options.command].error("unknown: " + " ".join(rest))
    return options, rest


def main() -> int:
    use_new_python()
    sys.path.insert(0, str(ROOT / "backend"))
    from uni4d_setup import generated_objects, tasks
    from uni4d_setup.console import stop_on_signals
    from uni4d_setup.errors import SetupError

    options, rest = parse_arguments(sys.argv[1:])
    stop_on_signals()
    start = time.monotonic()
    try:
        if options.command == "demo":
            code = tasks.demo(
                options.prompt, options.blender, options.library, options.out, options.engine, rest
            )
        elif options.command == "test":
            return tasks.test(options.quick, options.all, rest)
        elif options.command == "setup":
            code = tasks.setup(options.bpy, options.blender, options.newest_blender)
        elif options.command == "objects":
            code = generated_objects.objects(options.out, options.seeds, options.processes)
        elif options.command == "clean":
            code = tasks.clean(options.cache)
        else:
            plain = {"addon": tasks.addon, "bench": tasks.bench, "check": tasks.check, "where": tasks.where}
            code = plain[options.command]()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    if options.command != "where":
        print(f"  {options.command}: {'done' if code == 0 else 'failed'} in {time.monotonic() - start:.1f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
