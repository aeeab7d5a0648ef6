"""Texts, assets and pictures as unit vectors of one joint space, for alignment and search."""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from uni4d.library.opened import Library
from uni4d.retrieval.space import JointSpace
from uni4d_shared.errors import Uni4DError

if TYPE_CHECKING:
    from uni4d.encoders.protocols import ImageEncoder, TextEncoder
    from uni4d.library.geometry import TexturedMesh

__all__ = ["TextShapeSpace"]

Array = NDArray[Any]

_SENTENCES_KEPT = 256
_MESH_VIEWS = 2
"""Pictures of a foreign mesh; as many as the library's assets have."""


class TextShapeSpace:
    """The joint space of one library with its encoders, which are loaded when they are first needed.

    Cosines between vectors of this space are the T, M and I cosines of the alignment (Uni4D §3.4).
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sentences: OrderedDict[str, Array] = OrderedDict()

    @property
    def dimensions(self) -> int:
        return int(self._space.text_mean.shape[0])

    def embed_text(self, text: str) -> Array:
        """T: ``[D]`` for an object text."""
        return self._space.texts(self.embed_object(text)[None])[0]

    def embed_object(self, text: str) -> Array:
        """``[384]`` unit vector of an object text by the text encoder, its leading article left away."""
        return self.embed_sentence(_bare(text))

    def embed_asset(self, uid: str) -> Array:
        """M: ``[D]`` for a library asset, from its look, by a map that never saw its text."""
        return self._library.table.shape_vector[self._library.row(uid)]

    def embed_mesh(self, mesh: TexturedMesh) -> Array:
        """M: ``[D]`` for a mesh from outside the library."""
        from uni4d.library.photographs import photograph

        features = self._images.encode(photograph(mesh, _MESH_VIEWS)).pooled
        return self._space.shapes(features[None])[0]

    def embed_images(self, images: NDArray[np.uint8], uid: str = "") -> Array:
        """I: ``[V, D]`` for pictures ``[V, H, W, 4]`` uint8 sRGB with straight alpha.

        ``uid`` names the library asset that they show, so that the map is one that never saw its text;
        pictures of anything else go through the map learnt from all assets.
        """
        name = self._library.table.entries[self._library.row(uid)].name if uid else None
        return self._space.images(self._images.encode(images).pooled, name)

    def embed_sentence(self, text: str) -> Array:
        """``[384]`` unit vector of any text by the text encoder itself, outside the joint space."""
        if text not in self._sentences:
            self._sentences[text] = self._texts.encode([text]).pooled[0]
            while len(self._sentences) > _SENTENCES_KEPT:
                self._sentences.popitem(last=False)
        self._sentences.move_to_end(text)
        return self._sentences[text]

    @cached_property
    def _space(self) -> JointSpace:
        path = self._library.folder / "space.npz"
        try:
            return JointSpace.load(path)
        except (OSError, ValueError, KeyError) as error:
            raise Uni4DError(
                "library-damaged", f"{path} cannot be read: {error}.", "Run: uni4d library build --force"
            ) from error

    @cached_property
    def _texts(self) -> TextEncoder:
        from uni4d.encoders.local.minilm import MiniLM

        return MiniLM()

    @cached_property
    def _images(self) -> ImageEncoder:
        from uni4d.encoders.local.efficientnet import EfficientNetLite2

        return EfficientNetLite2()


def _bare(text: str) -> str:
    """Without a leading article: catalogue names have none."""
    first, _, rest = text.partition(" ")
    return rest if rest and first.lower() in ("a", "an", "the") else text
