"""The contrastive loss against arithmetic written out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from uni4d.training.contrastive import contrastive_loss, found_figures, same


def plain_loss(texts: Tensor, objects: Tensor, temperature: float, positives: Tensor) -> float:
    """The module's formula, one logarithm at a time."""
    count = len(texts)
    total = 0.0
    for scores, right in (
        (texts @ objects.T / temperature, positives),
        (objects @ texts.T / temperature, positives.T),
    ):
        for row in range(count):
            normaliser = math.log(sum(math.exp(float(score)) for score in scores[row]))
            mine = [float(scores[row, column]) for column in range(count) if right[row, column]]
            total += sum(normaliser - score for score in mine) / len(mine) / count / 2
    return total


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(0, 1000), st.floats(0.05, 1.0), st.integers(1, 4))
def test_the_loss_is_its_formula(count: int, seed: int, temperature: float, names: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    texts, objects = (
        functional.normalize(torch.randn(count, 5, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    keys = torch.randint(names, (count,), generator=generator).tolist()
    found = contrastive_loss(texts, objects, temperature, same(keys))
    assert float(found) == pytest.approx(plain_loss(texts, objects, temperature, same(keys)), rel=1e-4)


def test_without_duplicates_it_is_the_usual_loss() -> None:
    texts, objects = functional.normalize(torch.randn(2, 6, 4), dim=2)
    labels = torch.arange(6)
    scores = texts @ objects.T / 0.07
    usual = (functional.cross_entropy(scores, labels) + functional.cross_entropy(scores.T, labels)) / 2
    assert torch.allclose(contrastive_loss(texts, objects, 0.07), usual)


def test_same_compares_by_value() -> None:
    assert same(["a", "b", "a"]).tolist() == [[True, False, True], [False, True, False], [True, False, True]]


def test_figures_count_the_best_right_one_behind_equals() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.5, 0.1], [0.3, 0.6, 0.4]])
    right = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 1]], dtype=torch.bool)
    figures = found_figures(scores, right)
    assert figures["accuracy"] == pytest.approx(1 / 3), "an equal one that is wrong comes first"
    assert figures["recall_10"] == 1.0
    assert figures["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
