"""A tiny ATMS that learns in seconds."""

from __future__ import annotations

import pytest
from harness.made_up_world import WIDTH, WordVectors, made_up

from uni4d.retrieval.atms import AtmsConfig
from uni4d.training.atms import AtmsTask, AtmsTrainConfig
from uni4d.training.loop import LoopConfig


@pytest.fixture
def tiny_config() -> AtmsTrainConfig:
    model = AtmsConfig({"text": WIDTH, "points": 16, "views": 40, "size": 9}, 32, 1, 2, WIDTH)
    loop = LoopConfig(steps=30, batch=24, learning_rate=3e-3, warmup=2, validate_every=10, save_every=10)
    return AtmsTrainConfig(model, loop, pictures=0, members=1)


@pytest.fixture
def tiny_task(tiny_config: AtmsTrainConfig) -> AtmsTask:
    return AtmsTask(made_up(80, 1), made_up(40, 2), WordVectors(), tiny_config)
