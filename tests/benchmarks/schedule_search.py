"""What a schedule search costs beside plain training, and how it scales with processes.

    OMP_WAIT_POLICY=PASSIVE python tests/benchmarks/schedule_search.py [--budget 160]

On made-up objects of the real features' sizes. Prints gradient steps a second: of the plain loop without a
validation; of a constant schedule, which validates after every interval; of the tree search, which also
keeps and restores snapshots; and of the tree search in two processes, with their start and without.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from harness.made_up_world import WIDTH, WordVectors, made_up

from uni4d.retrieval.atms import AtmsConfig
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.loop import LoopConfig, run_steps, schedule_of, seeded_state
from uni4d.training.schedules.config import ScheduleConfig
from uni4d.training.schedules.mdp import Setting
from uni4d.training.schedules.run import Journal, Run
from uni4d.training.schedules.runners import Assignment, runner_of
from uni4d.training.schedules.snapshots import Snapshots
from uni4d.training.schedules.strategies import strategy_of
from uni4d_shared.progress import silent

write = sys.stdout.write


def searched(task: AtmsTask, loop: LoopConfig, config: ScheduleConfig, name: str) -> tuple[float, float]:
    """Steps a second of a strategy, without and with the start of its processes."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        snapshots = Snapshots(Path(folder), {}, config.snapshots)
        with runner_of(Assignment(task, loop, config, 0, snapshots)) as runner:
            first = Setting(loop.learning_rate, loop.temperature)
            run = Run(config, first, runner, Journal(None), silent, batch_share=loop.batch / task.size)
            started = time.perf_counter()
            strategy_of(name)(run, 0)
            ended = time.perf_counter()
    return run.ledger.spent / (ended - started), run.ledger.spent / (ended - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description="Benchmark of schedule search")
    parser.add_argument("--budget", type=int, default=160, help="gradient steps of each measurement")
    budget = parser.parse_args().budget
    torch.set_num_threads(1)
    model = AtmsConfig({"text": WIDTH, "points": 16, "views": 40, "size": 9}, 192, 1, 4, WIDTH)
    loop = LoopConfig(batch=64, learning_rate=1e-3, warmup=0)
    config = AtmsTrainConfig(model, loop, pictures=0, members=1)
    task = AtmsTask(made_up(600, 1), made_up(100, 2), WordVectors(), config)
    schedule = ScheduleConfig(budget=budget, interval=5, horizon=2, simulations=4)
    state = seeded_state(task.new_model, loop, 0)
    run_steps(state, task, loop, schedule_of(loop), 0, 5)
    begun = time.perf_counter()
    run_steps(state, task, loop, schedule_of(loop), 0, budget)
    plain = budget / (time.perf_counter() - begun)
    parallel = ScheduleConfig(budget=budget, interval=5, horizon=2, simulations=4, workers=2)
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    write(f"{parameters:,} weights, {budget} steps, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    write(f"{'':34}{'steps/s':>9}{'to plain':>10}\n")
    rows = [("plain loop", plain)]
    rows.append(("constant, validated", searched(task, loop, schedule, "constant")[0]))
    rows.append(("tree search", searched(task, loop, schedule, "mcts")[0]))
    without, whole = searched(task, loop, parallel, "mcts")
    rows += [("tree search, 2 processes", without), ("  and their start", whole)]
    for name, speed in rows:
        write(f"{name:34}{speed:9.1f}{speed / plain:10.2f}\n")


if __name__ == "__main__":
    main()
