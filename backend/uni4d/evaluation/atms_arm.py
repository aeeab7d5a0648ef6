"""ATMS in the tables, with its attention and without it (mean pooling instead, everything else equal)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray

from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import ATMS, Sequences, Tokens
from uni4d.retrieval.atms_inputs import feature_sequences, text_tokens
from uni4d.training.atms import AtmsTask, AtmsTrainConfig, NamedPictures
from uni4d.training.loop import new_state, schedule_of, train
from uni4d_shared.progress import Progress

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["AtmsArm"]

Array = NDArray[Any]

_BATCH = 128


@define(eq=False)
class AtmsArm:
    """Trained from scratch for every seed; the weights are those of the best validation."""

    encoder: TextEncoder
    name: str
    title: str
    config: AtmsTrainConfig
    pictures: NamedPictures | None = None
    reads_texts: bool = False
    _model: ATMS | None = field(init=False, default=None)

    @property
    def known_names(self) -> frozenset[str]:
        return frozenset(self.pictures.names if self.pictures else ())

    def settings(self) -> dict[str, Any]:
        return {"kind": "atms", **attrs.asdict(self.config), "named pictures": sorted(self.known_names)}

    def fit(
        self, train_objects: AssetFeatures, validation: AssetFeatures, seed: int, progress: Progress
    ) -> dict[str, Any]:
        loop = self.config.loop
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            task = AtmsTask(train_objects, validation, self.encoder, self.config, self.pictures)
            state = new_state(ATMS(self.config.model), loop)
            best: dict[str, Any] = {"validation_mrr": -1.0}

            def keep_the_best(row: dict[str, float]) -> None:
                if row["validation_mrr"] > best["validation_mrr"]:
                    best["validation_mrr"], best["step"] = row["validation_mrr"], int(row["step"])
                    best["weights"] = state.snapshot().weights

            train(state, task, loop, schedule_of(loop), seed, progress, record=keep_the_best)
        self._model = ATMS(self.config.model)
        self._model.load_state_dict(best.pop("weights"))
        self._model.eval()
        return best

    def embed_assets(self, features: AssetFeatures) -> Array:
        return self._embedded(feature_sequences(features), len(features))

    def embed_texts(self, texts: Sequence[str]) -> Array:
        return self._embedded(text_tokens(self.encoder.encode(texts)), len(texts))

    @torch.inference_mode()
    def _embedded(self, sequences: Sequences, count: int) -> Array:
        if self._model is None:
            raise RuntimeError("an arm embeds after it was fitted")
        parts = [
            self._model(
                {
                    name: Tokens(tokens.values[some], tokens.mask[some])
                    for some in [slice(start, start + _BATCH)]
                    for name, tokens in sequences.items()
                }
            ).numpy()
            for start in range(0, count, _BATCH)
        ]
        return np.concatenate(parts)
