"""Run inside a Blender: read the exported files with its own importers and write down what it sees.

    … import_in_blender.py FOLDER FPS FRAME …

``FOLDER`` holds ``skin.glb``, ``morph.glb``, ``lit_skin.glb``, ``lit_morph.glb``, ``splats.ply`` and perhaps
``animated.usdc``; ``seen.npz`` is written there. Nothing of Uni4D is imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np


def main(folder: Path, fps: int, frames: list[int]) -> None:
    seen = {}
    for name in ("skin", "morph", "lit_skin", "lit_morph"):
        _clear(fps)
        if "bool" not in vars(np):  # the importer of Blender 3.x asks for it, numpy 1.24 took it away
            np.bool = np.bool_  # type: ignore[attr-defined, misc]
        bpy.ops.import_scene.gltf(filepath=str(folder / f"{name}.glb"))
        seen[name] = _positions(frames)
        seen[f"{name}_light"] = _light(frames)
        seen[f"{name}_images"] = np.array([max(image.size) for image in bpy.data.images if image.size[0]])
    if (folder / "animated.usdc").is_file():
        _clear(fps)
        bpy.ops.wm.usd_import(filepath=str(folder / "animated.usdc"), set_frame_range=True)
        seen["usd"] = _positions(frames)
    _clear(fps)
    if bpy.app.version >= (4, 0, 0):
        bpy.ops.wm.ply_import(filepath=str(folder / "splats.ply"), forward_axis="Y", up_axis="Z")
    else:
        bpy.ops.import_mesh.ply(filepath=str(folder / "splats.ply"))
    seen["splats"] = _vertices(next(item for item in bpy.data.objects if item.type == "MESH"))
    np.savez(folder / "seen.npz", **seen)


def _clear(fps: int) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.render.fps = fps


def _positions(frames: list[int]) -> Any:
    """``[T, P, 3]`` the evaluated vertices of the one mesh, world, at frames from the animation's first."""
    (item,) = (
        item for item in bpy.data.objects if item.type == "MESH" and item.users_scene and _is_shown(item)
    )
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(_first() + frame)
        evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
        found.append(_vertices(evaluated))
    return np.stack(found)


def _first() -> int:
    """The frame with which the animation begins."""
    starts = [action.frame_range[0] for action in bpy.data.actions]
    return round(min(starts) if starts else bpy.context.scene.frame_start)


def _light(frames: list[int]) -> Any:
    """``[T, 3]`` the most that any material shines."""
    found = []
    for frame in frames:
        bpy.context.scene.frame_set(_first() + frame)
        graph = bpy.context.evaluated_depsgraph_get()
        shown = [np.zeros(3)]
        for material in bpy.data.materials:
            nodes: Any = material.evaluated_get(graph).node_tree.nodes  # type: ignore[union-attr]
            for node in (node for node in nodes if node.type == "BSDF_PRINCIPLED"):
                color = node.inputs.get("Emission Color") or node.inputs["Emission"]
                shown.append(
                    np.array(color.default_value)[:3] * node.inputs["Emission Strength"].default_value
                )
        found.append(np.max(shown, axis=0))
    return np.stack(found)


def _is_shown(item: Any) -> bool:
    """Not the little sphere that the importer draws bones with."""
    return not item.name.startswith("Icosphere")


def _vertices(item: Any) -> Any:
    mesh = item.to_mesh()
    places = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", places)
    matrix = np.array(item.matrix_world)
    return places.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]


if __name__ == "__main__":
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    main(Path(given[0]), int(given[1]), [int(frame) for frame in given[2:]])
