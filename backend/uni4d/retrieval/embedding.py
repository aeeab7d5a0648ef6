"""Texts, assets and pictures as unit vectors of one joint space, for alignment and search."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.library.opened import Library

if TYPE_CHECKING:
    from uni4d.encoders.protocols import Encoded, ImageEncoder, PointEncoder, TextEncoder
    from uni4d.library.geometry import TexturedMesh
    from uni4d.retrieval.encoder import AtmsEncoder

__all__ = ["Pictures", "TextShapeSpace"]

Array = NDArray[Any]

_SENTENCES_KEPT = 256


@frozen(eq=False)
class Pictures:
    """``V`` pictures, each on its own."""

    features: Array
    """``[V, E]`` float32: the image encoder's."""
    vectors: Array
    """``[V, D]`` float32 unit, in the joint space."""


class TextShapeSpace:
    """The joint space of ATMS with its encoders, which are loaded when they are first needed.

    Cosines between vectors of this space are the T, M and I cosines of the alignment (Uni4D §3.4).
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sentences: OrderedDict[str, Array] = OrderedDict()

    @property
    def dimensions(self) -> int:
        return self._atms.dimensions

    def embed_text(self, text: str) -> Array:
        """T: ``[D]`` for an object text, its leading article left away."""
        return self._atms.embed_texts([_bare(text)])[0]

    def embed_object(self, text: str) -> Array:
        """``[384]`` unit vector of an object text by the text encoder, its leading article left away."""
        return self.embed_sentence(_bare(text))

    def embed_asset(self, uid: str) -> Array:
        """M: ``[D]`` for a library asset, from its shape, look and size."""
        return self._library.table.shape_vector[self._library.row(uid)]

    def embed_mesh(self, mesh: TexturedMesh) -> Array:
        """M: ``[D]`` for a mesh from outside the library."""
        from uni4d.library.clouds import cloud_from_mesh
        from uni4d.library.features import AssetFeatures
        from uni4d.library.photographs import photograph

        settings = self._library.config
        cloud = cloud_from_mesh(mesh, settings.points)
        features = AssetFeatures(
            ("",),
            (mesh.name,),
            ((mesh.name,),),
            ("",),
            ("",),
            self._images.encode(photograph(mesh, settings.views)).pooled[None],
            self._points.encode(cloud.points[None], cloud.colors[None]).tokens,
            mesh.extents[None].astype(np.float32),
        )
        return self._atms.embed_features(features)[0]

    def embed_images(self, images: NDArray[np.uint8]) -> Array:
        """I: ``[V, D]`` for pictures ``[V, H, W, 4]`` uint8 sRGB with straight alpha, each on its own."""
        return self.encode_images(images).vectors

    def encode_images(self, images: NDArray[np.uint8]) -> Pictures:
        """The same with the features that they are made from."""
        features = self._images.encode(images).pooled
        return Pictures(features, self._atms.embed_pictures(features))

    def encode_text(self, text: str) -> Encoded:
        """The text encoder's tokens of an object text, a batch of one."""
        return self._texts.encode([_bare(text).lower()])

    def embed_sentence(self, text: str) -> Array:
        """``[384]`` unit vector of any text by the text encoder itself, outside the joint space."""
        return self.embed_sentences([text])[0]

    def embed_sentences(self, texts: Sequence[str]) -> Array:
        """``[N, 384]``: the same for several texts; one batch is cheaper than one after the other."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._sentences]
        if missing:
            self._sentences.update(zip(missing, self._texts.encode(missing).pooled, strict=True))
        vectors = np.stack([self._sentences[text] for text in texts])
        for text in texts:
            self._sentences.move_to_end(text)
        while len(self._sentences) > _SENTENCES_KEPT:
            self._sentences.popitem(last=False)
        return vectors

    def embed_objects(self, texts: Sequence[str]) -> Array:
        """``[N, 384]``: :meth:`embed_object` of several texts."""
        return self.embed_sentences([_bare(text) for text in texts])

    @cached_property
    def _atms(self) -> AtmsEncoder:
        from uni4d.retrieval.encoder import AtmsEncoder

        return AtmsEncoder.load(self._texts)

    @cached_property
    def _texts(self) -> TextEncoder:
        from uni4d.encoders.local import MiniLM

        return MiniLM()

    @cached_property
    def _images(self) -> ImageEncoder:
        from uni4d.encoders.local import EfficientNetLite2

        return EfficientNetLite2()

    @cached_property
    def _points(self) -> PointEncoder:
        from uni4d.encoders.local import LocalPoints

        return LocalPoints()


def _bare(text: str) -> str:
    """Without a leading article: catalogue names have none."""
    first, _, rest = text.partition(" ")
    return rest if rest and first.lower() in ("a", "an", "the") else text
