"""``uni4d parse`` and ``uni4d search``: from words to assets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import attrs
import tyro
from attrs import define
from rich.table import Table

from uni4d.commands.common import Command
from uni4d.pipeline import Stages
from uni4d.terminal import stdout
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

__all__ = ["Parse", "Search"]


@define(kw_only=True)
class Parse(Command):
    """Take a prompt apart into what the object is and what it does."""

    prompt: tyro.conf.Positional[str]

    def run(self) -> dict[str, str]:
        from uni4d.retrieval.query import parse

        return attrs.asdict(parse(self.prompt))

    def show(self, result: dict[str, str]) -> None:
        stdout.print(f"object: {result['object_text']}\nmotion: {result['motion_text'] or '(none)'}")


@define(kw_only=True)
class Search(Command):
    """Find the assets that fit a prompt, e.g. uni4d search "a teddy bear is dancing" --top 5."""

    prompt: tyro.conf.Positional[str] = ""
    top: int = 5
    """How many hits."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Search for every line of FILE ("-": stdin) and print one JSON line for each."""

    def run(self) -> Any:
        stages = Stages(self.settings())
        if self.prompts is None:
            return _hits(stages, self.prompt, self.top)
        for line in _lines(self.prompts):
            print(json.dumps({"prompt": line, "hits": _hits(stages, line, self.top)}), flush=True)  # noqa: T201
        return None

    def as_json(self, result: Any) -> str:
        return "" if result is None else super().as_json(result)

    def show(self, result: Any) -> None:
        if result is None:
            return
        table = Table(box=None)
        for column in ("", "name", "score", "licence", "author", "uid"):
            table.add_column(column, justify="right" if column in ("", "score") else "left")
        for rank, hit in enumerate(result, 1):
            table.add_row(
                *(str(rank), hit["name"], f"{hit['score']:.3f}", hit["licence"], hit["author"], hit["uid"])
            )
        stdout.print(table)


def _hits(stages: Stages, prompt: str, top: int) -> list[dict[str, Any]]:
    return [attrs.asdict(hit) for hit in stages.search(prompt, top, silent).hits]


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Uni4DError("prompts-unreadable", f"{path}: {error}.", "Give a UTF-8 text file.") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
