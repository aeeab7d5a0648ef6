"""Light that comes on and fades on the exported mesh: materials animated by ``KHR_animation_pointer``.

glTF itself animates nodes and morph targets only. Its morph targets may hold vertex colours, but readers may
leave those out, and Blender's does. The extension animates the factors of materials;
Blender reads it from 4.2 on. A reader that does not know it still shows the motion.

A part that lights up shines more or less (``emissiveFactor``). One that fades has its ``baseColorFactor``
multiplied, unless its base colour is a texture or vertex colours: such a pointer makes the importer of
Blender 4.2 to 5.0 refuse the whole file, so there the fading is left out.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uni4d.exports.source_mesh import SourceMesh
from uni4d.library.formats.glb import ELEMENT_BUFFER, GlbBuffer
from uni4d_shared.surface_light import LitPart, lit_faces, lit_parts
from uni4d_shared.types import Gaussians4D

__all__ = ["add_light"]

Array = NDArray[Any]

_EXTENSION = "KHR_animation_pointer"
_LIGHT = "emissiveFactor"
_SHINES, _FADES = 0.01, 0.98
"""Light above which, and factor below which, there is something to animate."""
_EMBER = 1e-4
"""What sets the red of the light at rest apart: Blender takes grey light for a strength, of which it animates
nothing, and so would multiply what is animated by it."""


def add_light(
    document: dict[str, Any], source: SourceMesh, result: Gaussians4D, times: int, buffer: GlbBuffer
) -> None:
    """Animate the materials of a whole ``document`` as the splats' colours change.

    ``times``: the accessor of its keyframes. Primitives of which only a part changes are divided.
    """
    primitives: list[dict[str, Any]] = document["meshes"][0]["primitives"]
    materials: list[dict[str, Any]] = copy.deepcopy(document.get("materials", []))
    plain = len(materials)  # glTF's default material, for primitives without one
    numbers = [primitive.get("material", plain) for primitive in primitives]
    parts = {part.material: part for part in lit_parts(result, _of_vertices(source, numbers, result))}
    if not parts:
        return
    materials += [{}] * (plain in numbers)
    lit = {number: _own_material(part, materials) for number, part in parts.items()}
    written: list[dict[str, Any]] = []
    for index, (number, primitive) in enumerate(zip(numbers, primitives, strict=True)):
        if number in parts:
            written += _divided(primitive, source, index, parts[number], lit[number], buffer)
        else:
            written.append(primitive)
    document["meshes"][0]["primitives"] = written
    document["materials"] = materials
    animation = document["animations"][0]
    for number, part in parts.items():
        carriers = [one for one in written if one.get("material") == lit[number]]
        for pointer, values, kind in _courses(materials[lit[number]], part, carriers):
            if pointer == _LIGHT:
                materials[lit[number]][_LIGHT] = _at_rest(values)
            target = {"pointer": f"/materials/{lit[number]}/{pointer}"}
            animation["channels"].append(
                {
                    "sampler": len(animation["samplers"]),
                    "target": {"path": "pointer", "extensions": {_EXTENSION: target}},
                }
            )
            output = buffer.add_accessor(values.astype(np.float32), kind)
            animation["samplers"].append({"input": times, "interpolation": "LINEAR", "output": output})
            document["extensionsUsed"] = sorted({*document.get("extensionsUsed", ()), _EXTENSION})


def _at_rest(light: Array) -> list[float]:
    """The first of ``[T, 3]``, but never grey."""
    red, green, blue = light[0].tolist()
    if red == green == blue:
        red += _EMBER if red < 0.5 else -_EMBER
    return [red, green, blue]


def _of_vertices(source: SourceMesh, numbers: list[int], result: Gaussians4D) -> Array:
    """``[P]`` the number of the material of each vertex of the result; -1 where none of the file's is it."""
    found = np.full(len(result.mesh.vertices), -1)
    for rows, number in zip(source.slices, numbers, strict=True):
        found[source.fitted[rows]] = number
    return found


def _own_material(part: LitPart, materials: list[dict[str, Any]]) -> int:
    """The number of the material that is animated: that of the part, or a copy if the rest keeps it."""
    material, number = materials[part.material], part.material
    if not part.whole:
        material, number = copy.deepcopy(material), len(materials)
        material["name"] = f"{material.get('name', 'material')} (lit)"
        materials.append(material)
    material.setdefault("name", "material")  # Blender's importer wants one where it is animated
    return number


def _divided(
    primitive: dict[str, Any], source: SourceMesh, index: int, part: LitPart, lit: int, buffer: GlbBuffer
) -> list[dict[str, Any]]:
    """The primitive with the material that is animated, or the two halves of it, on the same vertices."""
    faces = source.primitives[index].faces
    changes = lit_faces(part, source.fitted[source.slices[index]][faces])
    if part.whole or changes.all():
        return [{**primitive, "material": lit}]
    if not changes.any():
        return [primitive]
    kind = np.uint16 if len(source.primitives[index].vertices) < 65535 else np.uint32
    halves = [
        buffer.add_accessor(faces[which].reshape(-1).astype(kind), "SCALAR", ELEMENT_BUFFER)
        for which in (~changes, changes)
    ]
    return [{**primitive, "indices": halves[0]}, {**primitive, "indices": halves[1], "material": lit}]


def _courses(
    material: dict[str, Any], part: LitPart, carriers: list[dict[str, Any]]
) -> list[tuple[str, Array, str]]:
    """What is animated: the pointer below the material, its values over time, their kind."""
    surface = material.get("pbrMetallicRoughness", {})
    colored = any("COLOR_0" in carrier["attributes"] for carrier in carriers)
    multiplied = "baseColorTexture" not in surface and not colored
    courses = []
    if multiplied and part.base.min() < _FADES:
        color = np.array(surface.get("baseColorFactor", [1.0, 1.0, 1.0, 1.0]))
        factors = np.concatenate([part.base, np.ones((len(part.base), 1))], axis=1)
        courses.append(("pbrMetallicRoughness/baseColorFactor", color * factors, "VEC4"))
    light = part.emission if multiplied else part.emission_alone
    if "emissiveTexture" not in material and light.max() > _SHINES:  # else the light would be that texture's
        own = np.array(material.get(_LIGHT, [0.0, 0.0, 0.0]))
        courses.append((_LIGHT, np.clip(own + light, 0.0, 1.0), "VEC3"))
    return courses
