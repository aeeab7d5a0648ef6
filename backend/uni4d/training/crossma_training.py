"""From features to a trained CrOSSMA: vectors by cross-fitting, then one training.

Every training object gets its vectors T, M and I_v from a retrieval model of another fold. The validation
objects chose the step of these models and nothing more; they do the same here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from uni4d.alignment.crossma import Crossma, pairwise
from uni4d.alignment.weights import CrossmaWeights
from uni4d.encoders.protocols import TextEncoder
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.encoder import AtmsEncoder, RetrievalWeights
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.atms_training import kernel_map, train_members
from uni4d.training.crossma import AlignedObjects, CrossmaTask, CrossmaTrainConfig, all_pairs
from uni4d.training.loop import schedule_of, seeded_state, train
from uni4d_shared.progress import Progress, section

__all__ = ["aligned_objects", "cross_fitted", "mismatched_quantiles", "train_crossma"]

Array = NDArray[Any]


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


def cross_fitted(
    features: AssetFeatures,
    encoder: TextEncoder,
    config: CrossmaTrainConfig,
    atms: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    folder: Path,
) -> tuple[AlignedObjects, AlignedObjects]:
    """The training and the validation objects with vectors of models that have not learnt from them.

    The trainings of the folds are kept in ``folder`` and go on where they were stopped.
    """
    loop = attrs.evolve(atms.loop, steps=config.fold_steps)
    atms = attrs.evolve(atms, members=1, loop=loop)
    train_features, validation = features.split("train"), features.split("validation")
    fold_of = _folds(train_features.groups, config.folds, seed)
    parts, held = [], []
    for fold in range(config.folds):
        known = train_features.rows(np.flatnonzero(fold_of != fold))
        task = AtmsTask(known, validation, encoder, atms)
        part = section(progress, fold / config.folds, (fold + 1) / config.folds)
        members = train_members(task, atms, seed + fold, part, folder=folder / f"fold-{fold}")
        model = AtmsEncoder(RetrievalWeights(tuple(members), kernel_map([known], encoder)), encoder)
        rows = np.flatnonzero(fold_of == fold)
        parts.append((rows, aligned_objects(train_features.rows(rows), model, encoder)))
        held.append(aligned_objects(validation, model, encoder))
    return _joined(parts, len(train_features)), held[0]


def train_crossma(
    objects: AlignedObjects,
    validation: AlignedObjects,
    config: CrossmaTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path | None = None,
    record: Callable[[dict[str, float]], None] = lambda row: None,
) -> CrossmaWeights:
    """The network of the last step, with the scale of its scores on the validation objects."""
    sizes = attrs.evolve(config.model, joint=objects.texts.shape[1])
    config = attrs.evolve(config, model=sizes)
    task = CrossmaTask(objects, validation, config)
    about = {"seed": str(seed), "config": json.dumps(attrs.asdict(config), sort_keys=True)}
    with torch.random.fork_rng():
        state = seeded_state(task.new_model, config.loop, seed)
        saved = None if folder is None else folder / "state.safetensors"
        if saved is not None and saved.exists():
            state.load(saved, about)
        train(
            state,
            task,
            config.loop,
            schedule_of(config.loop),
            seed,
            progress,
            record=record,
            save=lambda state: None if saved is None else state.save(saved, about),
        )
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


def _joined(parts: Sequence[tuple[Array, AlignedObjects]], count: int) -> AlignedObjects:
    """The objects of all folds in their first order; shorter texts are padded."""
    longest = max(part.tokens.shape[1] for _, part in parts)
    names, groups = [""] * count, [""] * count
    arrays: dict[str, Array] = {}
    for rows, part in parts:
        for row, name, group in zip(rows.tolist(), part.names, part.groups, strict=True):
            names[row], groups[row] = name, group
        missing = longest - part.tokens.shape[1]
        padded = {
            "tokens": np.pad(part.tokens, ((0, 0), (0, missing), (0, 0))),
            "mask": np.pad(part.mask, ((0, 0), (0, missing))),
            **{name: getattr(part, name) for name in ("views", "texts", "objects", "images")},
        }
        for name, values in padded.items():
            whole = arrays.setdefault(name, np.zeros((count, *values.shape[1:]), values.dtype))
            whole[rows] = values
    return AlignedObjects(tuple(names), tuple(groups), **arrays)
