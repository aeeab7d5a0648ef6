"""From features to a trained CrOSSMA: vectors by cross-fitting, then one training.

Every training object gets its vectors T, M and I_v from a retrieval model of another fold. The validation
objects chose the step of these models and nothing more; they do the same here. Named pictures are dealt out
to the folds too: none of these models has seen one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from uni4d.alignment.crossma import Crossma, pairwise
from uni4d.alignment.weights import CrossmaWeights
from uni4d.encoders.protocols import TextEncoder
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.encoder import AtmsEncoder, RetrievalWeights
from uni4d.training.atms import AtmsTask, AtmsTrainConfig, NamedPictures, recentred
from uni4d.training.atms_training import kernel_map, train_members
from uni4d.training.crossma import (
    AlignedObjects,
    AlignedPictures,
    CrossmaTask,
    CrossmaTrainConfig,
    all_pairs,
)
from uni4d.training.loop import seeded_state
from uni4d.training.resumable import train_in
from uni4d_shared.progress import Progress, section

__all__ = [
    "CrossFitted",
    "aligned_objects",
    "aligned_pictures",
    "cross_fitted",
    "mismatched_quantiles",
    "train_crossma",
]

Array = NDArray[Any]
Parted = TypeVar("Parted", AlignedObjects, AlignedPictures)


@frozen(eq=False)
class CrossFitted:
    """What CrOSSMA learns from and is validated on, with vectors of models that have not learnt from it."""

    train: AlignedObjects
    validation: AlignedObjects
    pictures: AlignedPictures | None = None


def aligned_objects(features: AssetFeatures, atms: AtmsEncoder, encoder: TextEncoder) -> AlignedObjects:
    """What CrOSSMA reads of objects whose vectors ``atms`` gives."""
    names = [name.lower() for name in features.names]
    encoded = encoder.encode(names)
    count, views, width = features.views.shape
    images = atms.embed_pictures(features.views.reshape(count * views, width))
    return AlignedObjects(
        features.names,
        features.groups,
        encoded.tokens,
        encoded.mask,
        np.sqrt(np.maximum(features.views, 0.0)),
        atms.embed_texts(names),
        atms.embed_features(features),
        images.reshape(count, views, -1),
    )


def aligned_pictures(pictures: NamedPictures, atms: AtmsEncoder, encoder: TextEncoder) -> AlignedPictures:
    """What CrOSSMA reads of named pictures; their features as :func:`recentred` moved them."""
    encoded = encoder.encode(list(pictures.names))
    return AlignedPictures(
        pictures.names,
        encoded.tokens,
        encoded.mask,
        np.sqrt(np.maximum(pictures.views, 0.0))[:, None],
        atms.embed_texts(list(pictures.names)),
        atms.embed_pictures(pictures.views)[:, None],
    )


def cross_fitted(
    features: AssetFeatures,
    encoder: TextEncoder,
    config: CrossmaTrainConfig,
    atms: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    folder: Path,
    pictures: NamedPictures | None = None,
) -> CrossFitted:
    """The training and the validation objects, and named pictures where there are any.

    The trainings of the folds are kept in ``folder`` and go on where they were stopped.
    """
    loop = attrs.evolve(atms.loop, steps=config.fold_steps)
    atms = attrs.evolve(atms, members=1, loop=loop)
    train_features, validation = features.split("train"), features.split("validation")
    fold_of = _folds(train_features.groups, config.folds, seed)
    dealt = None if pictures is None else _dealt(pictures, train_features, config.folds, seed)
    parts, held, shown = [], [], []
    for fold in range(config.folds):
        known = train_features.rows(np.flatnonzero(fold_of != fold))
        task = AtmsTask(known, validation, encoder, atms)
        part = section(progress, fold / config.folds, (fold + 1) / config.folds)
        members = train_members(task, atms, seed + fold, part, folder=folder / f"fold-{fold}")
        model = AtmsEncoder(RetrievalWeights(tuple(members), kernel_map([known], encoder)), encoder)
        rows = np.flatnonzero(fold_of == fold)
        parts.append((rows, aligned_objects(train_features.rows(rows), model, encoder)))
        held.append(aligned_objects(validation, model, encoder))
        if dealt is not None:
            places, some = dealt[fold]
            shown.append((places, aligned_pictures(some, model, encoder)))
    return CrossFitted(_joined(parts), held[0], _joined(shown) if shown else None)


def train_crossma(
    fitted: CrossFitted,
    config: CrossmaTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path | None = None,
    record: Callable[[dict[str, float]], None] = lambda row: None,
) -> CrossmaWeights:
    """The network of the last step, with the scale of its scores on the validation objects."""
    objects, validation = fitted.train, fitted.validation
    sizes = attrs.evolve(config.model, joint=objects.texts.shape[1])
    config = attrs.evolve(config, model=sizes)
    task = CrossmaTask(objects, validation, config, fitted.pictures)
    about = {"seed": str(seed), "config": json.dumps(attrs.asdict(config), sort_keys=True)}
    if fitted.pictures is not None:
        about["pictures"] = str(len(fitted.pictures))
    with torch.random.fork_rng():
        state = seeded_state(task.new_model, config.loop, seed)
        train_in(folder, state, task, config.loop, seed, progress, about=about, record=record)
    model = cast("Crossma", state.model).eval().cpu()
    return CrossmaWeights(model, mismatched_quantiles(model, validation))


@torch.inference_mode()
def mismatched_quantiles(model: Crossma, objects: AlignedObjects) -> Array:
    """``[101]``: L_align with all λ = 1 over the pairs of ``objects`` that do not belong together."""
    output = all_pairs(model, objects)
    losses = pairwise(
        output, torch.from_numpy(objects.texts), torch.from_numpy(objects.objects), (1.0, 1.0, 1.0)
    )
    return np.quantile(losses[~objects.same].numpy(), np.linspace(0.0, 1.0, 101))


def _folds(groups: Sequence[str], count: int, seed: int) -> Array:
    """``[N]``: a fold for every object, one for all of a group."""
    distinct = list(dict.fromkeys(groups))
    places = np.random.default_rng((seed, 4)).permutation(len(distinct)) % count
    fold_of = dict(zip(distinct, places.tolist(), strict=True))
    return np.array([fold_of[group] for group in groups])


def _dealt(
    pictures: NamedPictures, objects: AssetFeatures, folds: int, seed: int
) -> list[tuple[Array, NamedPictures]]:
    """For each fold rows and pictures, one fold for all of one name; their style is that of the objects."""
    fold_of = _folds(pictures.names, folds, seed)
    views = recentred(pictures.views, objects.views)
    places = [np.flatnonzero(fold_of == fold) for fold in range(folds)]
    return [(rows, NamedPictures(tuple(pictures.names[row] for row in rows), views[rows])) for rows in places]


def _joined(parts: Sequence[tuple[Array, Parted]]) -> Parted:
    """The items of all folds in their first order; shorter texts are padded."""
    longest = max(part.tokens.shape[1] for _, part in parts)
    order = np.argsort(np.concatenate([rows for rows, _ in parts]))
    joined: dict[str, Any] = {}
    for field in attrs.fields(type(parts[0][1])):
        columns = [getattr(part, field.name) for _, part in parts]
        if isinstance(columns[0], tuple):
            values = [value for column in columns for value in column]
            joined[field.name] = tuple(values[place] for place in order)
        elif field.name in ("tokens", "mask"):
            joined[field.name] = np.concatenate([_padded(column, longest) for column in columns])[order]
        else:
            joined[field.name] = np.concatenate(columns)[order]
    return type(parts[0][1])(**joined)


def _padded(values: Array, length: int) -> Array:
    """``[N, L, …]`` → ``[N, length, …]``"""
    return np.pad(values, [(0, 0), (0, length - values.shape[1]), *[(0, 0)] * (values.ndim - 2)])
