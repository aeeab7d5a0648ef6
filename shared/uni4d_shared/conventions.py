"""The one table of conventions, and the only converters between them. Nothing else converts.

==============  ================================================================================
world           right-handed, Z up, X right, front of an object towards −Y, metres
glTF            right-handed, Y up, front towards +Z: (x, y, z)_world = (x, −z, y)_glTF
camera          OpenCV: x right, y down, z forward; ``world_to_camera`` is 4×4 and acts on columns
Blender camera  OpenGL: x right, y up, z backward; the object's ``matrix_world`` is camera-to-world
pixels          origin in the top-left corner, centres at +0.5
quaternions     wxyz, unit length, rotate columns: v' = R v
images          uint8 sRGB (IEC 61966-2-1), straight (not premultiplied) alpha, rows from the top
depth           metres along the camera's z (not along the ray); ``inf`` where nothing is
Uni3D clouds    Y up (glTF axes), centred, scaled into the unit ball
spherical harm. degree-0 coefficient f_dc = (colour − 0.5) / C0, C0 = 1 / (2√π); directions go from the
                camera to the splat, in world axes (:mod:`uni4d_shared.harmonics`)
==============  ================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "GLTF_TO_WORLD",
    "OPENGL_TO_OPENCV",
    "SH_C0",
    "blender_matrix_from_world_to_camera",
    "color_from_sh0",
    "gltf_from_world",
    "linear_from_srgb",
    "matrix_from_quaternion",
    "multiply_quaternions",
    "quaternion_from_matrix",
    "sh0_from_color",
    "srgb_from_linear",
    "uni3d_cloud_from_world",
    "world_from_gltf",
    "world_to_camera_from_blender_matrix",
]

GLTF_TO_WORLD = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
OPENGL_TO_OPENCV: NDArray[np.float64] = np.diag([1.0, -1.0, -1.0, 1.0])
SH_C0 = 0.28209479177387814


def world_from_gltf(points: ArrayLike) -> NDArray[Any]:
    """Points ``[..., 3]`` from glTF's Y-up axes to the Z-up world."""
    return np.asarray(points) @ GLTF_TO_WORLD.T.astype(np.asarray(points).dtype)


def gltf_from_world(points: ArrayLike) -> NDArray[Any]:
    """Points ``[..., 3]`` from the Z-up world to glTF's Y-up axes."""
    return np.asarray(points) @ GLTF_TO_WORLD.astype(np.asarray(points).dtype)


def linear_from_srgb(colors: ArrayLike) -> NDArray[Any]:
    """Linear light of sRGB values in [0, 1], of any shape (IEC 61966-2-1)."""
    c = np.asarray(colors)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(c.dtype)


def srgb_from_linear(light: ArrayLike) -> NDArray[Any]:
    """sRGB of linear light, of any shape; what is outside [0, 1] is clipped."""
    c = np.clip(np.asarray(light), 0.0, 1.0)
    return np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055).astype(c.dtype)


def blender_matrix_from_world_to_camera(world_to_camera: ArrayLike) -> NDArray[np.float64]:
    """A Blender camera object's ``matrix_world`` (4×4, camera-to-world, OpenGL axes)."""
    return np.linalg.inv(np.asarray(world_to_camera, dtype=np.float64)) @ OPENGL_TO_OPENCV


def world_to_camera_from_blender_matrix(matrix_world: ArrayLike) -> NDArray[np.float64]:
    """The OpenCV extrinsics (4×4) of a Blender camera object's ``matrix_world``."""
    camera_to_world = np.asarray(matrix_world, dtype=np.float64) @ OPENGL_TO_OPENCV
    return np.asarray(np.linalg.inv(camera_to_world), dtype=np.float64)


def matrix_from_quaternion(quaternions: ArrayLike) -> NDArray[Any]:
    """Rotation matrices ``[..., 3, 3]`` of quaternions ``[..., 4]`` (wxyz, any non-zero length)."""
    q = np.asarray(quaternions)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    w, x, y, z = np.moveaxis(q, -1, 0)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
        ],
        -2,
    )


def quaternion_from_matrix(matrices: ArrayLike) -> NDArray[Any]:
    """Unit quaternions ``[..., 4]`` (wxyz, w ≥ 0) of rotation matrices ``[..., 3, 3]``.

    Each of the four candidate formulas divides by one component; the largest one is used
    (Shepperd 1978), so the result is accurate for every rotation.
    """
    m = np.asarray(matrices)
    trace = np.trace(m, axis1=-2, axis2=-1)
    diagonal = np.diagonal(m, axis1=-2, axis2=-1)
    squares = np.stack([trace, *np.moveaxis(diagonal, -1, 0)], -1)  # order w, x, y, z
    candidates = np.stack(
        [
            np.stack(
                [
                    1 + trace,
                    m[..., 2, 1] - m[..., 1, 2],
                    m[..., 0, 2] - m[..., 2, 0],
                    m[..., 1, 0] - m[..., 0, 1],
                ],
                -1,
            ),
            *(_axis_candidate(m, trace, axis) for axis in range(3)),
        ],
        -2,
    )  # [..., 4, 4]
    best = np.argmax(squares, axis=-1)[..., None, None]
    q = np.take_along_axis(candidates, best, axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def _axis_candidate(m: NDArray[Any], trace: NDArray[Any], axis: int) -> NDArray[Any]:
    i, j, k = axis, (axis + 1) % 3, (axis + 2) % 3
    q = np.empty((*trace.shape, 4), dtype=m.dtype)
    q[..., 0] = m[..., k, j] - m[..., j, k]
    q[..., 1 + i] = 1 + 2 * m[..., i, i] - trace
    q[..., 1 + j] = m[..., i, j] + m[..., j, i]
    q[..., 1 + k] = m[..., i, k] + m[..., k, i]
    return q


def multiply_quaternions(left: ArrayLike, right: ArrayLike) -> NDArray[Any]:
    """The Hamilton product ``[..., 4]``: rotate by ``right`` first, then by ``left``."""
    lw, lx, ly, lz = np.moveaxis(np.asarray(left), -1, 0)
    rw, rx, ry, rz = np.moveaxis(np.asarray(right), -1, 0)
    return np.stack(
        [
            lw * rw - lx * rx - ly * ry - lz * rz,
            lw * rx + lx * rw + ly * rz - lz * ry,
            lw * ry - lx * rz + ly * rw + lz * rx,
            lw * rz + lx * ry - ly * rx + lz * rw,
        ],
        -1,
    )


def uni3d_cloud_from_world(points: ArrayLike) -> NDArray[Any]:
    """World points ``[N, 3]`` as Uni3D wants them: Y up, centred, in the unit ball."""
    cloud = gltf_from_world(points)
    cloud = cloud - cloud.mean(axis=0)
    return cloud / max(float(np.linalg.norm(cloud, axis=1).max()), 1e-12)


def sh0_from_color(colors: ArrayLike) -> NDArray[Any]:
    """Degree-0 spherical-harmonic coefficients of sRGB colours in [0, 1] (3DGS)."""
    return (np.asarray(colors) - 0.5) / SH_C0


def color_from_sh0(coefficients: ArrayLike) -> NDArray[Any]:
    """sRGB colours of degree-0 spherical-harmonic coefficients (3DGS)."""
    return np.asarray(coefficients) * SH_C0 + 0.5
