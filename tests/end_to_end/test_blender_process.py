"""The child Blender's surroundings must not decide which Python libraries it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.blenders import find_blender

from uni4d.pipeline.blender import BlenderCommand, run_headless
from uni4d_shared.errors import Uni4DError


@pytest.mark.blender
def test_an_active_environment_does_not_change_blender_s_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With another Python first on PATH, Debian's Blender would look for numpy there and not find it."""
    blender = find_blender("debian")
    foreign = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(foreign)], check=True)
    monkeypatch.setenv("PATH", f"{foreign / 'bin'}{os.pathsep}{os.environ['PATH']}")

    addon = tmp_path / "addon"
    addon.mkdir()
    (addon / "headless.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy\n"
        "Path(sys.argv[-1]).write_text(sys.prefix + chr(10) + numpy.__file__)\n"
    )
    answer = tmp_path / "answer"
    command = BlenderCommand(blender.program, is_python=False, addon=addon)
    try:
        run_headless(
            command,
            [str(answer)],
            log_path=tmp_path / "log",
            expected=[answer],
            report=lambda stage, fraction, message: None,
        )
    except Uni4DError:
        pytest.fail((tmp_path / "log").read_text())
    assert str(foreign) not in answer.read_text()
