"""The worth of the alignment score as a page: a table, histograms of percentiles, and what each variant
looks at."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from uni4d.evaluation.alignment import AlignmentFigures
from uni4d.evaluation.metrics import Estimate

__all__ = ["write_alignment_report"]

Array = NDArray[Any]

_TILE, _LINE = 132, 16


def write_alignment_report(
    folder: Path,
    figures: Sequence[AlignmentFigures],
    percentiles: Mapping[str, Array],
    names: Sequence[str],
    pictures: Mapping[int, Array],
) -> dict[str, Any]:
    """Write ``alignment.md``, ``alignment.json``, ``percentiles.png`` and ``views.png``.

    ``pictures``: row of an object → its views ``[V, H, W, 4]``, for the page of pictures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "objects": len(names),
        "variants": [
            {
                "variant": each.variant,
                "texts": attrs.asdict(each.texts),
                "objects": attrs.asdict(each.objects),
                "key_views_changed": float((_key(each) != _key(figures[0])).mean()),
            }
            for each in figures
        ],
        "percentiles": {
            kind: {f"{q}": float(np.quantile(values, q / 100)) for q in (5, 25, 50, 75, 95)}
            for kind, values in percentiles.items()
        },
    }
    (folder / "alignment.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    (folder / "alignment.md").write_text("\n".join(_page(told)) + "\n", encoding="utf-8")
    _draw_percentiles(folder / "percentiles.png", percentiles)
    _draw_views(folder / "views.png", figures, names, pictures)
    return told


def _key(figures: AlignmentFigures) -> Array:
    return np.argmax(figures.attention, axis=1)


def _page(told: Mapping[str, Any]) -> Iterable[str]:
    yield from ("# Alignment, measured", "")
    yield (
        f"{told['objects']} test objects that nobody learnt from, with their names. A cell is the share of "
        "pairs in which what belongs together has the better score, with the 95 % bootstrap interval over "
        "names; chance is 0.5. *Key view changed*: objects for which another view is looked at most than "
        "with the full loss."
    )
    yield from (
        "",
        "| alignment | right text against another | right object against another | key view changed |",
        "|---|--:|--:|--:|",
    )
    for row in told["variants"]:
        yield (
            f"| {row['variant']} | {_cell(Estimate(**row['texts']))} | {_cell(Estimate(**row['objects']))} | "
            f"{row['key_views_changed']:.0%} |"
        )
    matches, mismatches = told["percentiles"]["matches"], told["percentiles"]["mismatches"]
    yield from (
        "",
        "## What a score means",
        "",
        f"Its percentile among mismatches. Half of the matches lie above {matches['50']:.0f}, three quarters "
        f"above {matches['25']:.0f}. Mismatches should be spread evenly: their quartiles lie at "
        f"{mismatches['25']:.0f}, {mismatches['50']:.0f} and {mismatches['75']:.0f}.",
        "",
        "![percentiles](percentiles.png)",
        "",
        "## Where each variant looks",
        "",
        "The view with most attention, and its share of it.",
        "",
        "![views](views.png)",
    )


def _cell(figure: Estimate) -> str:
    return f"{figure.mean:.3f} [{figure.low:.2f}, {figure.high:.2f}]"


def _draw_percentiles(path: Path, percentiles: Mapping[str, Array]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(1, 1, 1)
    for kind, color in (("mismatches", "#969696"), ("matches", "#41ab5d")):
        axes.hist(
            percentiles[kind], bins=20, range=(0, 100), density=True, alpha=0.6, color=color, label=kind
        )
    axes.set_xlabel("percentile among mismatches")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110, facecolor="white")


def _draw_views(
    path: Path, figures: Sequence[AlignmentFigures], names: Sequence[str], pictures: Mapping[int, Array]
) -> None:
    """A row per object, a column per variant."""
    width, height = _TILE * len(figures) + _TILE, (_TILE + _LINE) * max(len(pictures), 1) + _LINE
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, each in enumerate(figures):
        draw.text((_TILE * (column + 1) + 4, 2), each.variant, fill="black")
    for row, (place, views) in enumerate(pictures.items()):
        top = _LINE + row * (_TILE + _LINE)
        draw.text((4, top + _TILE // 2), names[place][:20], fill="black")
        for column, each in enumerate(figures):
            view = int(np.argmax(each.attention[place]))
            tile = Image.fromarray(views[view]).resize((_TILE, _TILE))
            left = _TILE * (column + 1)
            sheet.paste(tile.convert("RGB"), (left, top), tile.getchannel("A"))
            draw.text((left + 4, top + _TILE), f"{each.attention[place, view]:.2f}", fill="#555555")
    sheet.save(path)
