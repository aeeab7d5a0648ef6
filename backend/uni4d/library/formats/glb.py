"""The container of binary glTF: its header and two chunks, and the binary one under construction.

Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html#glb-file-format-specification
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARRAY_BUFFER", "ELEMENT_BUFFER", "POINTS", "TRIANGLES", "GlbBuffer", "pack_glb", "unpack_glb"]

Array = NDArray[Any]

ARRAY_BUFFER, ELEMENT_BUFFER = 34962, 34963
"""What a buffer view is for: vertex attributes, or indices."""
POINTS, TRIANGLES = 0, 4
_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_COMPONENT_CODES = {
    "int8": 5120,
    "uint8": 5121,
    "int16": 5122,
    "uint16": 5123,
    "uint32": 5125,
    "float32": 5126,
}


class GlbBuffer:
    """The binary chunk under construction, with its views and accessors."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add_view(self, payload: bytes, target: int | None = None, stride: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(payload)}
        if stride is not None:
            view["byteStride"] = stride
        if target is not None:
            view["target"] = target
        self.data += payload
        self.views.append(view)
        return len(self.views) - 1

    def add_accessor(
        self,
        values: Array,
        kind: str,
        target: int | None = None,
        *,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """The number of a new accessor of ``values``, whose first axis counts its elements."""
        accessor: dict[str, Any] = {
            "bufferView": self._add_values(values, target),
            "componentType": _COMPONENT_CODES[values.dtype.name],
            "count": len(values),
            "type": kind,
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor["min"] = np.atleast_1d(values.min(axis=0)).tolist()
            accessor["max"] = np.atleast_1d(values.max(axis=0)).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def _add_values(self, values: Array, target: int | None) -> int:
        """A view of ``values``; each vertex of an attribute begins at a multiple of 4 bytes."""
        rows = np.ascontiguousarray(values)
        size = rows.itemsize * (rows.size // len(rows)) if len(rows) else 0
        if target != ARRAY_BUFFER or size % 4 == 0:
            return self.add_view(rows.tobytes(), target)
        padded = np.zeros((len(rows), size + -size % 4), np.uint8)
        padded[:, :size] = rows.reshape(len(rows), -1).view(np.uint8)
        return self.add_view(padded.tobytes(), target, padded.shape[1])


def pack_glb(document: dict[str, Any], buffer: GlbBuffer) -> bytes:
    """A GLB file of ``document``, which is given the buffer's views and accessors."""
    complete = {
        **document,
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    text = json.dumps(complete, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = bytes(buffer.data) + b"\0" * (-len(buffer.data) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        (
            struct.pack("<III", _MAGIC, 2, total),
            struct.pack("<II", len(text), _JSON_CHUNK),
            text,
            struct.pack("<II", len(binary), _BIN_CHUNK),
            binary,
        )
    )


def unpack_glb(data: bytes) -> tuple[bytes, bytes | None]:
    """The JSON text and the binary chunk of a GLB file; ``ValueError`` says what is wrong with it."""
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != _MAGIC:
        raise ValueError("this is not a GLB file")
    version, total = struct.unpack_from("<II", data, 4)
    if version != 2 or total > len(data):
        raise ValueError(
            f"GLB version {version}, {len(data)} of {total} bytes; a whole version-2 file is needed"
        )
    chunks: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= total:
        length, kind = struct.unpack_from("<II", data, offset)
        if offset + 8 + length > total:
            raise ValueError("a chunk runs past the end of the file")
        chunks.setdefault(kind, data[offset + 8 : offset + 8 + length])
        offset += 8 + length
    if _JSON_CHUNK not in chunks:
        raise ValueError("the file has no JSON chunk")
    return chunks[_JSON_CHUNK], chunks.get(_BIN_CHUNK)
