"""From a text, an asset and its photographs to their alignment, by the trained CrOSSMA."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.alignment.three_level import Seen, align
from uni4d.alignment.weights import WEIGHTS, CrossmaWeights, load_crossma
from uni4d.config import AlignConfig
from uni4d.retrieval.embedding import TextShapeSpace
from uni4d_shared.types import Alignment, Query, ViewSet

__all__ = ["Aligner"]

Array = NDArray[Any]


class Aligner:
    """Aligns in one joint space; the weights are loaded at the first alignment."""

    def __init__(self, space: TextShapeSpace, config: AlignConfig, path: Path = WEIGHTS) -> None:
        self._space, self._config, self._path = space, config, path

    def __call__(self, query: Query, asset: Array, views: ViewSet) -> Alignment:
        """``asset``: M ``[D]``, the asset's vector in the joint space."""
        seen = self._seen(query.object_text, views.images)
        text = self._space.embed_text(query.object_text)
        return align(
            query,
            asset,
            seen,
            text,
            self._config,
            cameras=views.cameras,
            mismatched=self._weights.mismatched,
        )

    @torch.inference_mode()
    def _seen(self, text: str, images: Array) -> Seen:
        """``images`` ``[V, H, W, 4]`` as CrOSSMA sees them for ``text``."""
        encoded = self._space.encode_text(text)
        pictures = self._space.encode_images(images)
        shown = torch.ones(1, len(images), dtype=torch.bool)
        output = self._weights.model(
            torch.from_numpy(encoded.tokens),
            torch.from_numpy(encoded.mask),
            torch.from_numpy(np.sqrt(np.maximum(pictures.features, 0.0)))[None],
            shown,
            torch.from_numpy(pictures.vectors)[None],
        )
        tokens = output.tokens[0][torch.from_numpy(encoded.mask[0])]
        return Seen(output.vector[0].numpy(), output.attention[0].numpy(), tokens.numpy())

    @cached_property
    def _weights(self) -> CrossmaWeights:
        return load_crossma(self._path)
