"""Progress in the status bar, for when the sidebar is closed."""

from __future__ import annotations

from typing import Any

import bpy

from ..session import Session
from .progress import STAGES

__all__ = ["show"]


def show(session: Session) -> None:
    """Show the present step instead of the usual hints; bring those back when there is no run."""
    step = session.step
    text = None
    if step is not None:
        detail = session.waiting or step.message
        text = f"Uni4D: {STAGES.get(step.stage, step.stage)}, {100 * step.fraction:.0f} %  {detail}"
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        window.workspace.status_text_set(text)
