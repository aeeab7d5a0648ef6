"""A progress bar for the present run."""

from __future__ import annotations

from typing import Any

from ..session import Session

__all__ = ["STAGES", "draw_progress"]

STAGES = {
    "search": "Searching",
    "fetch": "Fetching the mesh",
    "import": "Importing",
    "views": "Photographing",
    "alignment": "Comparing with the text",
    "animate": "Making the clip",
    "video": "Reading the video",
    "fit": "Fitting the splats",
    "place": "Placing",
}
"""What the user reads while a stage is going on."""

_CELLS = 12


def draw_progress(layout: Any, session: Session) -> None:
    """Draw the present step; nothing when there is no run."""
    step = session.step
    if step is None:
        return
    text = STAGES.get(step.stage, step.stage)
    fraction = min(max(step.fraction, 0.0), 1.0)
    if hasattr(layout, "progress"):  # 4.0 and later
        layout.progress(factor=fraction, text=text)
    else:
        done = round(fraction * _CELLS)
        column = layout.column(align=True)
        column.label(text=f"{text}, {100 * fraction:.0f} %")
        column.label(text="█" * done + "░" * (_CELLS - done))
