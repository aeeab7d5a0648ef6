"""What the user sees: the sidebar panel, the gallery of results, the status bar."""

from __future__ import annotations

from . import gallery, panels, status_bar

__all__ = ["CLASSES", "register", "unregister"]

CLASSES = panels.CLASSES


def register() -> None:
    """Whatever is not a class."""
    status_bar.register()


def unregister() -> None:
    status_bar.unregister()
    gallery.forget()
