"""A search tree to keep and to look at: JSON, Graphviz, and a page with a picture.

In the picture depth runs to the right; a node's area is how often it was visited, its colour its mean
return (blue low, red high), and the committed training is drawn bold.
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

_COLUMN, _ROW, _MARGIN = 92.0, 20.0, 40.0


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
    places = dict[int, tuple[float, float]]()
    rows = _place(origin, 0, places)
    depth = max(node.depth for node in origin.walk())
    width, height = 2 * _MARGIN + _COLUMN * depth, 2 * _MARGIN + _ROW * rows
    said = html.escape(title)
    body = "\n".join([*_edges(origin, places), *_nodes(origin, run, places)])
    path.write_text(
        f"<!doctype html>\n<meta charset='utf-8'><title>{said}</title>\n"
        "<style>body{font:14px sans-serif;margin:2em} text{font-size:8px;fill:#555}</style>\n"
        f"<h1>{said}</h1>\n<p>Depth runs to the right, one interval of {run.config.interval} steps a column. "
        "Area: visits. Colour: mean return, blue low, red high. Bold: the committed training. "
        "Point at a node for its figures.</p>\n"
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}'>\n"
        f"{body}\n</svg>\n",
        encoding="utf-8",
    )


def _place(node: Node[Point], row: int, places: dict[int, tuple[float, float]]) -> int:
    """Leaves on rows of their own from ``row`` on, parents between their children; the next free row."""
    first = row
    for action in sorted(node.children):
        row = _place(node.children[action], row, places)
    if not node.children:
        row += 1
        middle = float(first)
    else:
        heights = [places[id(child)][1] for child in node.children.values()]
        middle = ((min(heights) + max(heights)) / 2 - _MARGIN) / _ROW
    places[id(node)] = (_MARGIN + _COLUMN * node.depth, _MARGIN + _ROW * middle)
    return row


def _edges(origin: Node[Point], places: dict[int, tuple[float, float]]) -> Iterable[str]:
    for node in origin.walk():
        left, top = places[id(node)]
        for action, child in sorted(node.children.items()):
            right, bottom = places[id(child)]
            bold = action == node.chosen
            stroke = "stroke='#222' stroke-width='3'" if bold else "stroke='#bbb'"
            yield f"<line x1='{left:.1f}' y1='{top:.1f}' x2='{right:.1f}' y2='{bottom:.1f}' {stroke}/>"
            name = Action(action).name.lower()
            yield f"<text x='{(left + right) / 2:.1f}' y='{(top + bottom) / 2 - 2:.1f}'>{name}</text>"


def _nodes(origin: Node[Point], run: Run, places: dict[int, tuple[float, float]]) -> Iterable[str]:
    means = [node.mean for node in origin.walk() if node.visits and node is not origin]
    low, high = (min(means), max(means)) if means else (0.0, 0.0)
    most = max(node.visits for node in origin.walk())
    for node in origin.walk():
        left, top = places[id(node)]
        share = (node.mean - low) / (high - low) if high > low else 0.5
        color = f"rgb({60 + 180 * share:.0f},90,{240 - 180 * share:.0f})"
        size = 3.0 + 7.0 * (node.visits / max(most, 1)) ** 0.5
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
