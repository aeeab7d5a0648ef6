"""Orbit rigs, intrinsics and ``transforms.json``.

The add-on places Blender cameras from these values and the backend rasterises with them, so a
pixel means the same on both sides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from uni4d_shared.conventions import (
    blender_matrix_from_world_to_camera,
    world_to_camera_from_blender_matrix,
)
from uni4d_shared.types import Camera

__all__ = [
    "bounding_sphere",
    "look_at",
    "orbit_rig",
    "pinhole_intrinsics",
    "project",
    "read_transforms",
    "scaled",
    "write_transforms",
]


def pinhole_intrinsics(width: int, height: int, field_of_view: float) -> NDArray[np.float64]:
    """The 3×3 matrix of a centred pinhole with square pixels; horizontal ``field_of_view`` in radians."""
    focal = 0.5 * width / math.tan(0.5 * field_of_view)
    return np.array([[focal, 0.0, 0.5 * width], [0.0, focal, 0.5 * height], [0.0, 0.0, 1.0]])


def look_at(position: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """``world_to_camera`` (4×4) of a camera at ``position`` looking at ``target``, upright (Z up)."""
    position = np.asarray(position, dtype=np.float64)
    forward = np.asarray(target, dtype=np.float64) - position
    forward /= np.linalg.norm(forward)
    up = np.array([0.0, 0.0, 1.0])
    if abs(forward @ up) > 0.9999:  # straight up or down: any horizontal direction serves as "up"
        up = np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ position
    return matrix


def bounding_sphere(points: ArrayLike) -> tuple[NDArray[np.float64], float]:
    """Centre ``[3]`` of the bounding box of ``points`` ``[N, 3]``, and the radius that holds them all."""
    points = np.asarray(points, dtype=np.float64)
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return centre, max(float(np.linalg.norm(points - centre, axis=1).max()), 1e-6)


def orbit_rig(
    centre: ArrayLike,
    radius: float,
    *,
    azimuths: int = 8,
    elevations: Sequence[float] = (math.radians(15.0), math.radians(45.0)),
    size: int = 256,
    field_of_view: float = math.radians(40.0),
    margin: float = 1.15,
) -> tuple[Camera, ...]:
    """Cameras on rings about a bounding sphere, each looking at its centre.

    Ring by ring in the order of ``elevations`` (radians above the horizon). Camera 0 of a ring looks at
    the front three-quarter view (azimuth −60° in the XY plane, the front being −Y); the others follow
    counter-clockwise seen from above. The sphere of ``radius`` metres, times ``margin``, touches the
    image border.
    """
    if azimuths < 1 or size < 1 or not radius > 0:
        raise ValueError(f"orbit_rig: azimuths={azimuths}, size={size}, radius={radius} must all be positive")
    centre = np.asarray(centre, dtype=np.float64)
    distance = margin * radius / math.sin(0.5 * field_of_view)
    intrinsics = pinhole_intrinsics(size, size, field_of_view)
    cameras = []
    for elevation in elevations:
        for step in range(azimuths):
            azimuth = math.radians(-60.0) + 2.0 * math.pi * step / azimuths
            direction = np.array(
                [
                    math.cos(elevation) * math.cos(azimuth),
                    math.cos(elevation) * math.sin(azimuth),
                    math.sin(elevation),
                ]
            )
            cameras.append(Camera(look_at(centre + distance * direction, centre), intrinsics, size, size))
    return tuple(cameras)


def scaled(camera: Camera, size: int) -> Camera:
    """The same view at another image width; the height follows the aspect ratio."""
    factor = size / camera.width
    intrinsics = camera.intrinsics.copy()
    intrinsics[:2] *= factor
    return Camera(camera.world_to_camera, intrinsics, size, round(camera.height * factor))


def project(camera: Camera, points: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel positions ``[N, 2]`` and depths ``[N]`` in metres of world points ``[N, 3]``."""
    points = np.asarray(points, dtype=np.float64)
    local = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    image = local @ camera.intrinsics.T
    return image[:, :2] / image[:, 2:], local[:, 2]


def write_transforms(path: Path, cameras: Sequence[Camera], image_names: Sequence[str]) -> None:
    """Write ``transforms.json`` as NeRF and 3DGS tools read it: OpenGL camera-to-world matrices."""
    if len(cameras) != len(image_names):
        raise ValueError(f"{len(cameras)} cameras but {len(image_names)} image names")
    frames = [
        {
            "file_path": name,
            "transform_matrix": blender_matrix_from_world_to_camera(camera.world_to_camera).tolist(),
            "fl_x": camera.intrinsics[0, 0],
            "fl_y": camera.intrinsics[1, 1],
            "cx": camera.intrinsics[0, 2],
            "cy": camera.intrinsics[1, 2],
            "w": camera.width,
            "h": camera.height,
        }
        for camera, name in zip(cameras, image_names, strict=True)
    ]
    first = cameras[0]
    angle = 2.0 * math.atan(0.5 * first.width / first.intrinsics[0, 0])
    path.write_text(
        json.dumps({"camera_model": "PINHOLE", "camera_angle_x": angle, "frames": frames}, indent=1)
    )


def read_transforms(path: Path) -> tuple[tuple[Camera, ...], tuple[str, ...]]:
    """Cameras and image names of a ``transforms.json``; a ``ValueError`` names the file and its fault."""
    try:
        document = json.loads(path.read_text())
        frames = document["frames"]
        cameras = tuple(_camera_from_frame(frame, document) for frame in frames)
        names = tuple(str(frame["file_path"]) for frame in frames)
    except (json.JSONDecodeError, KeyError, TypeError, np.linalg.LinAlgError) as error:
        raise ValueError(
            f"{path}: not a readable transforms.json ({type(error).__name__}: {error})"
        ) from error
    return cameras, names


def _camera_from_frame(frame: dict[str, Any], document: dict[str, Any]) -> Camera:
    values = {**document, **frame}
    width, height = int(values["w"]), int(values["h"])
    if "fl_x" in values:
        intrinsics = np.array(
            [
                [values["fl_x"], 0.0, values.get("cx", width / 2)],
                [0.0, values.get("fl_y", values["fl_x"]), values.get("cy", height / 2)],
                [0.0, 0.0, 1.0],
            ],
            dtype=np.float64,
        )
    else:
        intrinsics = pinhole_intrinsics(width, height, float(values["camera_angle_x"]))
    return Camera(world_to_camera_from_blender_matrix(values["transform_matrix"]), intrinsics, width, height)
