"""Two processes under torchrun train as one process does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = """
import sys, torch
from pathlib import Path
sys.path.insert(0, {folder!r})
from harness.made_up_world import WIDTH, WordVectors, made_up
from safetensors.torch import save_file
from uni4d.retrieval.atms import AtmsConfig
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.distributed import ranks_of_torchrun
from uni4d.training.loop import Constant, LoopConfig, new_state, run_steps

torch.set_num_threads(1)
model = AtmsConfig({{"text": WIDTH, "points": 16, "views": 40, "size": 9}}, 32, 1, 2, WIDTH, dropout=0.0)
loop = LoopConfig(batch=16, learning_rate=1e-3)
config = AtmsTrainConfig(model, loop, pictures=0, name_share=1.0, feature_dropout=0.0, modality_dropout=0.0)
with ranks_of_torchrun("cpu") as ranks:
    task = AtmsTask(made_up(40, 1), made_up(10, 2), WordVectors(), config)
    task._shown = lambda rows: {{
        name: type(tokens)(tokens.values[rows], tokens.mask[rows]) for name, tokens in task._objects.items()
    }}
    torch.manual_seed(0)
    state = new_state(task.new_model(), loop)
    run_steps(state, task, loop, Constant(1e-3), 0, 5, ranks=ranks)
    if ranks.first:
        save_file(state.snapshot().weights, sys.argv[1])
    del state, task
"""


@pytest.mark.slow
def test_two_ranks_take_the_steps_of_one(tmp_path: Path) -> None:
    """Without dropout the weights agree up to rounding: gradients are those of the whole batch's loss."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parents[2])))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name, command in {
        "one": [sys.executable, str(script)],
        "two": [
            *(
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--nproc-per-node",
                "2",
                "--master-port",
                "29471",
            ),
            str(script),
        ],
    }.items():
        done = subprocess.run(
            [*command, str(tmp_path / f"{name}.safetensors")],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    one, two = (load_file(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        difference = (value - two[name]).abs()
        if name.endswith("attention.in_proj_bias"):
            # The keys' bias moves all scores of a query alike, which softmax does not see: its gradient is
            # nothing but rounding, of which Adam makes steps of full length.
            queries, _, values = difference.chunk(3)
            difference = torch.cat([queries, values])
        assert difference.max() < 2e-5, name
