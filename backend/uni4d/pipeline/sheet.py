"""The contact sheet: one picture by which a person judges a run at a glance.

Rows from the top: the hits, the photographs, frames of the clip, the fitted splats and the animated mesh
as Blender renders them at the same moments.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image, ImageDraw, ImageFont

from uni4d.pipeline.results import StageResults

__all__ = ["write_sheet"]

_TILE, _GAP, _HEADING = 160, 8, 26
_COLUMNS = 8
_INK, _FAINT, _PAPER = (25, 25, 30), (110, 110, 120), (255, 255, 255)


@frozen
class _Row:
    heading: str
    tiles: list[Image.Image]
    captions: tuple[str, ...] = ()


def write_sheet(folder: Path, results: StageResults) -> None:
    """Write ``folder/sheet.png`` from the results of the stages and the pictures that Blender rendered."""
    search, alignment, fitted = results.search, results.align.alignment, results.fit
    hits, metrics, clip = search.hits, fitted.metrics, results.animate.clip
    rows = [
        _Row(
            "retrieved: the first is used",
            [_from_png(png) for png in search.thumbnails[:_COLUMNS]],
            tuple(f"{hit.name}  {hit.score:.2f}" for hit in hits[:_COLUMNS]),
        ),
        _Row(
            f"photographed by Blender; alignment {alignment.score:.2f} (text-3D {alignment.text_shape:.2f}, "
            f"3D-image {alignment.shape_image:.2f}, image-text {alignment.image_text:.2f})",
            _pictures(sorted((folder / "views").glob("view_*.png"))),
        ),
        _Row(
            f"clip: {len(clip.frames)} frames at {clip.fps:g} per second, {clip.description}",
            [Image.fromarray(clip.frames[index]) for index in _spread(len(clip.frames))],
        ),
        _Row(
            f"animated splats in Blender: {len(fitted.result.splats.means)}, fitted to the clip at "
            f"{metrics['psnr_foreground']:.1f} dB foreground (without motion "
            f"{metrics['psnr_foreground_static']:.1f} dB)",
            _pictures(sorted((folder / "renders4d").glob("splats_*.png"))),
        ),
        _Row(
            f"animated mesh in Blender: {len(fitted.result.motion.nodes)} control nodes",
            _pictures(sorted((folder / "renders4d").glob("mesh_*.png"))),
        ),
    ]
    _draw(search.query.prompt, rows).save(folder / "sheet.png")


def _draw(title: str, rows: Sequence[_Row]) -> Image.Image:
    width = _GAP + _COLUMNS * (_TILE + _GAP)
    heights = [_HEADING + _TILE + _GAP + (_HEADING if row.captions else 0) for row in rows]
    sheet = Image.new("RGB", (width, 2 * _HEADING + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), f"“{title}”", fill=_INK, font=ImageFont.load_default(24))
    small = ImageFont.load_default(14)
    top = 2 * _HEADING
    for row, height in zip(rows, heights, strict=True):
        draw.text((_GAP, top + 4), row.heading, fill=_FAINT, font=small)
        for column, tile in enumerate(row.tiles[:_COLUMNS]):
            left = _GAP + column * (_TILE + _GAP)
            sheet.paste(_on_paper(tile), (left, top + _HEADING))
            if column < len(row.captions):
                caption = _fitting(draw, row.captions[column], small)
                draw.text((left, top + _HEADING + _TILE + 4), caption, fill=_INK, font=small)
        top += height
    return sheet


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    while draw.textlength(text, font) > _TILE and len(text) > 4:
        text = text[:-2].rstrip("…") + "…"
    return text


def _on_paper(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    image.thumbnail((_TILE, _TILE), Image.Resampling.LANCZOS)
    tile = Image.new("RGBA", (_TILE, _TILE), (*_PAPER, 255))
    tile.alpha_composite(image, ((_TILE - image.width) // 2, (_TILE - image.height) // 2))
    return tile.convert("RGB")


def _from_png(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)) if png else Image.new("RGB", (_TILE, _TILE), (235, 235, 235))


def _pictures(paths: Sequence[Path]) -> list[Image.Image]:
    return [Image.open(paths[index]) for index in _spread(len(paths))]


def _spread(count: int) -> list[int]:
    """At most eight indices, evenly over ``count``."""
    return sorted(set(np.linspace(0, count - 1, min(count, _COLUMNS)).round().astype(int).tolist()))
