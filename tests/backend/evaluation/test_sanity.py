"""The checks pass for honest arms and fail for each way of cheating."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from attrs import define
from numpy.typing import NDArray

from uni4d.encoders.protocols import TextEncoder
from uni4d.evaluation.adapters import LinearAdapter
from uni4d.evaluation.arms import Sentences, raw_block, unit
from uni4d.evaluation.neighbours import Captions
from uni4d.evaluation.sanity import check_embedding, check_labels, check_order, check_training
from uni4d.evaluation.tasks import RetrievalTask, tasks_of
from uni4d.library.features import AssetFeatures
from uni4d_shared.progress import silent

Array = NDArray[Any]


@pytest.fixture(scope="module")
def by_name(world: AssetFeatures) -> RetrievalTask:
    return next(task for task in tasks_of(world.split("test"), ()) if task.key == "r-name")


@define
class Neighbourly(Captions):
    """Centres the gallery on itself: who stands beside an object changes its vector."""

    reads_texts: bool = False

    def embed_assets(self, features: AssetFeatures) -> Array:
        raw = raw_block(features, "views")
        return unit(raw - raw.mean(axis=0))


def test_honest_arms_pass(world: AssetFeatures, encoder: TextEncoder) -> None:
    test, arm = world.split("test"), LinearAdapter(Sentences(encoder))
    arm.fit(world.split("train"), world.split("validation"), 0, silent)
    assert check_embedding(arm, test, arm.embed_assets(test), 0).passed


def test_an_arm_that_looks_at_its_neighbours_fails(world: AssetFeatures, encoder: TextEncoder) -> None:
    test, arm = world.split("test"), Neighbourly(Sentences(encoder))
    assert not check_embedding(arm, test, arm.embed_assets(test), 0).passed


def test_an_arm_that_reads_words_must_say_so(world: AssetFeatures, encoder: TextEncoder) -> None:
    test, honest = world.split("test"), Captions(Sentences(encoder))
    secret = Captions(Sentences(encoder), reads_texts=False)
    vectors = honest.embed_assets(test)
    assert check_embedding(honest, test, vectors, 0).passed
    assert not check_embedding(secret, test, vectors, 0).passed


def test_the_order_of_the_gallery_changes_no_rank(by_name: RetrievalTask) -> None:
    scores = np.random.default_rng(0).integers(0, 5, by_name.goals.shape).astype(float)
    assert check_order("arm", by_name, scores, 0).passed


@pytest.mark.parametrize("kind", ["random", "perfect", "all alike"])
def test_shuffled_answers_give_chance_whatever_the_scores(kind: str, by_name: RetrievalTask) -> None:
    goals = by_name.goals
    scores = {
        "random": np.random.default_rng(0).random(goals.shape),
        "perfect": goals.astype(float),
        "all alike": np.zeros(goals.shape),
    }[kind]
    assert check_labels("arm", by_name, scores, 0).passed


def test_a_wrong_idea_of_chance_is_found_out(world: AssetFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every query had one right answer, where a category has several."""
    from uni4d.evaluation import sanity

    task = next(task for task in tasks_of(world.split("test"), ()) if task.key == "c-category")
    wrong = sanity.chance(np.eye(task.goals.shape[1], dtype=bool))
    monkeypatch.setattr(sanity, "chance", lambda right: wrong)
    check = check_labels("arm", task, np.random.default_rng(0).random(task.goals.shape), 0)
    assert not check.passed
    assert "chance" in check.detail


def test_training_on_shuffled_words_teaches_nothing(
    world: AssetFeatures, encoder: TextEncoder, by_name: RetrievalTask
) -> None:
    check = check_training(LinearAdapter(Sentences(encoder)), world, by_name, 5, silent)
    assert check.passed, check.detail


def test_knowledge_of_the_answers_is_found_out(
    world: AssetFeatures, encoder: TextEncoder, by_name: RetrievalTask
) -> None:
    check = check_training(Captions(Sentences(encoder), reads_texts=False), world, by_name, 2, silent)
    assert not check.passed
