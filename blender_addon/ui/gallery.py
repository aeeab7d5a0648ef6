"""Thumbnails of search results, as icons."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import bpy.utils.previews

from uni4d_shared.messages import SearchResult

from ..session import Session

__all__ = ["draw", "forget"]

_COLUMN_WIDTH = 90
"""Pixels of the region that one result needs, at a user-interface scale of 1."""


class _Thumbnails:
    """Icons of one search result's images; Blender reads them from files."""

    def __init__(self, found: SearchResult) -> None:
        self.found = found
        self._icons: Any = bpy.utils.previews.new()
        self._folder = tempfile.TemporaryDirectory(prefix="uni4d-gallery-")
        for index, image in enumerate(found.thumbnails):
            if image:
                path = Path(self._folder.name) / f"{index}.png"
                path.write_bytes(image)
                self._icons.load(str(index), str(path), "IMAGE")

    def icon(self, index: int) -> int:
        """The icon's number; 0 for a result without an image."""
        name = str(index)
        return int(self._icons[name].icon_id) if name in self._icons else 0

    def close(self) -> None:
        bpy.utils.previews.remove(self._icons)
        self._folder.cleanup()


_shown: list[_Thumbnails] = []  # none or one


def draw(layout: Any, session: Session, width: int) -> None:
    """The results of the last search as a grid of pictures to choose from; ``width`` in pixels."""
    found = session.found
    if found is None or not found.hits:
        return
    thumbnails = _thumbnails(found)
    scale = bpy.context.preferences.system.ui_scale  # type: ignore[union-attr]
    columns = max(1, int(width / (_COLUMN_WIDTH * scale)))
    grid = layout.grid_flow(row_major=True, columns=columns, even_columns=True, even_rows=True, align=True)
    for index, hit in enumerate(found.hits):
        box = grid.box().column(align=True)
        icon = thumbnails.icon(index)
        if icon:
            box.template_icon(icon, scale=4.0)
        else:
            box.label(text="", icon="MESH_DATA")
        box.operator("uni4d.choose", text=hit.name, depress=index == session.chosen).index = index
        row = box.row(align=True)
        score = row.row()
        score.enabled = False
        score.label(text=f"{hit.score:.2f}")
        row.operator("uni4d.more_like", text="", icon="VIEWZOOM", emboss=False).index = index


def forget() -> None:
    """Free the icons; Blender complains about those that are left over."""
    while _shown:
        _shown.pop().close()


def _thumbnails(found: SearchResult) -> _Thumbnails:
    if not _shown or _shown[0].found is not found:
        forget()
        _shown.append(_Thumbnails(found))
    return _shown[0]
