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
    """Find the assets that fit a prompt, e.g. uni4d search "a teddy bear is dancing" --top 5.

    With --json, each hit's path is its mesh as GLB, converted from the source's format the first time.
    """

    prompt: tyro.conf.Positional[str] = ""
    top: int = 5
    """How many hits."""
    prompts: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Search for every line of FILE ("-": stdin) and print one JSON line for each."""

    def run(self) -> Any:
        stages = Stages(self.settings())
        if self.prompts is None:
            return self._hits(stages, self.prompt)
        for line in _lines(self.prompts):
            found = {"prompt": line, "hits": self._hits(stages, line)}
            print(json.dumps(found, ensure_ascii=False), flush=True)  # noqa: T201
        return None

    def _hits(self, stages: Stages, prompt: str) -> list[dict[str, Any]]:
        hits = stages.search(prompt, self.top, silent).hits
        with_files = self.json or self.prompts is not None
        return [
            {**attrs.asdict(hit), "path": stages.asset(hit.uid).path if with_files else hit.path}
            for hit in hits
        ]

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


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Uni4DError("prompts-unreadable", f"{path}: {error}.", "Give a UTF-8 text file.") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
