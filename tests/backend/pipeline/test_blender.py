"""The child Blender: progress, its own errors, missing outputs, and no process left behind.

The child here is a real process: a Python script in the place of ``headless.py``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from uni4d.pipeline.blender import BlenderCommand, find_blender, run_headless
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled

Events = list[tuple[str, float, str]]


def child(folder: Path, script: str) -> BlenderCommand:
    (folder / "headless.py").write_text(script)
    return BlenderCommand(Path(sys.executable), is_python=True, addon=folder)


def run(command: BlenderCommand, folder: Path, expected: tuple[str, ...] = ()) -> Events:
    events: Events = []
    run_headless(
        command,
        ["generate"],
        log_path=folder / "blender.log",
        expected=[folder / name for name in expected],
        report=lambda *event: events.append(event),
    )
    return events


def test_progress_is_reported_and_the_rest_is_logged(tmp_path: Path) -> None:
    script = (
        'print(\'noise\')\nprint(\'UNI4D {"stage": "views", "fraction": 0.5, "message": "view 4 of 8"}\')\n'
    )
    assert run(child(tmp_path, script), tmp_path) == [("views", 0.5, "view 4 of 8")]
    assert "noise" in (tmp_path / "blender.log").read_text()


def test_the_childs_own_error_comes_through(tmp_path: Path) -> None:
    script = (
        'print(\'UNI4D {"error": {"code": "mesh-unreadable", "message": "x.glb is broken.", '
        '"cure": "Mend it."}}\')\n'
        "raise SystemExit(3)\n"
    )
    with pytest.raises(Uni4DError, match=r"x\.glb is broken") as caught:
        run(child(tmp_path, script), tmp_path)
    assert (caught.value.code, caught.value.cure) == ("mesh-unreadable", "Mend it.")


def test_an_exit_code_of_zero_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError, match=r"missing: .*scene\.blend"):
        run(child(tmp_path, ""), tmp_path, expected=("scene.blend",))


def test_a_crash_shows_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError, match="ZeroDivisionError"):
        run(child(tmp_path, "1 / 0"), tmp_path)


def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import os, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        'print(\'UNI4D {"stage": "fit", "fraction": 0.1}\', flush=True)\n'
        "time.sleep(60)\n"
    )

    def cancel(*_: object) -> None:
        raise Cancelled

    command = child(tmp_path, script)
    with pytest.raises(Cancelled):
        run_headless(command, [], log_path=tmp_path / "log", expected=[], report=cancel)
    time.sleep(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_blender_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "headless.py").touch()
    with pytest.raises(Uni4DError, match="no-such-blender"):
        find_blender(Path("no-such-blender"), addon=tmp_path)
    with pytest.raises(Uni4DError, match="not the add-on's folder"):
        find_blender(addon=tmp_path / "elsewhere")
