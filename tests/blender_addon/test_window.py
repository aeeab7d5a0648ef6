"""The panel in a real Blender window on a virtual display: clicked, drawn, photographed, never frozen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import toy_asset
from harness.blenders import RealBlender
from harness.displays import screenshot
from harness.toy_backend import ToyBackend

from uni4d_shared.messages import Message

DRIVER = Path(__file__).parent / "drive_window.py"
SCREENSHOT = Path(os.environ.get("UNI4D_SCREENSHOTS", "out/screenshots"))
SCREEN_HEIGHT = 800


class Window:
    """A running Blender, what it reports, and a mouse."""

    def __init__(self, folder: Path, display: str, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.display, self.process = folder, display, process

    def state(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return state

    def wait(self, condition: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            state = self.state()
            if state and condition(state):
                return state
            log = (self.folder / "blender.log").read_text()[-2000:]
            assert self.process.poll() is None, f"Blender ended:\n{log}"
            assert time.monotonic() < deadline, f"it did not happen: {state}\n{log}"
            time.sleep(0.1)

    def order(self, name: str) -> None:
        (self.folder / "order").write_text(name)
        self.wait(lambda _: not (self.folder / "order").exists())
        time.sleep(0.3)

    def mouse(self, x: int, y: int, *then: str) -> None:
        """Move to a place of the screen, wait for Blender to notice, and click or press."""
        environment = {**os.environ, "DISPLAY": self.display}
        for command in (["mousemove", str(x), str(y)], list(then)):
            subprocess.run(["xdotool", *command], env=environment, check=True, timeout=20)
            time.sleep(0.4)

    def click_down_until(
        self, x: int, start: int, step: int, condition: Callable[[dict[str, Any]], bool]
    ) -> None:
        """Click along a column until something has happened; places differ a little between versions."""
        for y in range(start, start + 20 * step, step):
            self.mouse(x, y, "click", "1")
            if condition(self.state()):
                return
        pytest.fail(f"nothing happened: {self.state()}")


def slowly(request: Message) -> Message:
    time.sleep(0.5)
    return toy_asset.answer(request)


@pytest.fixture
def window(
    real_blender: RealBlender,
    blender_deps: Callable[[RealBlender], Path],
    xvfb: str,
    tmp_path: Path,
) -> Iterator[Window]:
    if shutil.which("xdotool") is None:
        pytest.skip("xdotool is not installed")
    with ToyBackend(slowly) as backend, (tmp_path / "blender.log").open("wb") as log:
        addresses = [backend.endpoint, backend.control_endpoint]
        command = real_blender.window_command(
            DRIVER, [str(blender_deps(real_blender)), *addresses, str(tmp_path)]
        )
        process = subprocess.Popen(
            command,
            env={**real_blender.environment(tmp_path / "settings"), "DISPLAY": xvfb},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Window(tmp_path, xvfb, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
@pytest.mark.window
def test_search_choose_generate_and_undo(window: Window, real_blender: RealBlender) -> None:
    time.sleep(2.0)
    left, bottom, width, height = window.wait(lambda state: state["sidebar"][2] > 100)["sidebar"]
    top = SCREEN_HEIGHT - bottom - height
    assert window.state()["drawn"] == 0
    window.click_down_until(left + width - 13, top + 100, 12, lambda state: state["drawn"] > 0)  # the tab

    window.order("connect")
    window.wait(lambda state: state["connected"])
    search = lambda state: state["running"] == "search" or state["hits"] > 0  # noqa: E731
    window.click_down_until(left + width // 2, top + 92, 6, search)  # the button below the prompt
    window.wait(lambda state: state["hits"] == 3 and not state["running"])
    time.sleep(1.0)
    picture = screenshot(window.display, SCREENSHOT / f"gallery-{real_blender.name}.png")
    assert has_color(picture, (220, 50, 40)) and has_color(picture, (40, 60, 220)), "the thumbnails are seen"

    window.order("generate")
    window.wait(lambda state: state["running"] == "fit")
    screenshot(window.display, SCREENSHOT / f"progress-{real_blender.name}.png")
    state = window.wait(lambda state: not state["running"])
    assert state["error"] == "" and state["note"].startswith("Done")
    assert any(name.startswith("Toy box") for name in state["objects"])
    # one photograph at a time is the longest step: a fraction of a second, more on a busy machine
    assert state["longest"] < 8.0
    screenshot(window.display, SCREENSHOT / f"result-{real_blender.name}.png")

    window.mouse(left // 2, top + height // 2, "key", "ctrl+z")
    window.wait(lambda state: not any(name.startswith("Toy box") for name in state["objects"]), 20.0)

    window.order("generate")  # and closing in the middle of it leaves nothing running
    window.wait(lambda state: state["running"] != "")
    (window.folder / "order").write_text("quit")
    assert window.process.wait(30) == 0


@pytest.mark.long
@pytest.mark.window
def test_look_at_the_clip_edit_it_undo_and_go_on(window: Window, real_blender: RealBlender) -> None:
    time.sleep(2.0)
    left, bottom, width, height = window.wait(lambda state: state["sidebar"][2] > 100)["sidebar"]
    top = SCREEN_HEIGHT - bottom - height
    window.click_down_until(left + width - 13, top + 100, 12, lambda state: state["drawn"] > 0)  # the tab
    window.order("connect")
    window.wait(lambda state: state["connected"])
    window.order("review")
    window.order("generate")
    state = window.wait(lambda state: state["motions"] == ["dance"] and not state["running"])
    assert state["note"].startswith("Look at the clip") and state["models"] == 2
    assert not any("splats" in name for name in state["objects"]), "nothing was fitted"
    window.wait(lambda later: later["clip_frame"] != state["clip_frame"], 20.0)  # it plays
    time.sleep(1.0)
    picture = screenshot(window.display, SCREENSHOT / f"clip-{real_blender.name}.png")
    assert has_color(picture, (40, 160, 60)), "the clip is seen"

    window.order("track_add spin")
    window.wait(lambda state: state["motions"] == ["dance", "spin"])
    window.mouse(left // 2, top + height // 2, "key", "ctrl+z")
    window.wait(lambda state: state["motions"] == ["dance"], 20.0)
    window.order("track_add jump")
    window.mouse(left + width // 2, top + height // 2, "click", "--repeat", "40", "--delay", "20", "5")
    time.sleep(3.0)  # scrolled to the end: the last button is above the last, closed panel
    screenshot(window.display, SCREENSHOT / f"motion-{real_blender.name}.png")
    again = lambda state: state["running"] == "animate"  # noqa: E731
    window.click_down_until(left + width // 2, top + height - 42, -6, again)
    window.wait(lambda state: not state["running"])
    assert window.state()["motions"] == ["dance", "jump"]

    window.order("animate_again")
    window.wait(again)
    window.order("cancel")
    state = window.wait(lambda state: not state["running"])
    assert (state["note"], state["motions"]) == ("Cancelled.", ["dance", "jump"])
    window.order("fit_clip")
    state = window.wait(lambda state: not state["running"])
    assert state["note"].startswith("Done") and any("splats" in name for name in state["objects"])

    (window.folder / "walk.mp4").write_bytes(b"a film")
    window.order(f"use_video {window.folder / 'walk.mp4'}")
    window.wait(lambda state: state["running"] == "video")
    window.order("cancel")
    state = window.wait(lambda state: not state["running"])
    assert state["note"] == "Cancelled."
    window.order(f"use_video {window.folder / 'walk.mp4'}")
    window.wait(lambda state: state["running"] == "video")
    state = window.wait(lambda state: not state["running"])
    assert state["note"].startswith("Look at the clip")
    window.order("fit_clip")
    state = window.wait(lambda state: state["note"].startswith("Done"))
    window.mouse(left + width // 2, top + height // 2, "click", "--repeat", "40", "--delay", "20", "4")
    time.sleep(2.0)
    screenshot(window.display, SCREENSHOT / f"video-{real_blender.name}.png")
    (window.folder / "order").write_text("quit")
    assert window.process.wait(30) == 0


def has_color(picture: Path, color: tuple[int, int, int]) -> bool:
    """Whether a patch of about this colour is somewhere on a screenshot."""
    import numpy as np
    from PIL import Image

    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    near = np.abs(pixels - np.array(color)).max(axis=-1) < 40
    return bool(near.sum() > 500)
