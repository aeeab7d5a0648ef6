"""Writing vertex-coloured triangles as a GLB: one node, one mesh, one primitive, glTF axes (Y up).

Colours are 16-bit linear (``COLOR_0``), since eight bits of linear light band in the shadows; normals are
left to the reader. Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["glb_bytes"]

Array = NDArray[Any]


def glb_bytes(vertices: Array, colours: Array, faces: Array, name: str) -> bytes:
    """``vertices`` ``[V, 3]`` (Z up), linear ``colours`` ``[V, 3]`` in [0, 1], ``faces`` ``[F, 3]``."""
    x, y, z = vertices.astype(np.float64).T
    positions = np.stack([x, z, -y], axis=1).astype("<f4")
    tint = np.full((len(vertices), 4), 65535, "<u2")
    tint[:, :3] = np.round(np.clip(colours, 0.0, 1.0) * 65535.0)
    wide = len(vertices) > 65535
    corners = faces.reshape(-1).astype("<u4" if wide else "<u2")
    chunks = [positions.tobytes(), tint.tobytes(), corners.tobytes()]
    views, offset = [], 0
    for chunk, target in zip(chunks, (34962, 34962, 34963), strict=True):
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": len(chunk), "target": target})
        offset += len(chunk)
    document = {
        "asset": {"version": "2.0", "generator": "uni4d_infinigen"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [
            {
                "name": name,
                "primitives": [
                    {"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "material": 0, "mode": 4}
                ],
            }
        ],
        "materials": [
            {
                "name": "vertex colours",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.7},
                "doubleSided": True,
            }
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": len(positions),
                "type": "VEC3",
                "min": positions.min(axis=0).tolist(),
                "max": positions.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": 5123, "normalized": True, "count": len(tint), "type": "VEC4"},
            {
                "bufferView": 2,
                "componentType": 5125 if wide else 5123,
                "count": len(corners),
                "type": "SCALAR",
            },
        ],
        "bufferViews": views,
        "buffers": [{"byteLength": offset}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(chunks)
    binary += b"\0" * (-len(binary) % 4)
    return b"".join(
        (
            struct.pack("<III", 0x46546C67, 2, 12 + 8 + len(text) + 8 + len(binary)),
            struct.pack("<II", len(text), 0x4E4F534A),
            text,
            struct.pack("<II", len(binary), 0x004E4942),
            binary,
        )
    )
