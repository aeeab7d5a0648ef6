"""What the user sees: the sidebar panel, the gallery of results, the clip, the motion, the status bar."""

from __future__ import annotations

import bpy

from .. import session
from . import clip, gallery, panels, status_bar

__all__ = ["CLASSES", "register", "unregister"]

CLASSES = panels.CLASSES


def register() -> None:
    """Whatever is not a class."""
    if not bpy.app.background:
        session.on_change.append(status_bar.show)


def unregister() -> None:
    if status_bar.show in session.on_change:
        session.on_change.remove(status_bar.show)
    gallery.forget()
    clip.forget()
