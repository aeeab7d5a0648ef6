"""Renders of emoji as training data: one version, checked, with names."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uni4d.encoders.local import EfficientNetLite2
from uni4d.training.fluent_emoji import fetch_emoji, unpack_package
from uni4d.training.named_pictures import named_pictures
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import silent


def package(folder: Path) -> Path:
    """An npm package of three pictures: a guitar, a flag, and a hand of one skin tone."""
    archive = folder / "pictures-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for number, stem in enumerate(("1f3b8", "1f1e9-1f1ea", "1f44d-1f3fd")):
            file = io.BytesIO()
            Image.fromarray(np.full((64, 64, 4), 60 * number + 60, np.uint8)).save(file, "WEBP")
            entry = tarfile.TarInfo(f"package/assets/{stem}.webp")
            entry.size = file.tell()
            file.seek(0)
            tar.addfile(entry, file)
    return archive


def test_a_package_becomes_pictures_with_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path / "cache"))
    archive = package(tmp_path)
    unpack_package(archive, tmp_path / "unpacked", hashlib.sha256(archive.read_bytes()).hexdigest())
    pictures = named_pictures(tmp_path / "unpacked", EfficientNetLite2(), silent)
    assert pictures.names == ("guitar",), "flags and skin tones name no thing"
    assert pictures.views.shape == (1, 1280)


def test_other_bytes_than_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError, match="digest") as caught:
        unpack_package(package(tmp_path), tmp_path / "unpacked", "0" * 64)
    assert caught.value.code == "download-failed"
    assert not (tmp_path / "unpacked").exists()


def test_a_package_cannot_write_outside_its_folder(tmp_path: Path) -> None:
    archive = tmp_path / "evil.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside.webp"), io.BytesIO())
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack_package(archive, tmp_path / "unpacked", hashlib.sha256(archive.read_bytes()).hexdigest())
    assert not (tmp_path / "outside.webp").exists()


def test_without_npm_the_cure_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Uni4DError) as caught:
        fetch_emoji(silent)
    assert caught.value.code == "npm-missing"
    assert "--pictures" in caught.value.cure
    there = tmp_path / "sources" / "fluent-emoji-3d-1.1.0"
    there.mkdir(parents=True)
    assert fetch_emoji(silent) == there, "what is there is not fetched again"
