"""From features to a trained ATMS: members one after the other, each resumable, its best step kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from attrs import define, field

from uni4d.encoders.protocols import TextEncoder
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import ATMS
from uni4d.retrieval.kernel_map import KernelMap
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.distributed import Ranks
from uni4d.training.loop import Schedule, schedule_of, seeded_state, train
from uni4d.training.state import TrainState
from uni4d_shared.progress import Progress, section

__all__ = ["kernel_map", "train_member", "train_members"]

Row = dict[str, float]


def kernel_map(known: Sequence[AssetFeatures], encoder: TextEncoder) -> KernelMap:
    """The closed-form companion of ATMS, from the words of all objects that are not for testing.

    It has no early stopping to choose, so it learns from the validation objects too.
    """
    names = [name.lower() for features in known for name in features.names]
    words = [", ".join(texts).lower() for features in known for texts in features.texts]
    # Every name once: the same name in two batches would differ in its last bits.
    distinct = list(dict.fromkeys([*names, *words]))
    vectors = dict(zip(distinct, encoder.encode(distinct).pooled, strict=True))
    views, sizes, points = (
        np.concatenate([getattr(features, name) for features in known])
        for name in ("views", "sizes", "points")
    )
    return KernelMap.fit(
        views,
        sizes,
        points[:, 0],
        np.stack([vectors[name] for name in names]),
        np.stack([vectors[text] for text in words]),
    )


def train_members(
    task: AtmsTask,
    config: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path | None = None,
    schedule: Schedule | None = None,
    record: Callable[[int, Row], None] = lambda member, row: None,
    ranks: Ranks | None = None,
) -> list[ATMS]:
    """``config.members`` models from the seeds ``seed``, ``seed + 1``, …, under ``schedule`` or the one of
    ``config``; with ``folder`` a training that was stopped goes on where it was."""
    members = []
    for number in range(config.members):
        part = section(progress, number / config.members, (number + 1) / config.members)
        place = None if folder is None else folder / f"member-{number}"
        members.append(
            train_member(
                task,
                config,
                seed + number,
                part,
                folder=place,
                schedule=schedule,
                record=lambda row, number=number: record(number, row),  # type: ignore[misc]
                ranks=ranks,
            )
        )
    return members


def train_member(
    task: AtmsTask,
    config: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path | None = None,
    schedule: Schedule | None = None,
    record: Callable[[Row], None] = lambda row: None,
    ranks: Ranks | None = None,
) -> ATMS:
    """One model, with the weights of its best validation (mean reciprocal rank).

    The caller's random state is left alone. ``folder`` keeps the state of the training and its best weights.
    """
    ranks = ranks or Ranks()
    with torch.random.fork_rng():
        state = seeded_state(task.new_model, config.loop, seed, ranks)
        about = {"seed": str(seed), "config": json.dumps(attrs.asdict(config), sort_keys=True)}
        keeper = _Keeper(state, folder, about, ranks)
        keeper.resume()

        def keep(row: Row) -> None:
            keeper.note(row)
            record(row)

        train(
            state,
            task,
            config.loop,
            schedule or schedule_of(config.loop),
            seed,
            progress,
            record=keep,
            save=lambda _: keeper.save(),
            ranks=ranks,
        )
        model = state.model
        model.load_state_dict(keeper.best or model.state_dict())
    if not isinstance(model, ATMS):
        raise TypeError(f"the training of ATMS holds a {type(model).__name__}")
    return model.eval().cpu()


@define(eq=False)
class _Keeper:
    """The state of one training and its best weights, in memory and, with a folder, on disk."""

    state: TrainState
    folder: Path | None
    about: dict[str, str]
    ranks: Ranks
    score: float = -1.0
    best: dict[str, Any] = field(factory=dict)

    def resume(self) -> None:
        if self.folder is None or not (self.folder / "state.safetensors").exists():
            return
        from safetensors.torch import load_file

        self.state.load(self.folder / "state.safetensors", self.about)
        best = self.folder / "best.safetensors"
        if best.exists():
            self.best = load_file(best)
            self.score = json.loads((self.folder / "best.json").read_text())["validation_mrr"]

    def note(self, row: Row) -> None:
        """Remember the present weights when they are the best so far."""
        if row["validation_mrr"] <= self.score:
            return
        self.score, self.best = row["validation_mrr"], self.state.snapshot().weights
        if self.folder is None or not self.ranks.first:
            return
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        save_file(self.best, self.folder / "best.safetensors")
        (self.folder / "best.json").write_text(json.dumps(row))

    def save(self) -> None:
        if self.folder is not None and self.ranks.first:
            self.state.save(self.folder / "state.safetensors", self.about)
