"""Text and errors in panels: labels do not wrap by themselves."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

__all__ = ["draw_problem", "draw_text"]

_LETTER_WIDTH = 7.0
"""Pixels per letter of Blender's interface font at a scale of 1, on average, rounded up."""


def draw_text(layout: Any, text: str, width: int, icon: str = "NONE") -> None:
    """Text in as many lines as it needs in a region of ``width`` pixels."""
    scale = bpy.context.preferences.system.ui_scale  # type: ignore[union-attr]
    letters = max(int(width / (_LETTER_WIDTH * scale)) - 6, 12)
    for number, line in enumerate(textwrap.wrap(text, letters)):
        layout.label(text=line, icon=icon if number == 0 else "NONE")


def draw_problem(layout: Any, message: str, cure: str, width: int) -> None:
    """What is wrong, in red, and what to do."""
    box = layout.box().column(align=True)
    box.alert = True
    draw_text(box, message, width, icon="ERROR")
    box.alert = False
    draw_text(box, cure, width)
