"""What the large encoders share: devices, the hub, packages that may be missing."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from harness.hub import put_into_cache
from uni4d_setup.environments import TORCHVISION_ASIDE

from uni4d.encoders.full import OpenClipConfig, OpenClipText, Uni3D, Uni3DConfig, extra, hub
from uni4d.encoders.full.extra import import_extra
from uni4d.encoders.full.hub import hub_file, quick_hub
from uni4d_shared.errors import Uni4DError


def test_what_the_cache_holds_needs_no_network(empty_hub: Path) -> None:
    snapshot = put_into_cache(empty_hub, "nobody/thing", {"folder/file.bin": b"content"})
    assert hub_file("nobody/thing", "folder/file.bin") == snapshot / "folder/file.bin"


@pytest.mark.usefixtures("empty_hub")
def test_published_uni3d_weights_without_a_network_are_one_error() -> None:
    with pytest.raises(Uni4DError, match=r"modelzoo/uni3d-ti/model\.pt.*cannot be reached") as caught:
        Uni3D(Uni3DConfig(size="ti", device="cpu", precision="fp32"))
    assert caught.value.code == "weights-missing"
    assert "weights to its path" in caught.value.cure


def test_published_uni3d_weights_are_found_in_the_cache(empty_hub: Path) -> None:
    put_into_cache(empty_hub, "BAAI/Uni3D", {"modelzoo/uni3d-ti/model.pt": b"not weights"})
    with pytest.raises(Uni4DError, match=r"uni3d-ti/model\.pt is damaged"):  # it was found, and read
        Uni3D(Uni3DConfig(size="ti", device="cpu", precision="fp32"))


def test_a_hub_that_never_answers_is_given_up(empty_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(hub, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Uni4DError, match=r"does not answer|timed out") as caught:
            hub_file("nobody/thing", "file.bin")
    assert caught.value.code == "weights-missing"


@pytest.mark.usefixtures("empty_hub")
def test_the_offline_switch_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def ask(*_: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "_probe", ask)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Uni4DError, match="HF_HUB_OFFLINE"):
        hub_file("nobody/thing", "file.bin")
    with quick_hub():
        assert constants.HF_HUB_OFFLINE
    assert constants.HF_HUB_OFFLINE


@pytest.mark.usefixtures("empty_hub")
def test_other_packages_see_the_hub_offline_only_meanwhile() -> None:
    from huggingface_hub import constants

    with quick_hub() as reason:
        assert constants.HF_HUB_OFFLINE
        assert "cannot be reached" in reason
    assert not constants.HF_HUB_OFFLINE


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("encoder", [lambda: OpenClipText(OpenClipConfig()), lambda: Uni3D(Uni3DConfig())])
def test_no_gpu_is_one_clear_error(encoder: Any) -> None:
    with pytest.raises(Uni4DError, match="finds no such device") as caught:
        encoder()
    assert caught.value.code == "gpu-missing"
    assert '"cpu"' in caught.value.cure


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        Uni3DConfig(size="xl")
    with pytest.raises(ValueError, match="precision"):
        OpenClipConfig(precision="int4")
    with pytest.raises(Uni4DError, match="fp16"):
        Uni3D(Uni3DConfig(device="cpu", precision="fp16"))
    with pytest.raises(Uni4DError, match="no device 'abacus'"):
        Uni3D(Uni3DConfig(device="abacus"))


def test_a_missing_package_names_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(extra.importlib, "import_module", refuse)
    monkeypatch.setattr(extra, "_import_torchvision", lambda: None)
    with pytest.raises(Uni4DError, match=r"No module named 'open_clip'.*uni4d\[full\]") as caught:
        import_extra("open_clip")
    assert caught.value.code == "import-failed"
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_the_set_up_puts_torchvision_where_it_is_looked_for() -> None:
    assert TORCHVISION_ASIDE.name == extra._ASIDE


@pytest.mark.slow
def test_importing_the_package_imports_none_of_the_large_ones() -> None:
    code = (
        "import sys, uni4d.encoders.full, uni4d.encoders.local, uni4d.cli\n"
        "print([name for name in ('open_clip', 'timm', 'torchvision') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.slow
def test_other_packages_import_beside_the_extra() -> None:
    """transformers imports torchvision wherever it sees it: after the extra, and without it."""
    for first in ("", "from uni4d.encoders.full.extra import import_extra; import_extra('open_clip'); "):
        code = f"{first}from transformers import BertModel, T5EncoderModel"
        subprocess.run([sys.executable, "-W", "error::RuntimeWarning", "-c", code], check=True)
