"""The whole chain for one prompt, without a window: a backend, a real Blender with the add-on, and the
files that a person looks at.

Blender (``blender_addon/headless.py generate``) drives the stages and writes what only it can:
views, scene, animated GLB, renders. From the results of the stages this module then writes the clip, the
splats, the contact sheet and the report.
"""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from uni4d import files
from uni4d.config import Config
from uni4d.pipeline.backend_process import Backend, own_backend
from uni4d.pipeline.blender import BlenderCommand, render_arguments, run_headless
from uni4d.pipeline.fidelity import psnr_in_blender
from uni4d.pipeline.report import write_report
from uni4d.pipeline.results import StageResults, files_of_blender
from uni4d.pipeline.sheet import write_sheet
from uni4d_shared.errors import Uni4DError
from uni4d_shared.splats import write_ply_sequence

__all__ = ["generate", "slug"]

ReportStage = Callable[[str, float, str], None]


def slug(prompt: str) -> str:
    """A folder name for a prompt: ``"A teddy bear is dancing!"`` → ``"a-teddy-bear-is-dancing"``."""
    ascii_only = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:60].rstrip("-")
    return words or "prompt-" + hashlib.sha256(prompt.encode()).hexdigest()[:8]


def generate(
    prompt: str,
    folder: Path,
    blender: BlenderCommand,
    config: Config,
    report: ReportStage,
    *,
    engine: str = "auto",
    backend: Backend | None = None,
    settings: Path | None = None,
    program: Path | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Run the chain and leave its files in ``folder``; stages that are done there are not done again.

    ``backend`` is a server that runs already; without it one is started for this run, with the TOML file
    ``settings`` that ``config`` was read from and with the Blender of ``config`` for clips that it films.
    ``program``: a motion program to play instead of the words. ``model``: a video model instead of the
    server's. Returns the report.
    """
    if not prompt.strip():
        raise Uni4DError("prompt-empty", "The prompt is empty.", 'Try "a teddy bear is dancing".')
    started = time.perf_counter()
    _writable(folder)
    own = own_backend(config, settings, folder / "backend.log", folder / "stages" / "unfinished")
    running = nullcontext(backend) if backend else own
    report("backend", 0.0, "starting")
    with running as server:
        report("backend", 1.0, server.endpoint)
        run_headless(
            blender,
            [
                *("generate", "--prompt", prompt, "--out", str(folder)),
                *("--endpoint", server.endpoint, "--control", server.control_endpoint),
                *render_arguments(config.render, engine),
                *(("--program", str(program.resolve())) if program is not None else ()),
                *(("--model", model) if model is not None else ()),
            ],
            log_path=folder / "blender.log",
            expected=files_of_blender(folder),
            report=report,
        )
    results = StageResults.read(folder)
    report("sheet", 0.0, "clip.mp4")
    files.write_clip_mp4(folder / "clip.mp4", results.animate.clip)
    write_ply_sequence(
        folder / "splats", results.fit.result, lambda done, _: report("sheet", 0.8 * done, "splats")
    )
    report("sheet", 0.9, "sheet.png")
    in_blender = psnr_in_blender(folder, results)
    write_sheet(folder, results, in_blender)
    seconds = time.perf_counter() - started
    document = write_report(folder, config, results, seconds, in_blender)
    report("sheet", 1.0, "done")
    return document


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Uni4DError(
            "out-unwritable", f"{folder}: {error}.", "Name another folder with --out."
        ) from error
