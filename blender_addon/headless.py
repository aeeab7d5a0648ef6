"""Uni4D without a window: photograph a mesh, or run the whole chain for a prompt.

    blender -b --factory-startup --python-exit-code 3 --python blender_addon/headless.py -- COMMAND …
    python blender_addon/headless.py COMMAND …                 (a Python that has the ``bpy`` module)

Progress goes to stdout, one line per event: ``UNI4D {"stage": …, "fraction": …, "message": …}``; an error is
``UNI4D {"error": {"code": …, "message": …, "cure": …}}`` and exit code 3.

This file only finds its package and its dependencies; the commands are in :mod:`.commands`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # an embedded Python does not set it
    folder = Path(__file__).resolve().parent
    package = __package__ or folder.name
    if not __package__:
        sys.path.append(str(folder.parent))

    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--deps", default="")
    known, _ = finder.parse_known_args(arguments)
    try:
        importlib.import_module(f"{package}.dependencies").ensure(
            Path(part).resolve() for part in known.deps.split(os.pathsep) if part
        )
    except ImportError as error:
        line = {"error": {"code": "dependency-missing", "message": str(error), "cure": ""}}
        sys.stdout.write(f"UNI4D {json.dumps(line)}\n")
        sys.stdout.flush()
        return 3
    return int(importlib.import_module(f"{package}.commands").main(arguments))


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    code = main(given)
    if code:
        sys.exit(code)
