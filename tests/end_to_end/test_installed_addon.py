"""The archives that a person installs, in real Blenders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness.blenders import RealBlender

from uni4d.pipeline.backend_process import Backend
from uni4d_shared.codec import read_file
from uni4d_shared.messages import FitResult, SearchResult

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


@pytest.mark.slow
def test_the_installed_add_on_runs_the_chain(
    real_blender: RealBlender, archives: dict[str, Path], backend: Backend, tmp_path: Path
) -> None:
    """From the installed add-on, against a real server in another process, to files that others can read."""
    out = tmp_path / "out"
    command = ["generate", "--prompt", "a red ball is bouncing", "--out", str(out), "--size", "128"]
    command += ["--endpoint", backend.endpoint, "--control", backend.control_endpoint]
    command += ["--engine", "workbench", "--azimuths", "4", "--elevations", "20"]
    output = real_blender.run(
        INSTALLER, [str(archive_for(real_blender, archives)), *command], folder=tmp_path, timeout=400
    )
    assert Path(installed(output)["folder"]).is_relative_to(tmp_path)

    hits = read_file(out / "stages" / "search.u4d", SearchResult).hits
    assert hits[0].name == "red ball"
    fitted = read_file(out / "stages" / "fit.u4d", FitResult)
    assert fitted.metrics["psnr_foreground"] > fitted.metrics["psnr_foreground_static"]
    assert len(list((out / "views").glob("view_*.png"))) == 4
    for name in ("scene.blend", "animated.glb", "views/transforms.json", "blender.json"):
        assert (out / name).stat().st_size > 0, name
    for kind in ("mesh", "splats"):
        assert len(list((out / "renders4d").glob(f"{kind}_*.png"))) >= 2
