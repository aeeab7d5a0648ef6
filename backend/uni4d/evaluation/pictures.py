"""Queries and what an arm found for them, as pictures: a page for a browser, and one PNG.

The queries are drawn at random, not chosen. First stands what was wanted (blue frame), then the hits: right
ones have a green frame, wrong ones a grey one. Authors and licences stand with the pictures on the page, as
the licences ask.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from uni4d.evaluation.metrics import best_ranks
from uni4d.evaluation.tasks import RetrievalTask

__all__ = ["Answer", "Picture", "answers", "write_page", "write_sheet"]

_TILE, _GAP, _LABEL = 112, 8, 30
_RIGHT, _WRONG, _WANTED = (22, 150, 60), (205, 205, 210), (40, 100, 200)
_INK, _FAINT = (25, 25, 30), (110, 110, 120)


@frozen
class Picture:
    """How an object is shown."""

    name: str
    credit: str
    """Author and licence."""
    thumbnail: Path


@frozen
class Answer:
    """One query with its first hits."""

    query: str
    rank: int
    """Of the best right object; 0 is a hit at the top."""
    wanted: int
    """Row of that object in the gallery."""
    hits: tuple[tuple[int, float, bool], ...]
    """Row of the object in the gallery, score, whether it is right."""


def answers(
    task: RetrievalTask, scores: NDArray[np.float64], count: int, top: int, seed: int = 0
) -> list[Answer]:
    """``count`` random queries of ``task``, no text twice, with their ``top`` first hits."""
    goals, ranks = task.goals, best_ranks(scores, task.goals)
    asked = np.arange(len(scores)) if task.queries is None else task.queries
    first = {task.texts[text]: query for query, text in reversed(list(enumerate(asked)))}
    drawn = np.random.default_rng(seed).permutation(sorted(first.values()))[:count]
    found = []
    for query in drawn.tolist():
        best = np.argsort(-scores[query], kind="stable")[:top]
        hits = tuple((int(row), float(scores[query, row]), bool(goals[query, row])) for row in best)
        wanted = int(np.where(goals[query], scores[query], -np.inf).argmax())
        found.append(Answer(task.texts[asked[query]], int(ranks[query]), wanted, hits))
    return found


def write_page(
    path: Path, heading: str, found: Sequence[Answer], uids: Sequence[str], pictures: Mapping[str, Picture]
) -> None:
    """One HTML file that needs no other: thumbnails are inside."""
    rows = "\n".join(_row(answer, uids, pictures) for answer in found)
    path.write_text(_PAGE.format(heading=escape(heading), rows=rows), encoding="utf-8")


def _row(answer: Answer, uids: Sequence[str], pictures: Mapping[str, Picture]) -> str:
    tiles = [_tile(pictures[uids[answer.wanted]], "wanted", "wanted")]
    for row, score, right in answer.hits:
        tiles.append(_tile(pictures[uids[row]], "right" if right else "wrong", f"{score:.2f}"))
    place = "first" if answer.rank == 0 else f"behind {answer.rank} wrong ones"
    return (
        f"<section><h2>{escape(answer.query)} <small>right one {place}</small></h2>"
        f"<div>{''.join(tiles)}</div></section>"
    )


def _tile(picture: Picture, kind: str, words: str) -> str:
    return (
        f'<figure class="{kind}"><img alt="" src="data:image/webp;base64,{_encoded(picture.thumbnail)}">'
        f"<figcaption>{escape(picture.name)}<br>{words}"
        f"<br><small>{escape(picture.credit)}</small></figcaption></figure>"
    )


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{heading}</title>
<style>
body {{ font: 14px/1.35 system-ui, sans-serif; margin: 24px; color: #19191e }}
h1 {{ font-size: 20px }}
h2 {{ font-size: 15px; margin: 18px 0 6px }}
small {{ color: #6e6e78; font-weight: 400 }}
section > div {{ display: flex; gap: 8px; flex-wrap: wrap }}
figure {{ margin: 0; width: 124px; border: 3px solid #cdcdd2; border-radius: 6px; padding: 4px }}
figure.right {{ border-color: #16963c }}
figure.wanted {{ border-color: #2864c8; margin-right: 14px }}
img {{ width: 116px; height: 116px; object-fit: contain; background: #fff }}
figcaption {{ font-size: 12px; text-align: center; overflow-wrap: anywhere }}
figcaption small {{ font-size: 9px }}
</style>
<h1>{heading}</h1>
<p>Queries drawn at random. Blue frames: what was wanted; then the hits, right ones with green frames.</p>
{rows}
</html>
"""


def write_sheet(
    path: Path, heading: str, found: Sequence[Answer], uids: Sequence[str], pictures: Mapping[str, Picture]
) -> None:
    """The same as one PNG, without credits (they are in the page)."""
    columns = max(len(answer.hits) for answer in found)
    words, hits = 190, 190 + _TILE + 4 * _GAP
    width = hits + columns * (_TILE + _GAP) + _GAP
    height = 40 + len(found) * (_TILE + _LABEL + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(14), ImageFont.load_default(11)
    draw.text((_GAP, 10), heading, fill=_INK, font=ImageFont.load_default(17))
    for line, answer in enumerate(found):
        top = 40 + line * (_TILE + _LABEL + _GAP)
        draw.multiline_text((_GAP, top + 30), _wrapped(answer.query, 24), fill=_INK, font=font)
        place = "right one first" if answer.rank == 0 else f"right one behind {answer.rank} wrong"
        draw.text((_GAP, top + 84), place, fill=_RIGHT if answer.rank == 0 else _FAINT, font=small)
        tiles = [(words, answer.wanted, "wanted", _WANTED)]
        for column, (row, score, right) in enumerate(answer.hits):
            left = hits + column * (_TILE + _GAP)
            tiles.append((left, row, f"{score:.2f}", _RIGHT if right else _WRONG))
        for left, row, said, color in tiles:
            picture = pictures[uids[row]]
            frame = (left, top, left + _TILE, top + _TILE)
            draw.rectangle(frame, outline=color, width=1 if color == _WRONG else 4)
            sheet.paste(_thumbnail(picture.thumbnail, _TILE - 10), (left + 5, top + 5))
            draw.text((left, top + _TILE + 2), picture.name[:19], fill=_INK, font=small)
            draw.text((left, top + _TILE + 15), said, fill=_FAINT, font=small)
    sheet.save(path)


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])


def _thumbnail(path: Path, side: int) -> Image.Image:
    with Image.open(path) as image:
        picture = image.convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    return ImageOps.pad(Image.alpha_composite(paper, picture).convert("RGB"), (side, side), color="white")


def _encoded(path: Path) -> str:
    """The picture as base64 WebP, no larger than it is shown on screens of double density."""
    with Image.open(path) as image:
        picture = image.convert("RGBA")
    picture.thumbnail((232, 232))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
