"""Coloured training objects from Infinigen's procedural factories.

This package runs inside a Python of its own (``.venv-infinigen``: bpy and infinigen pin each other and half
a dozen more), one object after the other in short-lived worker processes; ``build.py objects`` sets that
environment up and drives the workers. Only :mod:`uni4d_infinigen.naming` needs nothing but Python.
"""

from __future__ import annotations

__all__: list[str] = []
