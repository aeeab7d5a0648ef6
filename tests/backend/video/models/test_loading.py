"""What is missing is one error with the cure, before anything slow begins."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from harness.hub import put_into_cache
from harness.tiny_videos import tiny_config

from uni4d.encoders.full import hub
from uni4d.video.diffusers import load, pipelines
from uni4d_shared.errors import Uni4DError


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(pipelines, "_read", read)


@pytest.fixture
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub without a network, and a cache without files."""
    from huggingface_hub import constants

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


def error_of(name: str = "wan", **changes: Any) -> Uni4DError:
    with pytest.raises(Uni4DError) as caught:
        load(name, tiny_config(name, **changes))
    assert caught.value.cure
    return caught.value


def test_without_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    error = error_of("cogvideox", device="cuda")
    assert error.code == "gpu-missing"
    assert 'video.cogvideox.device = "cpu"' in error.cure


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "diffusers" else find(name, *rest)
    )
    error = error_of()
    assert error.code == "import-failed"
    assert "diffusers" in error.message
    assert "uni4d[video]" in error.cure


@pytest.mark.parametrize("weights", ["/no/such/folder", "/folder", "./folder", "~/folder", "folder", "a/b/c"])
def test_without_the_folder(weights: str) -> None:
    error = error_of(weights=weights)
    assert error.code == "weights-missing"
    assert "video.wan.weights" in error.message
    assert "hf download OWNER/NAME" in error.cure


def test_a_folder_without_a_pipeline(tmp_path: Path) -> None:
    assert error_of(weights=str(tmp_path)).code == "weights-missing"


@pytest.mark.usefixtures("empty_hub")
def test_without_a_network() -> None:
    error = error_of(weights="Wan-AI/Wan2.2-TI2V-5B-Diffusers")
    assert error.code == "weights-missing"
    assert "cannot be reached" in error.message
    assert "hf download Wan-AI/Wan2.2-TI2V-5B-Diffusers" in error.cure


def test_the_offline_switch_is_respected(empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def ask(*_: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_probe", ask)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in error_of(weights="nobody/no").message


@pytest.mark.slow
def test_half_a_repository_in_the_cache_is_not_enough(
    empty_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(empty_hub))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    index = b'{"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"]}'
    put_into_cache(empty_hub, "nobody/half", {"model_index.json": index})
    error = error_of(weights="nobody/half")
    assert error.code == "weights-missing"
    assert "not whole" in error.message


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"precision": "fp16"}, "fp16"),
        ({"vae_precision": "fp16"}, "fp16"),
        ({"offload": "sequential"}, "sequential"),
        ({"frames": 8}, "frames"),
    ],
)
def test_impossible_settings(changes: dict[str, Any], named: str) -> None:
    error = error_of(**changes)
    assert error.code == "bad-setting"
    assert named in error.message
