"""A search tree to keep and to look at: JSON, Graphviz, and a page with a picture.

In the picture the committed training is a bold straight line, and what was tried beside it lies above and
below; a node's area is how often it was visited, its colour its mean return (blue low, red high).
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from uni4d.training.schedules.mdp import Action
from uni4d.training.schedules.run import Point, Run
from uni4d.training.schedules.tree import Node

__all__ = ["draw_tree", "tree_as_dot", "tree_as_json"]

_COLUMN, _ROW, _MARGIN = 84.0, 26.0, 36.0


def tree_as_json(node: Node[Point], run: Run) -> dict[str, Any]:
    """A node with everything below it."""
    told: dict[str, Any] = {
        "reward": node.reward,
        "visits": node.visits,
        "mean": node.mean,
        "best": node.best if node.visits else None,
        "chosen": None if node.chosen is None else Action(node.chosen).name.lower(),
    }
    if node.state is not None:
        setting = node.state.setting(run.first)
        told |= {"rate": setting.rate, "temperature": setting.temperature}
        told["score"] = node.state.figures.score
    told["children"] = {
        Action(action).name.lower(): tree_as_json(child, run)
        for action, child in sorted(node.children.items())
    }
    return told


def tree_as_dot(origin: Node[Point], run: Run) -> str:
    """The tree in the language of Graphviz."""
    names = {id(node): f"n{number}" for number, node in enumerate(origin.walk())}
    lines = ["digraph search {", "rankdir=LR; node [shape=box, fontsize=9]; edge [fontsize=8];"]
    for node in origin.walk():
        told = ", ".join(_told(node, run)).replace('"', "'")
        lines.append(f'{names[id(node)]} [label="{told}"];')
        for action, child in sorted(node.children.items()):
            bold = ", penwidth=3" if action == node.chosen else ""
            label = Action(action).name.lower()
            lines.append(f'{names[id(node)]} -> {names[id(child)]} [label="{label}"{bold}];')
    return "\n".join([*lines, "}"]) + "\n"


def draw_tree(origin: Node[Point], run: Run, path: Path, title: str) -> None:
    """Write the page."""
    places = _places(origin)
    depth = max(column for column, _ in places.values())
    rows = [row for _, row in places.values()]
    width = 2 * _MARGIN + _COLUMN * (depth + 1)
    height = 2 * _MARGIN + _ROW * (max(rows) - min(rows))
    spots = {
        key: (_MARGIN + _COLUMN * column, _MARGIN + _ROW * (row - min(rows)))
        for key, (column, row) in places.items()
    }
    said = html.escape(title)
    body = "\n".join([*_edges(origin, spots), *_nodes(origin, run, spots)])
    path.write_text(
        f"<!doctype html>\n<meta charset='utf-8'><title>{said}</title>\n"
        "<style>body{font:14px sans-serif;margin:2em}</style>\n"
        f"<h1>{said}</h1>\n<p>Time runs to the right, one interval of {run.config.interval} steps a column; "
        "the committed training is the bold line. Area: visits. Colour: mean return, blue low, red high. "
        "Point at a node for its figures.</p>\n"
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}'>\n"
        f"{body}\n</svg>\n",
        encoding="utf-8",
    )


def _places(origin: Node[Point]) -> dict[int, tuple[int, int]]:
    """Column and row of every node: the committed ones on row 0, what was tried beside them above and below
    in turn, as near as there is room."""
    places, used = {id(origin): (0, 0)}, dict[tuple[int, int], int]()
    node: Node[Point] | None = origin
    while node is not None:
        beside = [child for action, child in sorted(node.children.items()) if action != node.chosen]
        for number, child in enumerate(beside):
            _place(child, 1 if number % 2 else -1, 1, places, used)
        node = None if node.chosen is None else node.children[node.chosen]
        if node is not None:
            places[id(node)] = (node.depth, 0)
    return places


def _place(
    node: Node[Point],
    side: int,
    nearest: int,
    places: dict[int, tuple[int, int]],
    used: dict[tuple[int, int], int],
) -> None:
    """Put a subtree on one side; ``used`` tells how far out every column of a side is taken."""
    columns = {below.depth for below in node.walk()}
    row = max(nearest, *(used.get((side, column), 0) + 1 for column in columns))
    places[id(node)] = (node.depth, side * row)
    used[side, node.depth] = row
    for _, child in sorted(node.children.items()):
        _place(child, side, row, places, used)


def _edges(origin: Node[Point], spots: dict[int, tuple[float, float]]) -> Iterable[str]:
    for node in origin.walk():
        left, top = spots[id(node)]
        for action, child in sorted(node.children.items()):
            right, bottom = spots[id(child)]
            bold = action == node.chosen
            stroke = "stroke='#222' stroke-width='3'" if bold else "stroke='#ccc'"
            yield f"<line x1='{left:.1f}' y1='{top:.1f}' x2='{right:.1f}' y2='{bottom:.1f}' {stroke}/>"
            name = Action(action).name.lower()
            place = (
                f"x='{right - 50:.1f}' y='{bottom - 4:.1f}'"
                if bold
                else (f"x='{right + 7:.1f}' y='{bottom + 3:.1f}'")
            )
            yield f"<text font-size='9' fill='#555' {place}>{name}</text>"


def _nodes(origin: Node[Point], run: Run, spots: dict[int, tuple[float, float]]) -> Iterable[str]:
    means = [node.mean for node in origin.walk() if node.visits and node is not origin]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    most = max(node.visits for node in origin.walk())
    for node in origin.walk():
        left, top = spots[id(node)]
        share = (node.mean - low) / (high - low) if high > low else 0.5
        color = f"rgb({60 + 180 * share:.0f},90,{240 - 180 * share:.0f})"
        size = 2.0 + 5.0 * (node.visits / max(most, 1)) ** 0.5
        told = html.escape("\n".join(_told(node, run)))
        yield f"<circle cx='{left:.1f}' cy='{top:.1f}' r='{size:.1f}' fill='{color}'>"
        yield f"<title>{told}</title></circle>"


def _told(node: Node[Point], run: Run) -> list[str]:
    """What there is to say about a node."""
    lines = [f"visits {node.visits}", f"mean return {node.mean:+.4f}", f"reward {node.reward:+.4f}"]
    if node.state is not None:
        setting, figures = node.state.setting(run.first), node.state.figures
        lines += [
            f"rate {setting.rate:.2e}",
            f"temperature {setting.temperature:.3f}",
            f"validation mrr {figures.score:.3f}",
        ]
    return lines
