"""The virtual displays that the window tests run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.displays import screenshot


@pytest.mark.window
def test_a_virtual_display_can_be_photographed(display: str, tmp_path: Path) -> None:
    picture = screenshot(display, tmp_path / "root.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
