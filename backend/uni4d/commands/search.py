"""``uni4d parse`` and ``uni4d search``: from words, pictures and meshes to assets."""

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
from uni4d_shared.types import SearchFilters

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
    """Find assets by words, by a picture, by another asset or mesh, or by several of these at once.

    Words say what the thing is, what it is for, or what it does, in English or by its name in another
    language:

        uni4d search "a teddy bear is dancing"
        uni4d search "it puts out fires"
        uni4d search "Schreibtischlampe"

    A minus or "without" keeps things out; filters are written into the prompt, or given as options:

        uni4d search "a chair -wheels without armrests"
        uni4d search -- "-leather sofa"
        uni4d search "lamp licence:cc0 faces:<5000 category:lights source:scopia"
        uni4d search "a wooden chair" --licence commercial --max-faces 5000

    Examples instead of words, or beside them:

        uni4d search --image photo.jpg
        uni4d search "but red" --like UID
        uni4d search --like mesh.glb --top 20

    Near-identical assets are one hit; ×3 says that it stands for three. With --json, each hit has its score
    by modality, and its path is its mesh as GLB, converted from the source's format the first time.
    """

    prompt: tyro.conf.Positional[str] = ""
    top: int = 5
    """How many hits."""
    licence: str = ""
    """The beginning of a licence's name, e.g. cc0 or cc-by; or commercial: free for commercial use."""
    category: str = ""
    """A part of the category's name."""
    source: str = ""
    """A part of the collection's name."""
    min_faces: int = 0
    max_faces: int = 0
    """Most triangles; 0: any number."""
    animated: tyro.conf.FlagCreatePairsOff[bool] = False
    """Only assets that come with a motion of their own."""
    image: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """A picture (PNG, JPEG) of something alike."""
    like: Annotated[str, tyro.conf.arg(metavar="UID|FILE.glb")] = ""
    """More like this asset, or like this mesh."""
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
        mesh = self.like.lower().endswith(".glb")
        filters = SearchFilters(
            licence=self.licence,
            category=self.category,
            source=self.source,
            min_faces=self.min_faces,
            max_faces=self.max_faces,
            animated=self.animated,
        )
        result = stages.search(
            prompt,
            self.top,
            silent,
            filters=filters,
            image=_contents(self.image) if self.image else b"",
            like="" if mesh else self.like,
            glb=_contents(Path(self.like)) if mesh else b"",
        )
        with_files = self.json or self.prompts is not None
        return [
            {**attrs.asdict(hit), "path": stages.asset(hit.uid).path if with_files else hit.path}
            for hit in result.hits
        ]

    def as_json(self, result: Any) -> str:
        return "" if result is None else super().as_json(result)

    def show(self, result: Any) -> None:
        if result is None:
            return
        if not result:
            stdout.print("nothing fits")
            return
        hits, scores = Table(box=None), Table(box=None)
        for column in ("", "name", "score", "licence", "author", "uid"):
            right = column in ("", "score")
            hits.add_column(column, justify="right" if right else "left", no_wrap=column == "uid")
        modalities = list(result[0]["scores"])
        for column in ("", *modalities):
            scores.add_column(column, justify="right")
        for rank, hit in enumerate(result, 1):
            copies = f" ×{1 + len(hit['variants'])}" if hit["variants"] else ""
            credit = (hit["licence"], hit["author"], hit["uid"])
            hits.add_row(str(rank), hit["name"] + copies, f"{hit['score']:.3f}", *credit)
            scores.add_row(str(rank), *(f"{hit['scores'][name]:.2f}" for name in modalities))
        stdout.print(hits)
        stdout.print("\nscores by modality:")
        stdout.print(scores)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Uni4DError(
            "file-unreadable", f"{path}: {error.strerror}.", "Give a file that exists."
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Uni4DError("prompts-unreadable", f"{path}: {error}.", "Give a UTF-8 text file.") from error
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line]
