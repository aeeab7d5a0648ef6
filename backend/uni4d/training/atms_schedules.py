"""ATMS trained under a schedule that is searched for: one member, resumable in the middle of the search."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from uni4d.retrieval.atms import ATMS
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.distributed import Ranks
from uni4d.training.schedules.drawing import draw_tree, tree_as_dot, tree_as_json
from uni4d.training.schedules.mdp import Setting
from uni4d.training.schedules.records import schedule_record
from uni4d.training.schedules.run import Journal, Run
from uni4d.training.schedules.runners import Assignment, runner_of
from uni4d.training.schedules.search import search_with_tree
from uni4d.training.schedules.snapshots import Snapshots
from uni4d.training.schedules.strategies import strategy_of
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

__all__ = ["config_for", "search_members", "train_with_strategy"]

Row = dict[str, float]


def config_for(name: str, config: AtmsTrainConfig) -> AtmsTrainConfig:
    """The settings with what a strategy asks of the model itself."""
    learns = name == "learned-temperature"
    return attrs.evolve(config, model=attrs.evolve(config.model, learns_temperature=learns))


def search_members(
    name: str,
    task: AtmsTask,
    config: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    folder: Path,
    *,
    record: Callable[[int, Row], None] = lambda member, row: None,
    ranks: Ranks | None = None,
) -> list[ATMS]:
    """``config.members`` models, each with a search of its own, as
    :func:`~uni4d.training.atms_training.train_members` trains them under one schedule."""
    if ranks is not None and ranks.count > 1:
        raise Uni4DError(
            "schedule-alone",
            "A schedule search runs in processes of its own, not under torchrun.",
            "Start it without torchrun; --workers says how many processes train at the same time.",
        )
    members = []
    for number in range(config.members):
        part = section(progress, number / config.members, (number + 1) / config.members)
        model, _ = train_with_strategy(
            name,
            task,
            config,
            seed + number,
            part,
            folder / f"member-{number}",
            record=lambda row, number=number: record(number, row),  # type: ignore[misc]
        )
        members.append(model)
    return members


def train_with_strategy(
    name: str,
    task: AtmsTask,
    config: AtmsTrainConfig,
    seed: int,
    progress: Progress,
    folder: Path,
    *,
    record: Callable[[Row], None] = lambda row: None,
) -> tuple[ATMS, dict[str, Any]]:
    """Spend ``config.schedule.budget`` steps as the strategy ``name`` wants; the model with the best
    validation of the training that it hands over, and the record of that training.

    ``task`` must be made from :func:`config_for` ``(name, config)``. ``folder`` keeps the journal, the
    snapshots, ``schedule.json`` and, of a tree search, ``tree.json``, ``tree.dot`` and ``tree.html``; a run
    that was stopped goes on from there.
    """
    config = config_for(name, config)
    strategy = strategy_of(name)
    settings = config.schedule
    about = {
        "seed": str(seed),
        "strategy": name,
        # How many processes train changes nothing but the time (of a search: which one it is, see mcts).
        "config": json.dumps(attrs.asdict(config), sort_keys=True),
    }
    snapshots = Snapshots(folder / "snapshots", {"seed": str(seed)}, settings.snapshots)
    first = Setting(config.loop.learning_rate, config.loop.temperature)
    journal = Journal.opened(folder / "journal.jsonl", about)
    with runner_of(Assignment(task, config.loop, settings, seed, snapshots)) as runner:
        share = config.loop.batch / task.size
        run = Run(settings, first, runner, journal, progress, batch_share=share)
        if name == "mcts":
            outcome, search = search_with_tree(run, seed)
            (folder / "tree.json").write_text(json.dumps(tree_as_json(search.origin, run), indent=1))
            (folder / "tree.dot").write_text(tree_as_dot(search.origin, run))
            draw_tree(search.origin, run, folder / "tree.html", f"Schedule search, seed {seed}")
        else:
            outcome = strategy(run, seed)
        weights = run.weights(outcome.best)
    told = schedule_record(name, run, outcome)
    (folder / "schedule.json").write_text(json.dumps(told, indent=1))
    for row in told["rows"]:
        record(row)
    model = task.new_model()
    model.load_state_dict(weights)
    return model.eval(), told
