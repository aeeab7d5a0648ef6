"""The baselines learn what they say, from the training objects only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.encoders.protocols import TextEncoder
from uni4d.evaluation.adapters import LinearAdapter, MlpAdapter
from uni4d.evaluation.arms import Arm, Centred, Sentences, raw_block, together, unit
from uni4d.evaluation.metrics import best_ranks, chance
from uni4d.evaluation.neighbours import Captions, NeighbourTransfer
from uni4d.evaluation.roster import ARMS, READS_TEXTS, Recipe, make_arms
from uni4d.evaluation.tasks import described, tasks_of
from uni4d.library.features import AssetFeatures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent

Array = NDArray[Any]


def _recall(arm: Arm, world: AssetFeatures, key: str, k: int = 1) -> float:
    arm.fit(world.split("train"), world.split("validation"), 0, silent)
    test = world.split("test")
    task = next(task for task in tasks_of(test, ()) if task.key == key)
    scores = task.scores(arm.embed_texts(task.texts), arm.embed_assets(test))
    return float((best_ranks(scores, task.goals) < k).mean())


def test_in_a_linear_world_the_linear_adapter_wins(world: AssetFeatures, encoder: TextEncoder) -> None:
    sentences = Sentences(encoder)
    linear = _recall(LinearAdapter(sentences), world, "r-name")
    views = _recall(NeighbourTransfer("v", "v", ("views",), sentences), world, "r-name")
    points = _recall(NeighbourTransfer("p", "p", ("points",), sentences), world, "r-name")
    assert linear > 0.85
    assert linear > views + 0.15
    assert views > points + 0.2


def test_what_is_noise_finds_nothing(world: AssetFeatures, encoder: TextEncoder) -> None:
    test = world.split("test")
    task = next(task for task in tasks_of(test, ()) if task.key == "r-name")
    points = NeighbourTransfer("p", "p", ("points",), Sentences(encoder))
    assert abs(_recall(points, world, "r-name", 10) - chance(task.goals)["recall@10"]) < 0.12


def test_the_network_learns(world: AssetFeatures, encoder: TextEncoder) -> None:
    arm = MlpAdapter(Sentences(encoder), members=2, steps=80, hidden=64, dropout=0.1)
    assert _recall(arm, world, "r-name") > 0.6


def test_words_find_everything(world: AssetFeatures, encoder: TextEncoder) -> None:
    assert _recall(Captions(Sentences(encoder)), world, "r-instance") == 1.0


def test_neighbours_by_hand(world: AssetFeatures, encoder: TextEncoder) -> None:
    train = together(world.split("train"), world.split("validation"))
    arm = NeighbourTransfer("k", "k", ("points", "views"), Sentences(encoder), choices=(3,))
    arm.fit(world.split("train"), world.split("validation"), 0, silent)
    query = "ruby boat"
    asked = encoder.encode([query]).pooled[0]
    nearness = [
        max(float(asked @ vector) for vector in encoder.encode([name, text]).pooled)
        for name, text in zip(train.names, described(train), strict=True)
    ]
    nearest = sorted(range(len(train)), key=lambda row: -nearness[row])[:3]
    parts = []
    for block in ("points", "views"):
        raw = raw_block(train, block)
        parts.append(unit(raw - raw.mean(axis=0)))
    expected = unit(unit(np.concatenate(parts, axis=1))[nearest].mean(axis=0))
    assert np.allclose(arm.embed_texts([query])[0], expected, atol=1e-5)


def test_the_cosine_of_blocks_end_to_end_is_the_mean_of_their_cosines(
    world: AssetFeatures, encoder: TextEncoder
) -> None:
    arm = NeighbourTransfer("k", "k", ("points", "views"), Sentences(encoder), choices=(1,))
    arm.fit(world.split("train"), world.split("validation"), 0, silent)
    test, known = world.split("test"), together(world.split("train"), world.split("validation"))
    both = arm.embed_assets(test)
    single = [Centred.on(known, block)(test) for block in ("points", "views")]
    assert np.allclose(both @ both.T, sum(each @ each.T for each in single) / 2, atol=1e-5)


def test_ridge_equals_its_primal_twin(world: AssetFeatures, encoder: TextEncoder) -> None:
    arm = LinearAdapter(
        Sentences(encoder), ridges=(0.01,), weights={"points": (0.3,), "views": (1.0,), "size": (0.0,)}
    )
    train, test = together(world.split("train"), world.split("validation")), world.split("test")
    arm.fit(world.split("train"), world.split("validation"), 0, silent)

    def inputs(features: AssetFeatures) -> Array:
        blocks = [("points", 0.3), ("views", 1.0)]
        return np.concatenate(
            [weight * Centred.on(train, block)(features).astype(np.float64) for block, weight in blocks],
            axis=1,
        )

    texts = encoder.encode(train.names).pooled.astype(np.float64)
    target = unit(texts - texts.mean(axis=0))
    known = inputs(train)
    primal = np.linalg.solve(known.T @ known + 0.01 * len(train) * np.eye(known.shape[1]), known.T @ target)
    assert np.allclose(arm.embed_assets(test), unit(inputs(test) @ primal), atol=2e-4)


@pytest.mark.parametrize("name", ["knn-points", "knn-views", "knn-sum", "captions", "linear", "mlp"])
def test_every_arm_gives_unit_vectors_and_repeats_itself(
    name: str, world: AssetFeatures, encoder: TextEncoder
) -> None:
    train, validation, test = (world.split(part) for part in ("train", "validation", "test"))
    vectors = []
    for _ in range(2):
        [arm] = make_arms([name], Sentences(encoder), world, Recipe(quick=True))
        arm.fit(train, validation, 7, silent)
        vectors.append((arm.embed_assets(test), arm.embed_texts(test.names)))
    (objects, texts), (again, _) = vectors
    assert np.array_equal(objects, again)
    assert objects.shape[1] == texts.shape[1]
    for some in (objects, texts):
        assert some.dtype == np.float32
        assert np.allclose(np.linalg.norm(some, axis=1), 1.0, atol=1e-4)
    assert arm.title == ARMS[name]
    assert arm.reads_texts == (name in READS_TEXTS)


def test_unknown_arms_are_refused_by_name(world: AssetFeatures, encoder: TextEncoder) -> None:
    with pytest.raises(Uni4DError, match=r"“magic”.*knn-views") as caught:
        make_arms(["linear", "magic"], Sentences(encoder), world, Recipe())
    assert caught.value.code == "arm-unknown"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["atms-mean", "kernel", "atms", "atms-kernel"])
def test_atms_learns_in_the_linear_world(name: str, world: AssetFeatures, encoder: TextEncoder) -> None:
    [arm] = make_arms([name], Sentences(encoder), world, Recipe(quick=True))
    assert _recall(arm, world, "r-name", 10) > 0.5
