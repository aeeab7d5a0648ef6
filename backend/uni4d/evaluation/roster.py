"""All arms by name, in the order of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from uni4d.evaluation.adapters import LinearAdapter, MlpAdapter
from uni4d.evaluation.arms import Arm, Sentences
from uni4d.evaluation.neighbours import Captions, NeighbourTransfer
from uni4d_shared.errors import Uni4DError

if TYPE_CHECKING:
    from uni4d.library.features import AssetFeatures

__all__ = ["ARMS", "READS_TEXTS", "make_arms"]

ARMS = {
    "knn-points": "k-NN, point features",
    "knn-views": "k-NN, view features",
    "knn-sum": "k-NN, points + views, summed",
    "captions": "captions (reads the gallery's words)",
    "linear": "linear adapter (ridge)",
    "mlp": "MLP adapter (contrastive)",
    "atms-mean": "ATMS without attention",
    "atms": "ATMS",
}
"""Name → what the tables call it."""

READS_TEXTS = frozenset({"captions"})
"""Arms that are references, for they know the gallery's words."""

_QUICK_STEPS = 60
_BLOCKS: dict[str, tuple[str, ...]] = {
    "knn-points": ("points",),
    "knn-views": ("views",),
    "knn-sum": ("points", "views"),
}


def make_arms(names: Sequence[str], sentences: Sentences, features: AssetFeatures, quick: bool) -> list[Arm]:
    """The named arms, unlearnt, in the order of :data:`ARMS`; ``quick`` shortens their trainings."""
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        said = f"There is no arm “{unknown[0]}”." if unknown else "No arm is named."
        raise Uni4DError("arm-unknown", said, f"Known: {', '.join(ARMS)}.")
    return [_make(name, sentences, features, quick) for name in ARMS if name in names]


def _make(name: str, sentences: Sentences, features: AssetFeatures, quick: bool) -> Arm:
    title = ARMS[name]
    if name in _BLOCKS:
        return NeighbourTransfer(name, title, _BLOCKS[name], sentences)
    if name == "captions":
        return Captions(sentences, name, title)
    if name == "linear":
        return LinearAdapter(sentences, name, title)
    if name == "mlp":
        arm = MlpAdapter(sentences, name, title)
        return attrs.evolve(arm, steps=_QUICK_STEPS) if quick else arm
    return _make_atms(name, title, sentences, features, quick)


def _make_atms(name: str, title: str, sentences: Sentences, features: AssetFeatures, quick: bool) -> Arm:
    from uni4d.evaluation.atms_arm import AtmsArm
    from uni4d.training.atms import AtmsTrainConfig

    config = AtmsTrainConfig()
    widths: dict[str, Any] = {
        "text": sentences.encoder.dimensions,
        "points": features.points.shape[2],
        "views": features.views.shape[2],
    }
    model = attrs.evolve(
        config.model, inputs={**config.model.inputs, **widths}, attention=name != "atms-mean"
    )
    loop = config.loop
    if quick:
        loop = attrs.evolve(loop, steps=_QUICK_STEPS, validate_every=_QUICK_STEPS // 3)
    return AtmsArm(sentences.encoder, name, title, attrs.evolve(config, model=model, loop=loop))
