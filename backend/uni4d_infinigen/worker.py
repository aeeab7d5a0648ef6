"""A worker process: reads one job a line from standard input, answers each with one line.

A job is JSON with ``factory``, ``seed``, ``name`` and ``path``; the answer has ``faces``, ``bytes``,
``extent``, ``colour`` and ``seconds``, or ``error``. Blender and Infinigen print to standard output, so that
is turned to standard error (the driver's log) and the answers keep the original one.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

MOST_FACES = 12_000


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        job = json.loads(line)
        start = time.process_time()
        limit_cpu_seconds(float(job.get("cpu_seconds", 60)))
        try:
            answer = generate(
                job["factory"], job["seed"], job["name"], Path(job["path"]), job.get("variant", "")
            )
        except Exception as error:
            logging.exception("%s %s", job["factory"], job["seed"])
            answer = {"error": f"{type(error).__name__}: {error}".strip().replace("\n", " ")[:300]}
        answer["seconds"] = round(time.process_time() - start, 2)
        print(json.dumps(answer), file=answers, flush=True)
    return 0


def limit_cpu_seconds(seconds: float) -> None:
    """Let the system end this process when it has worked so long.

    Unlike a clock on the wall this is fair on a busy machine, and it strikes inside Blender's own loops too.
    The driver's wall clock catches workers that only wait.
    """
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def generate(factory: str, seed: int, name: str, path: Path, variant: str = "") -> dict[str, Any]:
    """Make one object and write its GLB; what to say about it."""
    import numpy as np

    from uni4d_infinigen.colours import bake_base_colour, lifted
    from uni4d_infinigen.glb import glb_bytes
    from uni4d_infinigen.spawning import prepare, spawn

    asset, kind = spawn(factory, seed, variant)
    whole = prepare(asset, MOST_FACES)
    corner_colours = bake_base_colour(whole)
    mesh = whole.data
    positions = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", positions)
    positions = positions.reshape(-1, 3)
    corners = np.empty(len(mesh.loops), np.int64)
    mesh.loops.foreach_get("vertex_index", corners)
    materials = np.empty(len(mesh.polygons), np.int64)
    mesh.polygons.foreach_get("material_index", materials)
    # A vertex on the border of two materials is split, so that their colours do not run into each other.
    key = corners * (materials.max() + 1) + np.repeat(materials, 3)
    split, faces = np.unique(key, return_inverse=True)
    uses = np.bincount(faces)
    colours = np.stack([np.bincount(faces, corner_colours[:, band]) / uses for band in range(3)], axis=1)
    colours = lifted(colours)
    vertices = positions[split // (materials.max() + 1)]
    data = glb_bytes(vertices, colours, faces.reshape(-1, 3), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    unfinished.write_bytes(data)
    unfinished.replace(path)
    return {
        **({"variant": kind} if kind else {}),
        "faces": len(mesh.polygons),
        "bytes": len(data),
        "extent": np.round(vertices.max(axis=0) - vertices.min(axis=0), 4).tolist(),
        "colour": np.round(colours.mean(axis=0), 3).tolist(),
        "colour_spread": round(float(colours.std(axis=0).max()), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
