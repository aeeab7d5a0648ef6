"""Programs of others: installed for ``build.py test --all`` only, and only at the versions that are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from uni4d_setup import foreign_readers, tasks


def test_packages_of_other_versions_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNI4D_CACHE", str(tmp_path))
    home = tmp_path / "foreign-readers"
    home.mkdir()
    assert foreign_readers.node_modules() is None
    (home / "installed.json").write_text(json.dumps({**foreign_readers.PACKAGES, "playcanvas": "1.0.0"}))
    assert foreign_readers.node_modules() is None
    assert foreign_readers.missing_reason() != ""
    (home / "installed.json").write_text(json.dumps(foreign_readers.PACKAGES))
    assert foreign_readers.node_modules() == home / "node_modules"


def test_without_node_the_reason_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert foreign_readers.missing_reason() == "no Node.js on PATH"
    assert foreign_readers.chromium() is None


def test_only_the_whole_extent_takes_them() -> None:
    assert all("not readers" in tasks._EXTENTS[extent] for extent in ("quick", "default"))
    assert "readers" not in tasks._EXTENTS["all"]
