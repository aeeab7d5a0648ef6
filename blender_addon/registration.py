"""What Blender is told when the add-on is switched on and off."""

from __future__ import annotations

__all__ = ["register", "unregister"]


def register() -> None:
    """Find the dependencies, then register every class."""
    from . import dependencies

    dependencies.ensure()


def unregister() -> None:
    """Undo :func:`register`, in reverse order."""
