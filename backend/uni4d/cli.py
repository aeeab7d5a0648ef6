"""The ``uni4d`` command."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Annotated

import tyro

from uni4d.commands.common import Command
from uni4d.commands.evaluate import EvaluateCommands
from uni4d.commands.export import Export
from uni4d.commands.generate import Generate
from uni4d.commands.keys import Keys
from uni4d.commands.library import Fetch, LibraryCommands
from uni4d.commands.search import Parse, Search
from uni4d.commands.server import CancelJob, JobStatus, Serve, Stop
from uni4d.commands.stages import Align, Animate, Fit, Render
from uni4d.commands.train import TrainCommands
from uni4d.terminal import stderr
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled

__all__ = ["main"]

_named = tyro.conf.subcommand

Subcommand = (
    Annotated[Generate, _named("generate")]
    | Annotated[LibraryCommands, _named("library")]
    | Annotated[Parse, _named("parse")]
    | Annotated[Search, _named("search")]
    | Annotated[Fetch, _named("fetch")]
    | Annotated[Render, _named("render")]
    | Annotated[Align, _named("align")]
    | Annotated[Animate, _named("animate")]
    | Annotated[Fit, _named("fit")]
    | Annotated[Export, _named("export")]
    | Annotated[EvaluateCommands, _named("evaluate")]
    | Annotated[TrainCommands, _named("train")]
    | Annotated[Serve, _named("serve")]
    | Annotated[Keys, _named("keys")]
    | Annotated[JobStatus, _named("status")]
    | Annotated[CancelJob, _named("cancel")]
    | Annotated[Stop, _named("stop")]
)


_GROUPS = LibraryCommands | EvaluateCommands | TrainCommands


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; 0 done, 1 an error that was explained, 2 wrong usage, 130 cancelled."""
    # Torch's threads would otherwise spin while they wait, beside Blender and the worker, on few cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    chosen = tyro.cli(
        Subcommand,  # type: ignore[arg-type]
        prog="uni4d",
        description="From a sentence to an animated 3D asset. Each stage is a subcommand of its own.",
        args=arguments,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    command: Command = chosen.command if isinstance(chosen, _GROUPS) else chosen
    try:
        result = command.run()
    except Uni4DError as error:
        return _explain(error, command.json)
    except (KeyboardInterrupt, Cancelled):
        stderr.print("cancelled")
        return 130
    if not command.json:
        command.show(result)
    elif text := command.as_json(result):
        print(text)  # noqa: T201
    return 0


def _explain(error: Uni4DError, as_json: bool) -> int:
    if as_json:
        details = {"code": error.code, "message": error.message, "cure": error.cure}
        print(json.dumps({"error": details}, ensure_ascii=False))  # noqa: T201
    stderr.print(f"[bold red]error:[/] {error.message}", markup=True)
    if error.cure:
        stderr.print(f"       {error.cure}", markup=False)
    return 1


if __name__ == "__main__":
    sys.exit(main())
