"""Writing what is in the scene to files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError

from . import compat

__all__ = ["export_animated_glb"]


def export_animated_glb(objects: Sequence[bpy.types.Object], path: Path) -> None:
    """Write ``objects`` (an armature and its meshes) with materials and animation as binary glTF."""
    selected = list(bpy.context.selected_objects)
    layer: Any = bpy.context.view_layer
    active = layer.objects.active
    try:
        for item in selected:
            item.select_set(False)
        for item in objects:
            item.select_set(True)
        bpy.ops.export_scene.gltf(
            filepath=str(path),
            **compat.supported_options(
                bpy.ops.export_scene.gltf,
                export_format="GLB",
                use_selection=True,
                export_yup=True,
                export_apply=False,
                export_animations=True,
                export_frame_range=True,
                export_force_sampling=True,
                export_skins=True,
                export_all_influences=False,
                export_optimize_animation_size=False,
                export_morph=False,
            ),
        )
    finally:
        for item in bpy.context.selected_objects:
            item.select_set(False)
        for item in selected:
            item.select_set(True)
        layer.objects.active = active
    if not path.is_file():
        raise Uni4DError(
            "export-failed", f"Blender did not write {path}.", "See Blender's console for the reason."
        )
