"""From words to assets: text and appearance, fused.

    score = s_text + w · s_look

``s_text`` compares the object text with the assets' names and descriptions in the text encoder's space,
``s_look`` with the assets' pictures in the joint space (:mod:`uni4d.retrieval.space`), by vectors that never
saw the assets' own words. Exact search: one matrix product, in memory.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d.library.opened import Library
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Hit, Query

__all__ = ["Searcher"]

Array = NDArray[Any]

_NAME_SHARE = 0.65
"""Weight of the name alone in ``s_text``; the rest is name, tags and category together."""
_LOOK_WEIGHT = 0.15
"""w: how much the look counts beside the words."""


class Searcher:
    """Search over one library; models are loaded at the first query and stay loaded."""

    def __init__(self, library: Library, space: TextShapeSpace | None = None) -> None:
        if not len(library):
            raise Uni4DError(
                "library-empty",
                "The library holds no asset.",
                "Build it from a folder with meshes: uni4d library build --source folder --path FOLDER",
            )
        self._library = library
        self._given_space = space

    @cached_property
    def _space(self) -> TextShapeSpace:
        return self._given_space or TextShapeSpace(self._library)

    def search(self, query: Query, top: int = 5) -> list[Hit]:
        """The ``top`` best assets, best first; equal scores keep the library's order."""
        text, look = self.scores(query.object_text)
        fused = text + _LOOK_WEIGHT * look
        order = np.argsort(-fused, kind="stable")[:top]
        return [self._hit(int(row), fused, text, look) for row in order]

    def scores(self, object_text: str) -> tuple[Array, Array]:
        """``s_text`` and ``s_look`` ``[N]`` of every asset, in the order of the library's table."""
        table = self._library.table
        sentence = self._space.embed_object(object_text)
        names, descriptions = table.name_vector @ sentence, table.text_vector @ sentence
        text = _NAME_SHARE * names + (1.0 - _NAME_SHARE) * descriptions
        return text, table.shape_vector @ self._space.embed_text(object_text)

    def _hit(self, row: int, fused: Array, text: Array, look: Array) -> Hit:
        entry = self._library.table.entries[row]
        path = self._library.glb_path(entry)
        return Hit(
            uid=entry.uid,
            name=entry.name,
            score=float(fused[row]),
            scores={"text": float(text[row]), "appearance": float(look[row])},
            licence=entry.licence,
            author=entry.author,
            source=entry.collection,
            path=str(path) if path.exists() else "",
            thumbnail=str(self._library.thumbnail(entry.uid)),
        )
