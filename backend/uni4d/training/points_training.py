"""From libraries to a trained point encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import numpy as np
import torch

from uni4d.config import LibraryConfig
from uni4d.encoders.local.points import PointNetwork
from uni4d.encoders.protocols import TextEncoder
from uni4d.library.catalog import Catalog
from uni4d.library.clouds import unpacked
from uni4d.library.features import Split, split_of, stacked_views
from uni4d.library.opened import library_folder, open_library
from uni4d.training.loop import new_state
from uni4d.training.points import PointLearner, PointObjects, PointTask, PointTrainConfig
from uni4d.training.resumable import train_in
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress

__all__ = ["joined", "point_objects", "train_points"]


def point_objects(config: LibraryConfig, splits: Sequence[Split] | None) -> PointObjects:
    """The objects of a built library that lie in one of ``splits``, or all of them."""
    library = open_library(config)
    known = Catalog(library_folder(config) / "catalog").readings()
    rows = [
        (entry.name, known[entry.uid])
        for entry, group in zip(library.table.entries, library.table.groups, strict=True)
        if splits is None or split_of(group) in splits
    ]
    return PointObjects(
        tuple(name for name, _ in rows),
        [unpacked(reading.cloud) for _, reading in rows],
        stacked_views([reading for _, reading in rows]) if rows else np.zeros((0, 1, 1), np.float32),
    )


def joined(parts: Sequence[PointObjects]) -> PointObjects:
    """Objects of several libraries; they must have been built with one number of views and points."""
    filled = [part for part in parts if part.names]
    kinds = {(part.views.shape[1:], len(part.clouds[0].points)) for part in filled}
    if len(kinds) != 1:
        raise Uni4DError(
            "library-differs",
            "The libraries were built with different numbers of views or points.",
            "Build all of them with one [library] table: uni4d library build --force --config FILE",
        )
    return PointObjects(
        tuple(name for part in filled for name in part.names),
        [cloud for part in filled for cloud in part.clouds],
        np.concatenate([part.views for part in filled]),
    )


def train_points(
    objects: PointObjects,
    validation: PointObjects,
    texts: TextEncoder,
    config: PointTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path,
    record: Callable[[dict[str, float]], None] = lambda row: None,
) -> PointNetwork:
    """The point network of the last step; a training that was stopped goes on from ``folder``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        task = PointTask(objects, validation, texts, config)
        learner = PointLearner(config.model, texts.dimensions, objects.views.shape[2])
        state = new_state(learner, config.loop)
        settings = json.dumps(attrs.asdict(config), sort_keys=True)
        about = {"seed": str(seed), "config": settings, "objects": str(len(objects.names))}
        train_in(folder, state, task, config.loop, seed, progress, about=about, record=record)
    return learner.network.eval()
