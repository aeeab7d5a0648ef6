"""The adapter: its gate, its file, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from uni4d.video.diffusers.conditioning import (
    MAX_TOKENS,
    ConditioningAdapter,
    check_tokens,
    load_adapter,
    save_adapter,
)
from uni4d_shared.errors import Uni4DError


@pytest.fixture
def adapter() -> ConditioningAdapter:
    torch.manual_seed(5)
    return ConditioningAdapter("wan", token_width=12, text_width=16)


def test_a_shut_gate_gives_zeros_and_still_learns(adapter: ConditioningAdapter) -> None:
    tokens = torch.randn(1, 4, 12)
    slots = adapter(tokens)
    assert not adapter.opened
    assert torch.equal(slots, torch.zeros(1, 4, 16))
    slots.sum().backward()
    assert adapter.gate.grad is not None
    assert adapter.gate.grad != 0


def test_a_file_brings_the_adapter_back(adapter: ConditioningAdapter, tmp_path: Path) -> None:
    with torch.no_grad():
        adapter.gate.fill_(0.3)
    file = tmp_path / "new" / "wan.safetensors"
    save_adapter(adapter, file)
    loaded = load_adapter(file, "wan")
    tokens = torch.randn(1, 4, 12)
    assert torch.equal(loaded(tokens), adapter(tokens))
    assert loaded.opened
    assert (loaded.token_width, loaded.text_width) == (12, 16)
    assert [path.name for path in file.parent.iterdir()] == ["wan.safetensors"]


def change(file: Path, name: str, value: Callable[[Tensor], Tensor]) -> None:
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    save_file({**tensors, name: value(tensors[name])}, file, metadata=metadata)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:40]), "no .safetensors file"),
        (lambda file: save_file({"gate": torch.zeros(())}, file), "not of the format"),
        (lambda file: change(file, "gate", lambda gate: gate + torch.nan), "finite"),
        (lambda file: change(file, "gate", lambda gate: gate.double()), "float32"),
        (lambda file: change(file, "gate", lambda gate: gate[None]), r"gate of shape \[1\]"),
        (lambda file: change(file, "norm.bias", lambda bias: bias[:3]), "norm.bias"),
        (lambda file: change(file, "norm.weight", lambda _: torch.ones(20_000)), r"norm\.weight of shape"),
        (lambda file: change(file, "projection.weight", lambda x: x[:9]), r"projection\.weight"),
    ],
)
def test_a_damaged_file_is_refused(
    damage: Callable[[Path], None], named: str, adapter: ConditioningAdapter, tmp_path: Path
) -> None:
    file = tmp_path / "wan.safetensors"
    save_adapter(adapter, file)
    damage(file)
    with pytest.raises(Uni4DError, match=named) as caught:
        load_adapter(file, "wan")
    assert caught.value.code == "weights-unreadable"
    assert str(file) in caught.value.message


def test_an_adapter_of_another_model_is_refused(adapter: ConditioningAdapter, tmp_path: Path) -> None:
    file = tmp_path / "wan.safetensors"
    save_adapter(adapter, file)
    with pytest.raises(Uni4DError, match="trained for wan, not for ltx"):
        load_adapter(file, "ltx")
    with pytest.raises(Uni4DError, match=r"video\.wan\.adapter") as caught:
        load_adapter(tmp_path / "none.safetensors", "wan")
    assert caught.value.code == "weights-missing"


@pytest.mark.parametrize(
    "tokens",
    [
        np.zeros((4, 11), np.float32),
        np.zeros((0, 12), np.float32),
        np.zeros((MAX_TOKENS + 1, 12), np.float32),
        np.zeros((1, 4, 12), np.float32),
        np.full((4, 12), np.inf, np.float32),
    ],
)
def test_tokens_of_another_alignment_are_refused(tokens: np.ndarray) -> None:
    with pytest.raises(Uni4DError) as caught:
        check_tokens(tokens, 12)
    assert caught.value.code == "conditioning-invalid"
