"""Uni4D for Blender: a prompt becomes a retrieved mesh, and the mesh an animated 4D Gaussian asset.

This folder is the extension's root; it is imported as ``bl_ext.<repository>.uni4d`` when installed as
an extension, as ``uni4d`` from the legacy zip, and as ``blender_addon`` from a source tree.
:mod:`.client` (and all of ``uni4d_shared``) work without ``bpy``, so nothing here imports it at the top.
"""

from __future__ import annotations

__all__ = ["bl_info", "register", "unregister"]

bl_info = {
    "name": "Uni4D",
    "description": "From a prompt to an animated mesh and animated Gaussian splats",
    "author": "The Uni4D authors",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "3D View > Sidebar > Uni4D",
    "category": "Animation",
}
"""Read by Blender 4.1 and older; later ones read ``blender_manifest.toml``."""


def register() -> None:
    """Called by Blender when the add-on is enabled."""
    from .registration import register as register_all

    register_all()


def unregister() -> None:
    """Called by Blender when the add-on is disabled and when Blender quits; leaves nothing behind."""
    from .registration import unregister as unregister_all

    unregister_all()
