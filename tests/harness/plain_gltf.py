"""A small, slow glTF player, written from the specification: where are the vertices at a moment in time?

It shares nothing with the code that writes the files.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PlainGltf"]

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class PlainGltf:
    """A GLB file in memory."""

    def __init__(self, data: bytes) -> None:
        magic, version, total = struct.unpack_from("<4sII", data)
        assert (magic, version, total) == (b"glTF", 2, len(data))
        length, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON"
        assert length % 4 == 0
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        size, kind = struct.unpack_from("<I4s", data, 20 + length)
        assert kind == b"BIN\0"
        self._binary = data[28 + length : 28 + length + size]

    def view(self, index: int) -> bytes:
        view = self.json["bufferViews"][index]
        return self._binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]

    def accessor(self, index: int) -> NDArray[Any]:
        """``[count, width]``"""
        accessor = self.json["accessors"][index]
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        stride = self.json["bufferViews"][accessor["bufferView"]].get("byteStride", kind.itemsize * width)
        rows = [
            np.frombuffer(self.view(accessor["bufferView"]), kind, width, element * stride)
            for element in range(accessor["count"])
        ]
        return np.stack(rows)

    def attribute(self, name: str) -> NDArray[Any]:
        """An attribute of the first mesh, all of its primitives one after the other."""
        primitives = self.json["meshes"][0]["primitives"]
        return np.concatenate([self.accessor(primitive["attributes"][name]) for primitive in primitives])

    def skinned(self, time: float) -> NDArray[np.float64]:
        """The vertices ``[P, 3]`` of the skinned mesh at ``time`` seconds, in the file's axes."""
        skin = self.json["skins"][0]
        inverse_binds = self.accessor(skin["inverseBindMatrices"]).astype(float)
        matrices = [
            self._joint(number, time) @ inverse.reshape(4, 4).T
            for number, inverse in zip(skin["joints"], inverse_binds, strict=True)
        ]
        points = self.attribute("POSITION").astype(float)
        joints, weights = self.attribute("JOINTS_0"), self.attribute("WEIGHTS_0").astype(float)
        moved = np.zeros_like(points)
        for index, point in enumerate(points):
            for joint, weight in zip(joints[index], weights[index], strict=True):
                moved[index] += weight * (matrices[joint] @ [*point, 1.0])[:3]
        return moved

    def _joint(self, number: int, time: float) -> NDArray[np.float64]:
        node = {**self.json["nodes"][number]}
        for channel in self.json["animations"][0]["channels"]:
            if channel["target"].get("node") == number:
                node[channel["target"]["path"]] = self._sample(channel["sampler"], time)
        x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
        matrix = np.eye(4)
        matrix[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        matrix[:3, 3] = node["translation"]
        return matrix

    def _sample(self, sampler: int, time: float) -> NDArray[Any]:
        """The output whose key is at ``time``."""
        entry = self.json["animations"][0]["samplers"][sampler]
        times = self.accessor(entry["input"])[:, 0]
        key = int(np.abs(times - time).argmin())
        assert abs(times[key] - time) < 1e-5, "there is no key at this time"
        outputs = self.accessor(entry["output"])
        return outputs.reshape(len(times), -1)[key]

    def pointers(self) -> dict[str, NDArray[Any]]:
        """The values ``[T, width]`` of all that is animated by ``KHR_animation_pointer``, by its pointer."""
        animation = self.json["animations"][0]
        return {
            channel["target"]["extensions"]["KHR_animation_pointer"]["pointer"]: self.accessor(
                animation["samplers"][channel["sampler"]]["output"]
            )
            for channel in animation["channels"]
            if channel["target"]["path"] == "pointer"
        }

    def morphed(self, time: float) -> NDArray[np.float64]:
        """The vertices ``[P, 3]`` of the morphed mesh at ``time`` seconds."""
        mesh, animation = self.json["meshes"][0], self.json["animations"][0]
        assert animation["channels"][0]["target"] == {"node": 0, "path": "weights"}
        weights = self._sample(animation["channels"][0]["sampler"], time)
        parts = []
        for primitive in mesh["primitives"]:
            points = self.accessor(primitive["attributes"]["POSITION"]).astype(float)
            assert len(primitive["targets"]) == len(weights)
            for weight, target in zip(weights, primitive["targets"], strict=True):
                points += weight * self.accessor(target["POSITION"])
            parts.append(points)
        return np.concatenate(parts)
