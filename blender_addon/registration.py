"""What Blender is told when the add-on is switched on and off."""

from __future__ import annotations

import bpy

__all__ = ["register", "unregister"]


def register() -> None:
    """Find the dependencies, then register classes, properties and drawing functions."""
    from . import dependencies

    dependencies.ensure()
    from . import operators, preferences, state, ui
    from .scene import compat

    compat.check_version()
    for cls in (*preferences.CLASSES, *state.CLASSES, *operators.CLASSES, *ui.CLASSES):
        bpy.utils.register_class(cls)
    setattr(bpy.types.WindowManager, state.NAME, bpy.props.PointerProperty(type=state.Uni4DState))
    ui.register()


def unregister() -> None:
    """End the session, then undo :func:`register` in reverse order."""
    from . import operators, preferences, session, state, ui

    session.shut_down()
    ui.unregister()
    delattr(bpy.types.WindowManager, state.NAME)
    for cls in reversed((*preferences.CLASSES, *state.CLASSES, *operators.CLASSES, *ui.CLASSES)):
        bpy.utils.unregister_class(cls)
