"""The shared encoder: what it may and may not depend on."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
import torch
from harness.made_up_world import WIDTH, WordVectors, made_up
from torch import Tensor

from uni4d.retrieval.atms import ATMS, AtmsConfig, Tokens
from uni4d.retrieval.encoder import (
    AtmsEncoder,
    RetrievalWeights,
    load_members,
    load_weights,
    save_weights,
)
from uni4d.training.atms_training import kernel_map
from uni4d_shared.errors import Uni4DError

CONFIG = AtmsConfig({"text": 12, "views": 20}, width=16, layers=2, heads=2, dimensions=12)


@pytest.fixture
def model() -> ATMS:
    torch.manual_seed(0)
    model = ATMS(CONFIG)
    with torch.no_grad():  # as if trained: away from the small start of the stack
        model.output.weight.normal_(std=0.3)
    return model.eval()


def tokens(batch: int, length: int, width: int, real: int | None = None) -> Tokens:
    mask = torch.zeros(batch, length, dtype=torch.bool)
    mask[:, : length if real is None else real] = True
    return Tokens(torch.randn(batch, length, width), mask)


def test_vectors_have_unit_length(model: ATMS) -> None:
    vectors = model({"text": tokens(3, 5, 12), "views": tokens(3, 4, 20)})
    assert vectors.shape == (3, 12)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(3), atol=1e-5)


@torch.no_grad()
def test_padding_changes_nothing(model: ATMS) -> None:
    short = tokens(2, 3, 12)
    padded = Tokens(
        torch.cat([short.values, torch.randn(2, 4, 12) * 50], dim=1),
        torch.cat([short.mask, torch.zeros(2, 4, dtype=torch.bool)], dim=1),
    )
    assert torch.allclose(model({"text": short}), model({"text": padded}), atol=1e-5)


@torch.no_grad()
def test_a_modality_without_real_tokens_is_as_good_as_absent(model: ATMS) -> None:
    text, nothing = tokens(2, 3, 12), tokens(2, 4, 20, real=0)
    assert torch.allclose(model({"text": text}), model({"text": text, "views": nothing}), atol=1e-5)


@torch.no_grad()
def test_attention_sees_more_than_the_mean_of_the_tokens(model: ATMS) -> None:
    """Two sets of views with one mean: attention tells them apart, the ablation without it does not."""
    first = tokens(1, 2, 20)
    middle = first.values.mean(dim=1, keepdim=True)
    second = attrs.evolve(first, values=middle.expand(1, 2, 20).contiguous())

    def difference(some: ATMS) -> float:
        return float((some({"views": first}) - some({"views": second})).abs().max())

    assert difference(model) > 1e-3
    torch.manual_seed(0)
    plain = ATMS(attrs.evolve(CONFIG, attention=False)).eval()
    # Layer norm comes before the mean, so the two differ by that alone where the stack is small.
    assert not list(plain.layers)
    assert plain.pool is None


@torch.no_grad()
def test_an_untrained_model_orders_texts_as_the_frozen_encoder_does() -> None:
    torch.manual_seed(0)
    fresh = ATMS(CONFIG).eval()
    text = tokens(20, 6, 12)
    frozen = fresh.frozen_text(text)
    vectors = fresh({"text": text})
    assert float((vectors * frozen).sum(dim=1).min()) > 0.99


def gradient_of_frozen_part(model: ATMS) -> Tensor | None:
    model({"text": tokens(2, 3, 12)}).sum().backward()
    return model.residuals["text"].weight.grad  # type: ignore[return-value]


def test_the_residual_path_of_texts_is_never_trained(model: ATMS) -> None:
    assert gradient_of_frozen_part(model) is None


def test_an_unknown_modality_is_refused_by_name(model: ATMS) -> None:
    with pytest.raises(ValueError, match="sound"):
        model({"sound": tokens(1, 2, 12)})


def test_saved_members_are_the_same_members(model: ATMS, tmp_path: Path) -> None:
    other = ATMS(CONFIG)
    save_weights(RetrievalWeights((model, other), None), tmp_path / "atms.safetensors", {"seed": "0"})
    again = load_weights(tmp_path / "atms.safetensors").members
    assert len(again) == 2
    assert again[0].config == CONFIG
    text = tokens(4, 3, 12)
    with torch.no_grad():
        assert torch.allclose(again[0].eval()({"text": text}), model({"text": text}), atol=5e-3)


@pytest.fixture(scope="module")
def joint() -> RetrievalWeights:
    """Two members beside a kernel map of 60 objects."""
    torch.manual_seed(0)
    config = AtmsConfig({"text": WIDTH, "points": 16, "views": 40, "size": 9}, 16, 1, 2, WIDTH)
    return RetrievalWeights((ATMS(config), ATMS(config)), kernel_map([made_up(60, 1)], WordVectors()))


def test_cosines_are_weighted_means_of_atms_and_kernel_map(joint: RetrievalWeights) -> None:
    assert joint.kernel is not None
    objects, names, encoder = made_up(20, 3), list(made_up(20, 3).names), WordVectors()
    both, alone = AtmsEncoder(joint, encoder), AtmsEncoder(attrs.evolve(joint, kernel=None), encoder)
    texts, vectors = both.embed_texts(names), both.embed_features(objects)
    assert texts.shape == vectors.shape == (20, both.dimensions)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    learnt = alone.embed_texts(names) @ alone.embed_features(objects).T
    closed = joint.kernel.texts(encoder.encode(names).pooled) @ joint.kernel.assets(objects).T
    assert np.allclose(texts @ vectors.T, (learnt + 2.0 * closed) / 3.0, atol=1e-5)
    pictures = both.embed_pictures(objects.views[:, 0])
    assert pictures.shape == vectors.shape
    assert np.allclose(np.linalg.norm(pictures, axis=1), 1.0, atol=1e-5)


def test_a_saved_kernel_map_is_the_same_map(joint: RetrievalWeights, tmp_path: Path) -> None:
    path, objects = tmp_path / "atms.safetensors", made_up(20, 3)
    save_weights(joint, path, {})
    before, after = (AtmsEncoder(some, WordVectors()) for some in (joint, load_weights(path)))
    assert np.allclose(before.embed_features(objects), after.embed_features(objects), atol=5e-3)
    assert np.allclose(before.embed_texts(objects.names), after.embed_texts(objects.names), atol=5e-3)


def test_members_outlive_their_kernel_map(joint: RetrievalWeights, tmp_path: Path) -> None:
    """Members of a file with an older kernel map are kept to the last bit when the map is fitted anew."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    old, new = tmp_path / "old.safetensors", tmp_path / "new.safetensors"
    save_weights(joint, old, {})
    with safe_open(old, "pt") as file:
        header = file.metadata()
    save_file(load_file(old), old, {**header, "format": "uni4d-atms-1"})
    with pytest.raises(Uni4DError, match="uni4d-atms-1"):
        load_weights(old)
    save_weights(RetrievalWeights(load_members(old), joint.kernel), new, {})
    first, second = load_file(old), load_file(new)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign"])
def test_damaged_weights_are_a_clear_error(model: ATMS, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "atms.safetensors"
    if damage == "foreign":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(2)}, path)
    elif damage == "cut":
        save_weights(RetrievalWeights((model,), None), path, {})
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(Uni4DError) as caught:
        load_weights(path)
    assert caught.value.code == "weights-unreadable"
    assert str(path) in caught.value.message
