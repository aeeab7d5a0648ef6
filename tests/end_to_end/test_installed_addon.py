"""The archives that a person installs, in real Blenders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.blenders import RealBlender

INSTALLER = Path(__file__).parent / "install_addon.py"


def installed(output: str) -> dict[str, Any]:
    line = next(line for line in output.splitlines() if line.startswith("INSTALLED "))
    report: dict[str, Any] = json.loads(line.removeprefix("INSTALLED "))
    return report


def archive_for(blender: RealBlender, archives: dict[str, Path]) -> Path:
    return archives["extension" if blender.has_extensions else "legacy"]


def test_it_installs_and_leaves_nothing_behind(
    real_blender: RealBlender, archives: dict[str, Path], tmp_path: Path
) -> None:
    archive = archive_for(real_blender, archives)
    report = installed(real_blender.run(INSTALLER, [str(archive)], folder=tmp_path, timeout=120))
    assert report["enabled"]
    assert Path(report["folder"]).is_relative_to(tmp_path), "the installed add-on runs, not the sources"
    assert Path(report["packages"]["uni4d_shared"]).is_relative_to(tmp_path)
    assert report["classes"], "an add-on without any class shows the person nothing"
    assert report["classes_again"] == report["classes"]
    assert report["left"] == {}
