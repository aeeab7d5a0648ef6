"""All arms by name, in the order of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs
from attrs import frozen

from uni4d.evaluation.adapters import LinearAdapter, MlpAdapter
from uni4d.evaluation.arms import Arm, Sentences
from uni4d.evaluation.neighbours import Captions, NeighbourTransfer
from uni4d_shared.errors import Uni4DError

if TYPE_CHECKING:
    from uni4d.library.features import AssetFeatures
    from uni4d.retrieval.atms import ATMS
    from uni4d.training.atms import AtmsTrainConfig, NamedPictures

__all__ = ["ARMS", "OPTIONAL", "READS_TEXTS", "Recipe", "make_arms"]

ARMS = {
    "knn-points": "k-NN, point features",
    "knn-views": "k-NN, view features",
    "knn-sum": "k-NN, points + views, summed",
    "captions": "captions (reads the gallery's words)",
    "linear": "linear adapter (ridge)",
    "mlp": "MLP adapter (contrastive)",
    "atms-mean": "ATMS without attention",
    "kernel": "kernel map (closed form)",
    "atms": "ATMS",
    "atms-kernel": "ATMS and kernel map (the product)",
    "atms-shipped": "ATMS, the weights that ship",
}
"""Name → what the tables call it."""

OPTIONAL = frozenset({"atms-shipped"})
"""Arms that are measured only when they are asked for."""

READS_TEXTS = frozenset({"captions"})
"""Arms that are references, for they know the gallery's words."""

_QUICK_STEPS = 60
_BLOCKS: dict[str, tuple[str, ...]] = {
    "knn-points": ("points",),
    "knn-views": ("views",),
    "knn-sum": ("points", "views"),
}


@frozen(eq=False)
class Recipe:
    """How arms that are trained are trained."""

    atms: AtmsTrainConfig | None = None
    """``None``: the defaults, which are those of ``uni4d train atms``."""
    pictures: NamedPictures | None = None
    """Named pictures for ATMS to learn from too."""
    quick: bool = False
    """Short trainings, whose figures mean nothing."""


def make_arms(
    names: Sequence[str], sentences: Sentences, features: AssetFeatures, recipe: Recipe
) -> list[Arm]:
    """The named arms, unlearnt, in the order of :data:`ARMS`."""
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        said = f"There is no arm “{unknown[0]}”." if unknown else "No arm is named."
        raise Uni4DError("arm-unknown", said, f"Known: {', '.join(ARMS)}.")
    shelf: dict[int, tuple[list[ATMS], float]] = {}
    return [_make(name, sentences, features, recipe, shelf) for name in ARMS if name in names]


def _make(
    name: str,
    sentences: Sentences,
    features: AssetFeatures,
    recipe: Recipe,
    shelf: dict[int, tuple[list[ATMS], float]],
) -> Arm:
    title = ARMS[name]
    if name in _BLOCKS:
        return NeighbourTransfer(name, title, _BLOCKS[name], sentences)
    if name == "captions":
        return Captions(sentences, name, title)
    if name == "linear":
        return LinearAdapter(sentences, name, title)
    if name == "mlp":
        arm = MlpAdapter(sentences, name, title)
        return attrs.evolve(arm, steps=_QUICK_STEPS, members=1) if recipe.quick else arm
    from uni4d.evaluation.atms_arm import AtmsArm, KernelArm, ShippedAtms

    if name == "atms-shipped":
        return ShippedAtms(sentences.encoder, name, title)
    if name == "kernel":
        return KernelArm(sentences.encoder, name, title)
    config = _atms_config(name, sentences, features, recipe)
    return AtmsArm(
        sentences.encoder,
        name,
        title,
        config,
        recipe.pictures,
        with_kernel=name == "atms-kernel",
        shelf={} if name == "atms-mean" else shelf,
    )


def _atms_config(name: str, sentences: Sentences, features: AssetFeatures, recipe: Recipe) -> AtmsTrainConfig:
    """The recipe's settings, with the widths of the features at hand."""
    from uni4d.training.atms import AtmsTrainConfig

    config = recipe.atms or AtmsTrainConfig()
    text = sentences.encoder.dimensions
    widths = {"text": text, "points": features.points.shape[2], "views": features.views.shape[2]}
    inputs = {modality: widths.get(modality, width) for modality, width in config.model.inputs.items()}
    attention = config.model.attention and name != "atms-mean"
    model = attrs.evolve(config.model, inputs=inputs, dimensions=text, attention=attention)
    config = attrs.evolve(config, model=model)
    if recipe.quick:
        loop = attrs.evolve(config.loop, steps=_QUICK_STEPS, validate_every=_QUICK_STEPS // 3)
        config = attrs.evolve(config, loop=loop, members=1)
    return config
