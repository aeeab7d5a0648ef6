"""Splats as a GLB with Khronos's ``KHR_gaussian_splatting`` (ratified).

One primitive of points. Attributes, all float: ``POSITION``, and with the prefix ``KHR_gaussian_splatting:``
``ROTATION`` (quaternion xyzw), ``SCALE`` (standard deviations, linear), ``OPACITY`` (linear, 0 to 1) and
``SH_DEGREE_l_COEF_n`` (coefficients of :mod:`uni4d_shared.harmonics`, red, green and blue together; degree 0
holds (colour − 0.5) / C0). The extension's object names the kernel ``ellipse`` and the colour space
``srgb_rec709_display``: colours are blended as they are, in sRGB, which is what our rasteriser does.
``COLOR_0`` (linear, as glTF has it) lets a program that does not know the extension show coloured points.

Everything is written in glTF's axes (Y up), so positions, rotations and harmonics are turned, and the node
has no transform. Specification:
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting"""

from __future__ import annotations

import numpy as np

from uni4d.library.formats.glb import ARRAY_BUFFER, POINTS, GlbBuffer, pack_glb
from uni4d_shared.conventions import (
    GLTF_TO_WORLD,
    gltf_from_world,
    linear_from_srgb,
    multiply_quaternions,
    quaternion_from_matrix,
    sh0_from_color,
)
from uni4d_shared.harmonics import rotate
from uni4d_shared.types import Array, Splats

__all__ = ["splat_glb"]

_EXTENSION = "KHR_gaussian_splatting"
_DEGREES = ((1, slice(0, 3)), (2, slice(3, 8)), (3, slice(8, 15)))


def splat_glb(splats: Splats, name: str = "Uni4D splats") -> bytes:
    """``splats`` as a GLB file."""
    buffer = GlbBuffer()

    def attribute(values: Array, kind: str, *, bounds: bool = False) -> int:
        return buffer.add_accessor(values.astype(np.float32), kind, ARRAY_BUFFER, bounds=bounds)

    to_gltf = quaternion_from_matrix(GLTF_TO_WORLD.T)
    quaternions = multiply_quaternions(to_gltf, splats.quaternions)
    quaternions = quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
    linear = linear_from_srgb(np.clip(splats.colors, 0.0, 1.0))
    fallback = np.concatenate([linear, splats.opacities[:, None]], axis=1)
    attributes = {
        "POSITION": attribute(gltf_from_world(splats.means), "VEC3", bounds=True),
        "COLOR_0": buffer.add_accessor(
            np.rint(255.0 * np.clip(fallback, 0.0, 1.0)).astype(np.uint8),
            "VEC4",
            ARRAY_BUFFER,
            normalized=True,
        ),
        f"{_EXTENSION}:ROTATION": attribute(np.roll(quaternions, -1, axis=1), "VEC4"),
        f"{_EXTENSION}:SCALE": attribute(splats.scales, "VEC3"),
        f"{_EXTENSION}:OPACITY": attribute(np.clip(splats.opacities, 0.0, 1.0), "SCALAR"),
        f"{_EXTENSION}:SH_DEGREE_0_COEF_0": attribute(sh0_from_color(splats.colors), "VEC3"),
    }
    harmonics = rotate(splats.harmonics, np.tile(GLTF_TO_WORLD.T, (len(splats.means), 1, 1)))
    for degree, columns in _DEGREES:
        if columns.stop <= harmonics.shape[1]:
            for index, coefficients in enumerate(harmonics[:, columns].swapaxes(0, 1)):
                attributes[f"{_EXTENSION}:SH_DEGREE_{degree}_COEF_{index}"] = attribute(coefficients, "VEC3")
    kernel = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    primitive = {"attributes": attributes, "mode": POINTS, "extensions": {_EXTENSION: kernel}}
    document = {
        "asset": {"version": "2.0", "generator": "uni4d"},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [{"name": name, "primitives": [primitive]}],
    }
    return pack_glb(document, buffer)
