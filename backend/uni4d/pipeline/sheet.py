"""The contact sheet: one picture by which a person judges a run at a glance.

Rows from the top: the hits, the photographs, frames of the clip, the fitted splats and the animated mesh
as Blender renders them at the same moments.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
from attrs import frozen
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageOps

from uni4d.alignment.three_level import said_alignment
from uni4d.pipeline.results import StageResults, frame_number

__all__ = ["write_sheet"]

_TILE, _GAP, _HEADING = 160, 8, 26
_COLUMNS = 8
_INK, _FAINT, _PAPER = (25, 25, 30), (110, 110, 120), (255, 255, 255)


@frozen
class _Row:
    heading: str
    tiles: list[Image.Image]
    captions: tuple[str, ...] = ()


def write_sheet(folder: Path, results: StageResults, in_blender: float) -> None:
    """Write ``folder/sheet.png`` from the results of the stages and the pictures that Blender rendered, which
    show the splats as :func:`~uni4d.pipeline.fidelity.psnr_in_blender` says."""
    search, alignment, fitted = results.search, results.align.alignment, results.fit
    hits, metrics, clip = search.hits, fitted.metrics, results.animate.clip
    splats = sorted((folder / "renders4d").glob("splats_*.png"))[:_COLUMNS]
    meshes = sorted((folder / "renders4d").glob("mesh_*.png"))[:_COLUMNS]
    moments = [frame_number(path) for path in splats]
    moving: list[list[Image.Image]] = [
        [Image.fromarray(clip.frames[number - 1]) for number in moments],
        [Image.open(path) for path in splats],
        [Image.open(path) for path in meshes],
    ]
    clip_tiles, splat_tiles, mesh_tiles = _closer(moving)
    views = sorted((folder / "views").glob("view_*.png"))
    rows = [
        _Row(
            "retrieved: the first is used",
            [_from_png(png) for png in search.thumbnails[:_COLUMNS]],
            tuple(f"{hit.name}  {hit.score:.2f}" for hit in hits[:_COLUMNS]),
        ),
        _Row(
            f"photographed by Blender; alignment {said_alignment(attrs.asdict(alignment))} "
            f"(text-3D {alignment.text_shape:.2f}, "
            f"3D-image {alignment.shape_image:.2f}, image-text {alignment.image_text:.2f})",
            _closer([[Image.open(views[index]) for index in _spread(len(views))]])[0],
        ),
        _Row(f"clip: {len(clip.frames)} frames at {clip.fps:g} per second, {clip.description}", clip_tiles),
        _Row(
            f"animated splats in Blender: {len(fitted.result.splats.means)}, fitted to the clip at "
            f"{metrics['psnr_foreground']:.1f} dB foreground (without motion "
            f"{metrics['psnr_foreground_static']:.1f} dB); like our own pictures to {in_blender:.1f} dB",
            splat_tiles,
        ),
        _Row(
            f"animated mesh in Blender: {len(fitted.result.motion.nodes)} control nodes",
            mesh_tiles,
            tuple(f"frame {number}" for number in moments),
        ),
    ]
    _draw(search.query.prompt, rows).save(folder / "sheet.png")


def _closer(rows: list[list[Image.Image]]) -> list[list[Image.Image]]:
    """All pictures cut to the one square that holds the object in every one of them."""
    flat = [_on_white(image) for row in rows for image in row]
    boxes = [box for box in (ImageChops.invert(image).convert("L").getbbox() for image in flat) if box]
    if not boxes:
        return rows
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    half = 0.53 * max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    square = (round(x - half), round(y - half), round(x + half), round(y + half))
    return [[_cut(image, square) for image in row] for row in rows]


def _cut(image: Image.Image, square: tuple[int, int, int, int]) -> Image.Image:
    left, top, right, bottom = square
    paper = Image.new("RGB", (right - left, bottom - top), _PAPER)
    paper.paste(_on_white(image), (-left, -top))
    return paper


def _on_white(image: Image.Image) -> Image.Image:
    paper = Image.new("RGBA", image.size, (*_PAPER, 255))
    paper.alpha_composite(image.convert("RGBA"))
    return paper.convert("RGB")


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
    picture = _on_white(image)
    picture = ImageOps.contain(picture, (_TILE, _TILE), Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, (_TILE, _TILE), color=_PAPER)


def _from_png(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)) if png else Image.new("RGB", (_TILE, _TILE), (235, 235, 235))


def _spread(count: int) -> list[int]:
    """At most one index per column, evenly over ``count``."""
    return sorted(set(np.linspace(0, count - 1, min(count, _COLUMNS)).round().astype(int).tolist()))
