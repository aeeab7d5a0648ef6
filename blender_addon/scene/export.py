"""Writing what is in the scene to files for other programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError

from . import compat, lighting

__all__ = ["export_animated_glb", "usd_from_animated_glb"]

_LIMITS = ((min, 0), (max, 1))
"""Of all actions, the first frame and the last."""


_ANIMATED_MATERIALS: dict[str, Any] = {
    "export_animation_mode": "SCENE",
    "export_anim_scene_split_object": False,
    "export_pointer_animation": True,
}
"""What lets the exporter of 4.2 and later write materials that are animated; earlier ones cannot."""


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
                **_ANIMATED_MATERIALS if any(map(lighting.is_lit, objects)) else {},
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


def usd_from_animated_glb(glb: Path, path: Path, fps: float) -> None:
    """Write an animated GLB as USD, sampled ``fps`` times a second; the scene is emptied before.

    Some builds of Blender leave USD out (Debian's does): ``Uni4DError("usd-missing")``.
    """
    options: Any = bpy.app.build_options
    if not options.usd:
        raise Uni4DError(
            "usd-missing",
            f"This Blender ({bpy.app.version_string}) was built without USD.",
            "Name another with --blender or --bpy-python; those of blender.org and the bpy module have it.",
        )
    for item in tuple(bpy.data.objects):
        bpy.data.objects.remove(item)
    scene: Any = bpy.context.scene
    scene.render.fps = max(1, round(fps))
    scene.render.fps_base = scene.render.fps / fps
    with compat.gltf_importer_fixes():
        bpy.ops.import_scene.gltf(filepath=str(glb))
    first, last = (limit(action.frame_range[end] for action in bpy.data.actions) for limit, end in _LIMITS)
    scene.frame_start, scene.frame_end = round(first), round(last)
    bpy.ops.wm.usd_export(
        filepath=str(path),
        **compat.supported_options(
            bpy.ops.wm.usd_export,
            selected_objects_only=False,
            export_animation=True,
            export_materials=True,
            export_textures=True,
            export_armatures=True,
            export_uvmaps=True,
            export_normals=True,
            overwrite_textures=True,
            convert_orientation=False,
        ),
    )
    if not path.is_file():
        raise Uni4DError(
            "export-failed", f"Blender did not write {path}.", "See Blender's console for the reason."
        )
