"""CrOSSMA: what goes in, what comes out, and what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from uni4d.alignment.crossma import Crossma, CrossmaConfig, pairwise
from uni4d.alignment.weights import CrossmaWeights, load_crossma, save_crossma
from uni4d_shared.errors import Uni4DError

CONFIG = CrossmaConfig(
    text_width=12, view_width=20, joint=16, width=24, heads=3, conditioning=10, dropout=0.0
)


@pytest.fixture
def model() -> Crossma:
    torch.manual_seed(0)
    model = Crossma(CONFIG).eval()
    torch.nn.init.normal_(model.to_vector.weight, std=0.2)
    return model


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    text = torch.randn(3, 5, 12, generator=generator)
    text_mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], dtype=torch.bool)
    views = torch.randn(3, 4, 20, generator=generator)
    view_mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]], dtype=torch.bool)
    vectors = torch.nn.functional.normalize(torch.randn(3, 4, 16, generator=generator), dim=-1)
    return {
        "text": text,
        "text_mask": text_mask,
        "views": views,
        "view_mask": view_mask,
        "view_vectors": vectors,
    }


def plain(model: Crossma, batch: dict[str, torch.Tensor], row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention ``[V]`` and vector ``[joint]`` of one item, loop by loop, without padding."""
    text = batch["text"][row][batch["text_mask"][row]]
    views = batch["views"][row][batch["view_mask"][row]]
    vectors = batch["view_vectors"][row][batch["view_mask"][row]]
    norm = torch.nn.functional.layer_norm
    query = model.query(norm(text - model.text_mean, (12,)))
    key = model.key(norm(views - model.view_mean, (20,)))
    value = model.value(norm(views - model.view_mean, (20,)))
    seen, attention = [], torch.zeros(len(views))
    for token in query:
        heads = []
        for head in range(3):
            part = slice(8 * head, 8 * head + 8)
            weights = torch.softmax(key[:, part] @ token[part] / 8**0.5, dim=0)
            attention += weights / 3 / len(query)
            heads.append(weights @ value[:, part])
        seen.append(torch.cat(heads))
    hidden = model.linear(torch.stack(seen))
    hidden = model.final_norm(hidden + model.feed_forward(hidden))
    vector = attention @ vectors + model.to_vector(hidden.mean(dim=0))
    return attention, vector / vector.norm()


def test_it_is_what_its_formula_says(model: Crossma, batch: dict[str, torch.Tensor]) -> None:
    output = model(**batch)
    for row in range(3):
        attention, vector = plain(model, batch, row)
        torch.testing.assert_close(output.attention[row, : len(attention)], attention)
        torch.testing.assert_close(output.vector[row], vector)
    assert (output.attention[~batch["view_mask"]] == 0.0).all()
    torch.testing.assert_close(output.attention.sum(dim=1), torch.ones(3))
    assert output.tokens.shape == (3, 5, 10)


def test_all_pairs_at_once_are_the_pairs_one_by_one(model: Crossma, batch: dict[str, torch.Tensor]) -> None:
    together = model.pairs(**batch)
    for text in range(3):
        for thing in range(3):
            alone = model(
                batch["text"][[text]],
                batch["text_mask"][[text]],
                batch["views"][[thing]],
                batch["view_mask"][[thing]],
                batch["view_vectors"][[thing]],
            )
            torch.testing.assert_close(together.vector[text, thing], alone.vector[0])
            torch.testing.assert_close(together.attention[text, thing], alone.attention[0])


def test_an_untrained_one_looks_at_what_the_views_say(batch: dict[str, torch.Tensor]) -> None:
    output = Crossma(CONFIG).eval()(**batch)
    looked = (output.attention[..., None] * batch["view_vectors"]).sum(dim=1)
    torch.testing.assert_close(output.vector, torch.nn.functional.normalize(looked, dim=1))


def test_a_text_cannot_put_itself_into_the_answer(model: Crossma, batch: dict[str, torch.Tensor]) -> None:
    """With a single view there is nothing to choose: every text gives one answer."""
    one = {**batch, "view_mask": torch.zeros(3, 4, dtype=torch.bool)}
    one["view_mask"][:, 2] = True
    other = {**one, "text": torch.randn(3, 5, 12), "text_mask": one["text_mask"][[1, 0, 0]]}
    torch.testing.assert_close(model(**one).vector, model(**other).vector)


def test_the_loss_of_pairs_is_the_three_level_loss(model: Crossma, batch: dict[str, torch.Tensor]) -> None:
    output = model.pairs(**batch)
    texts, objects = (torch.nn.functional.normalize(torch.randn(3, 16), dim=1) for _ in range(2))
    losses = pairwise(output, texts, objects, (2.0, 3.0, 5.0))
    image = output.vector[1, 2]
    expected = 2 * (1 - texts[1] @ objects[2]) + 3 * (1 - objects[2] @ image) + 5 * (1 - image @ texts[1])
    torch.testing.assert_close(losses[1, 2], expected)


def test_weights_come_back_from_their_file(
    model: Crossma, batch: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "crossma.safetensors"
    save_crossma(CrossmaWeights(model, np.linspace(0.5, 2.0, 101)), file, {"seed": "0"})
    loaded = load_crossma(file)
    torch.testing.assert_close(loaded.model(**batch).vector, model(**batch).vector, atol=2e-3, rtol=2e-3)
    np.testing.assert_allclose(loaded.mismatched, np.linspace(0.5, 2.0, 101), rtol=1e-6)


@pytest.mark.parametrize("fault", ["empty", "foreign", "scale", "shape"])
def test_a_file_that_is_no_crossma_is_refused_by_name(model: Crossma, tmp_path: Path, fault: str) -> None:
    file = tmp_path / "crossma.safetensors"
    save_crossma(CrossmaWeights(model, np.linspace(0.5, 2.0, 101)), file, {})
    tensors = load_file(file)
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        header = opened.metadata()
    if fault == "empty":
        file.write_bytes(b"")
    elif fault == "foreign":
        save_file(tensors, file, {})
    elif fault == "scale":
        save_file({**tensors, "mismatched": tensors["mismatched"].flip(0)}, file, header)
    else:
        save_file({**tensors, "model.query.weight": torch.zeros(2, 2)}, file, header)
    with pytest.raises(Uni4DError, match=r"crossma\.safetensors cannot be used") as caught:
        load_crossma(file)
    assert caught.value.code == "weights-unreadable"
