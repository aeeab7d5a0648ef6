"""Is the alignment score worth anything? (Uni4D §3.4, Figure 7.) On objects that nobody has learnt from.

**Pairs.** A matching text against another one for the same object, and a matching object against another one
for the same text: how often does the matching one have the better score? Texts are the objects' names; names
and near-duplicates that match too are left out of the others. Chance is 0.5.

**Percentiles.** Where a pair's score lies among scores of what does not belong together, by the scale that
comes with the weights: flat for mismatches if the scale is honest, high for matches if the score is good.

**Without a level.** The same, with CrOSSMA trained and the score computed without text-3D, without 3D-image,
without image-text; and without CrOSSMA, all views being worth the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from uni4d.alignment.crossma import Crossma, CrossmaOutput, pairwise
from uni4d.alignment.weights import CrossmaWeights
from uni4d.evaluation.metrics import Estimate, bootstrap
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.encoder import AtmsEncoder
from uni4d.training.atms import AtmsTrainConfig, NamedPictures
from uni4d.training.crossma import AlignedObjects, CrossmaTrainConfig, all_pairs
from uni4d.training.crossma_training import aligned_objects, cross_fitted, train_crossma
from uni4d_shared.progress import Progress, section

if TYPE_CHECKING:
    from uni4d.encoders.protocols import TextEncoder

__all__ = ["LEVELS", "AlignmentFigures", "Variant", "compare_alignments", "measure_alignment", "percentiles"]

Array = NDArray[Any]
Levels = tuple[float, float, float]

LEVELS: dict[str, Levels] = {
    "full": (1.0, 1.0, 1.0),
    "without text-3D": (0.0, 1.0, 1.0),
    "without 3D-image": (1.0, 0.0, 1.0),
    "without image-text": (1.0, 1.0, 0.0),
}
"""Variant → λ₁, λ₂, λ₃."""


@frozen(eq=False)
class Variant:
    """One row of the table."""

    name: str
    levels: Levels
    model: Crossma | None
    """``None``: the mean of the views instead of CrOSSMA."""


@frozen(eq=False)
class AlignmentFigures:
    """What one variant is worth."""

    variant: str
    texts: Estimate
    """How often a matching text beats another one for the same object."""
    objects: Estimate
    """How often a matching object beats another one for the same text."""
    attention: Array
    """``[N, V]``: weights of the views for the matching text."""


def compare_alignments(
    features: AssetFeatures,
    encoder: TextEncoder,
    seed: int,
    folder: Path,
    progress: Progress,
    pictures: NamedPictures | None = None,
) -> tuple[AlignedObjects, list[AlignmentFigures], CrossmaWeights]:
    """Train what is missing in ``folder`` and measure it on the test objects, whose vectors come from the
    retrieval weights that ship. Returns the objects, a row per variant (the full one first), and the weights
    of the full one."""
    config = CrossmaTrainConfig()
    fitting, learning = section(progress, 0.0, 0.6), section(progress, 0.6, 1.0)
    fitted = cross_fitted(features, encoder, config, AtmsTrainConfig(), seed, fitting, folder, pictures)
    variants, full = [], None
    for number, (name, levels) in enumerate(LEVELS.items()):
        part = section(learning, number / len(LEVELS), (number + 1) / len(LEVELS))
        text_shape, shape_image, image_text = levels
        changed = attrs.evolve(config, text_shape=text_shape, shape_image=shape_image, image_text=image_text)
        weights = train_crossma(fitted, changed, seed, part, folder=folder / name.replace(" ", "-"))
        full = full or weights
        variants.append(Variant(name, levels, weights.model))
    variants.append(Variant("views averaged, without CrOSSMA", LEVELS["full"], None))
    objects = aligned_objects(features.split("test"), AtmsEncoder.load(encoder), encoder)
    if full is None:
        raise RuntimeError("the full loss is one of the variants")
    return objects, measure_alignment(objects, variants), full


def measure_alignment(objects: AlignedObjects, variants: Sequence[Variant]) -> list[AlignmentFigures]:
    """Every variant on the same objects."""
    wrong = ~objects.same.numpy()
    clusters = [name.casefold() for name in objects.names]
    figures = []
    for variant in variants:
        losses, attention = _losses(objects, variant)
        right = np.diagonal(losses)
        # Rows are texts, columns objects.
        texts = _shares((right[None] < losses) & wrong, wrong, axis=0)
        others = _shares((right[:, None] < losses) & wrong, wrong, axis=1)
        figures.append(
            AlignmentFigures(variant.name, _estimate(texts, clusters), _estimate(others, clusters), attention)
        )
    return figures


def percentiles(objects: AlignedObjects, weights: CrossmaWeights) -> Mapping[str, Array]:
    """``matches`` and ``mismatches``: the percentile of every pair, as :func:`uni4d.alignment.align` says
    it."""
    losses, _ = _losses(objects, Variant("full", LEVELS["full"], weights.model))
    places = 100.0 * (
        1.0 - np.interp(losses, weights.mismatched, np.linspace(0.0, 1.0, len(weights.mismatched)))
    )
    wrong = ~objects.same.numpy()
    return {"matches": np.diagonal(places), "mismatches": places[wrong]}


@torch.inference_mode()
def _losses(objects: AlignedObjects, variant: Variant) -> tuple[Array, Array]:
    """``[N, N]`` L_align of texts (rows) with objects, and ``[N, V]`` the matching texts' attention."""
    if variant.model is None:
        images = torch.nn.functional.normalize(torch.from_numpy(objects.images).mean(dim=1), dim=-1)
        flat = torch.full(objects.images.shape[:2], 1.0 / objects.images.shape[1])
        count = len(objects)
        output = CrossmaOutput(
            torch.zeros(0), flat[None].expand(count, -1, -1), images[None].expand(count, -1, -1)
        )
    else:
        output = all_pairs(variant.model.eval(), objects)
    texts, shapes = torch.from_numpy(objects.texts), torch.from_numpy(objects.objects)
    losses = pairwise(output, texts, shapes, variant.levels)
    rows = torch.arange(len(objects))
    return losses.numpy().astype(np.float64), output.attention[rows, rows].numpy()


def _shares(beats: Array, wrong: Array, axis: int) -> Array:
    """``[N, 1]``: of the others, how many are beaten."""
    return (beats.sum(axis=axis) / np.maximum(wrong.sum(axis=axis), 1))[:, None]


def _estimate(values: Array, clusters: Sequence[str]) -> Estimate:
    low, high = bootstrap(values, clusters)
    return Estimate(float(values.mean()), float(low[0]), float(high[0]), None)
