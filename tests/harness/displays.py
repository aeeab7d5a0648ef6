"""Virtual displays: Xvfb, and Xorg with the dummy driver (what a headless server with a desktop runs)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["screenshot", "virtual_display"]

_XORG_CONFIGURATION = """
Section "Device"
    Identifier "card"
    Driver "dummy"
    VideoRam 65536
EndSection
Section "Monitor"
    Identifier "monitor"
    HorizSync 5.0-1000.0
    VertRefresh 5.0-200.0
    Modeline "{width}x{height}" 83.5 {width} 1352 1480 1680 {height} 803 809 831
EndSection
Section "Screen"
    Identifier "screen"
    Device "card"
    Monitor "monitor"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Modes "{width}x{height}"
        Virtual {width} {height}
    EndSubSection
EndSection
Section "ServerFlags"
    Option "AutoAddDevices" "false"
    Option "AutoEnableDevices" "false"
EndSection
"""


def _command(kind: str, folder: Path, width: int, height: int) -> list[str]:
    if kind == "xvfb":
        return ["Xvfb", "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp", "-noreset"]
    configuration = folder / "xorg.conf"
    configuration.write_text(_XORG_CONFIGURATION.format(width=width, height=height))
    empty = folder / "xorg.conf.d"
    empty.mkdir()
    files = ["-config", str(configuration), "-configdir", str(empty), "-logfile", str(folder / "xorg.log")]
    return ["Xorg", *files, "-noreset", "-nolisten", "tcp", "-novtswitch", "-sharevts"]


@contextmanager
def virtual_display(kind: str, folder: Path, width: int = 1280, height: int = 800) -> Iterator[str]:
    """Start an X server of ``kind`` (``xvfb`` or ``xorg``) and give its name, e.g. ``:5``.

    The server picks a free number itself and writes it to a pipe when it is ready, so nothing is guessed.
    """
    program = {"xvfb": "Xvfb", "xorg": "Xorg"}[kind]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if kind == "xorg" and os.geteuid() != 0:
        pytest.skip("Xorg with the dummy driver needs root")
    readable, writable = os.pipe()
    command = [*_command(kind, folder, width, height), "-displayfd", str(writable)]
    with (folder / f"{kind}.log").open("wb") as log:
        server = subprocess.Popen(
            command, pass_fds=[writable], stdout=log, stderr=log, start_new_session=True
        )
    os.close(writable)
    try:
        with os.fdopen(readable) as pipe:
            number = pipe.readline().strip()  # empty when the server died: it closed its end
        if not number:
            pytest.fail(f"{program} did not start:\n{(folder / f'{kind}.log').read_text()[-2000:]}")
        yield f":{number}"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def screenshot(display: str, path: Path) -> Path:
    """Photograph the whole display (ImageMagick)."""
    if shutil.which("import") is None:
        pytest.skip("ImageMagick's `import` is not installed")
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["import", "-display", display, "-window", "root", str(path)], check=True, timeout=60)
    return path
