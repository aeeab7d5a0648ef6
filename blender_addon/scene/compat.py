"""What differs between Blender 3.4 and 5.x, in one place. Everything else uses the common API."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import bpy
import numpy as np

from uni4d_shared.errors import Uni4DError

__all__ = [
    "MINIMUM_VERSION",
    "check_version",
    "eevee_engine",
    "gltf_importer_fixes",
    "new_fcurves",
    "new_socket",
    "set_keyframes",
    "set_splat_rendering",
    "supported_options",
]

MINIMUM_VERSION = (3, 4, 0)


def check_version() -> None:
    """Raise ``blender-too-old`` for a Blender that lacks what this add-on is built on."""
    if bpy.app.version < MINIMUM_VERSION:
        wanted = ".".join(map(str, MINIMUM_VERSION[:2]))
        raise Uni4DError(
            "blender-too-old",
            f"This is Blender {bpy.app.version_string}; Uni4D needs {wanted} or newer.",
            "Install a newer Blender (any from 3.4 to 5.2 LTS works).",
        )


def eevee_engine() -> str:
    """EEVEE's identifier: it was called ``BLENDER_EEVEE_NEXT`` from 4.2 to 4.5 only."""
    return "BLENDER_EEVEE_NEXT" if (4, 2, 0) <= bpy.app.version < (5, 0, 0) else "BLENDER_EEVEE"


@contextlib.contextmanager
def gltf_importer_fixes() -> Iterator[None]:
    """The glTF importer of Blender 3.x names ``np.bool``, which numpy 1.24 removed and 2.0 brought back."""
    if "bool" in vars(np):  # asking with hasattr would warn
        yield
        return
    np.bool = np.bool_  # type: ignore[attr-defined, misc]
    try:
        yield
    finally:
        del np.bool  # type: ignore[attr-defined]


def supported_options(operator: Any, **options: Any) -> dict[str, Any]:
    """Those of ``options`` that this version of an operator knows."""
    known = operator.get_rna_type().properties.keys()
    return {name: value for name, value in options.items() if name in known}


def new_fcurves(owner: Any, name: str) -> Callable[..., Any]:
    """A new action for ``owner`` (an object, camera data); returns ``(path, index, group) -> f-curve``.

    Up to 4.3 an action holds its curves itself; from 4.4 on they lie in the channel bag of a slot.
    """
    action: Any = bpy.data.actions.new(name)
    animation = owner.animation_data_create()
    animation.action = action
    curves, group_argument = action, "action_group"
    if hasattr(action, "slots"):
        slot = action.slots.new(id_type=owner.id_type, name=name)
        animation.action_slot = slot
        strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
        curves, group_argument = strip.channelbag(slot, ensure=True), "group_name"

    def new(path: str, index: int = 0, group: str = "") -> Any:
        return curves.fcurves.new(path, index=index, **{group_argument: group})

    return new


_INTERPOLATIONS = {"CONSTANT": 0, "LINEAR": 1, "BEZIER": 2}


def set_keyframes(curve: Any, frames: Any, values: Any, interpolation: str) -> None:
    """Fill a new f-curve: ``values [T]`` at ``frames [T]``."""
    points = curve.keyframe_points
    points.add(len(frames))
    points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    points.foreach_set("interpolation", np.full(len(frames), _INTERPOLATIONS[interpolation], np.int32))
    curve.update()


def new_socket(group: Any, direction: str, kind: str, name: str) -> None:
    """Add an ``INPUT`` or ``OUTPUT`` socket to a node group (4.0 moved them to ``group.interface``)."""
    if hasattr(group, "interface"):
        group.interface.new_socket(name, in_out=direction, socket_type=kind)
    elif direction == "INPUT":
        group.inputs.new(kind, name)
    else:
        group.outputs.new(kind, name)


def set_splat_rendering(material: Any) -> None:
    """Alpha that is right in any order of drawing, no shadows, and no lamp made of each splat."""
    if hasattr(material.cycles, "emission_sampling"):  # 3.5 and later
        material.cycles.emission_sampling = "NONE"
    else:
        material.cycles.sample_as_light = False
    if hasattr(material, "surface_render_method"):  # 4.2 and later
        material.surface_render_method = "DITHERED"
        material.use_transparent_shadow = False
    else:
        material.blend_method = "HASHED"
        material.shadow_method = "NONE"
