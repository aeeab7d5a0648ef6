"""From a :class:`Uni4DError` to what Blender shows."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from uni4d_shared.errors import Uni4DError

from ..session import current, redraw

__all__ = ["attempt"]


def attempt(operator: bpy.types.Operator, action: Callable[[], None], *, wait: bool = False) -> set[str]:
    """Do ``action`` (without a window also ``wait`` for the run that it began); what ``execute`` returns."""
    session = current()
    try:
        action()
        if wait and bpy.app.background:
            session.finish()
    except Uni4DError as error:
        session.error = error
        operator.report({"ERROR"}, str(error))
        return {"CANCELLED"}
    finally:
        redraw()
    return {"FINISHED"}
