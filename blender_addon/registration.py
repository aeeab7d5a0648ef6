"""What Blender is told when the add-on is switched on and off."""

from __future__ import annotations

import bpy

__all__ = ["register", "unregister"]


def register() -> None:
    """Find the dependencies, then register classes, properties and drawing functions."""
    from . import dependencies

    dependencies.ensure()
    from . import motion, operators, preferences, state, ui
    from .scene import compat

    compat.check_version()
    for module in (preferences, motion, state, operators, ui):
        for cls in module.CLASSES:
            bpy.utils.register_class(cls)
    setattr(bpy.types.WindowManager, state.NAME, bpy.props.PointerProperty(type=state.Uni4DState))
    setattr(bpy.types.Scene, motion.NAME, bpy.props.PointerProperty(type=motion.Uni4DMotion))
    ui.register()


def unregister() -> None:
    """End the session, then undo :func:`register` in reverse order."""
    from . import motion, operators, playback, preferences, session, state, ui

    playback.shut_down()
    session.shut_down()
    ui.unregister()
    delattr(bpy.types.Scene, motion.NAME)
    delattr(bpy.types.WindowManager, state.NAME)
    for module in (ui, operators, state, motion, preferences):
        for cls in reversed(module.CLASSES):
            bpy.utils.unregister_class(cls)
