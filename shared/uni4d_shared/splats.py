"""Splat files: INRIA's PLY and antimatter15's ``.splat``, for one moment; numbered PLYs for time.

Both hold the splats in world axes (Z up, metres), one row per splat in the order given, so that row *i* of
every file of a sequence is the same splat.

PLY (Kerbl et al. 2023, `gaussian-splatting/scene/gaussian_model.py`): binary little-endian ``float`` rows of
``x y z nx ny nz f_dc_0..2 f_rest_0.. opacity scale_0..2 rot_0..3``. Opacity is stored as its logit, scales as
their logarithm, colour as its degree-0 spherical-harmonic coefficient, the quaternion wxyz. ``f_rest_*`` are
the 3 K coefficients of higher degree, all of red, then all of green, then all of blue; none where no colour
depends on the view.

``.splat`` (https://github.com/antimatter15/splat): 32 bytes a row, ``float32 position[3], float32 scale[3],
uint8 rgba[4], uint8 quaternion[4]`` with quaternion byte = 128 q + 128, wxyz.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from uni4d_shared.conventions import color_from_sh0, sh0_from_color
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent
from uni4d_shared.skinning import splats_at
from uni4d_shared.types import Array, Gaussians4D, Splats

__all__ = ["read_ply", "read_splat", "write_ply", "write_ply_sequence", "write_splat"]

_PLY_BEFORE_REST = ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2")
_PLY_AFTER_REST = ("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
_REST_COUNTS = (0, 9, 24, 45)
"""How many ``f_rest_*`` there are for degrees 0 to 3."""
_PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4"},
    **{"float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8"},
}
_MAX_HEADER_LINES = 512
_MIN_SCALE = 1e-9
_MIN_OPACITY = 1e-6  # its logit, ±13.8, is what trained files saturate at
_SPLAT_ROW = np.dtype(
    [("position", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quaternion", "u1", 4)]
)


def write_ply(path: Path, splats: Splats) -> None:
    """Write an INRIA PLY."""
    count = len(splats.means)
    opacity = np.clip(splats.opacities.astype(np.float64), _MIN_OPACITY, 1.0 - _MIN_OPACITY)
    rows = np.concatenate(
        [
            splats.means,
            np.zeros((count, 3)),
            sh0_from_color(splats.colors),
            splats.harmonics.swapaxes(1, 2).reshape(count, 3 * splats.harmonics.shape[1]),
            np.log(opacity / (1.0 - opacity))[:, None],
            np.log(np.maximum(splats.scales, _MIN_SCALE)),
            splats.quaternions,
        ],
        axis=1,
    ).astype("<f4")
    names = (*_PLY_BEFORE_REST, *_rest_names(3 * splats.harmonics.shape[1]), *_PLY_AFTER_REST)
    properties = "".join(f"property float {name}\n" for name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {count}\n{properties}end_header\n"
    with path.open("wb") as file:
        file.write(header.encode("ascii"))
        file.write(rows.tobytes())


def read_ply(path: Path) -> Splats:
    """Read an INRIA PLY, whatever the order and number types of its properties."""
    with path.open("rb") as file:
        count, row = _read_ply_header(path, file)
        data = file.read(count * row.itemsize)
    if len(data) != count * row.itemsize:
        raise _unreadable(path, f"it should hold {count} splats and was cut off")
    rows = np.frombuffer(data, dtype=row)
    found = set(row.names or ())
    rest = _rest_names(sum(name.startswith("f_rest_") for name in found))
    wanted = (*_PLY_BEFORE_REST, *rest, *_PLY_AFTER_REST)
    if missing := [name for name in wanted if name not in found and not name.startswith("n")]:
        raise _unreadable(path, f"it has no property {', '.join(missing)}")
    if len(rest) not in _REST_COUNTS:
        raise _unreadable(path, f"it has {len(rest)} f_rest_ properties, expected 0, 9, 24 or 45")

    def columns(*names: str) -> Array:
        return np.stack([rows[name].astype(np.float64) for name in names], axis=1)

    colors = color_from_sh0(columns("f_dc_0", "f_dc_1", "f_dc_2"))
    harmonics = columns(*rest) if rest else np.zeros((count, 0))

    quaternions = columns("rot_0", "rot_1", "rot_2", "rot_3")
    return Splats(
        means=columns("x", "y", "z"),
        quaternions=_unit(quaternions),
        scales=np.exp(columns("scale_0", "scale_1", "scale_2")),
        opacities=1.0 / (1.0 + np.exp(-rows["opacity"].astype(np.float64))),
        colors=colors if rest else np.clip(colors, 0.0, 1.0),
        harmonics=harmonics.reshape(count, 3, len(rest) // 3).swapaxes(1, 2),
    )


def _rest_names(count: int) -> tuple[str, ...]:
    return tuple(f"f_rest_{index}" for index in range(count))


def _read_ply_header(path: Path, file: BinaryIO) -> tuple[int, np.dtype[np.void]]:
    """The number of vertices and their row type; leaves ``file`` at the first row."""
    if file.readline(64).strip() != b"ply":
        raise _unreadable(path, "it is not a PLY file")
    count, fields, element = -1, list[tuple[str, str]](), ""
    for _ in range(_MAX_HEADER_LINES):
        match file.readline(256).decode("ascii", "replace").split():
            case ["format", kind, _] if kind != "binary_little_endian":
                raise _unreadable(path, f"its format is {kind}, expected binary_little_endian")
            case ["element", "vertex", number] if number.isdecimal() and count < 0:
                count, element = int(number), "vertex"
            case ["element", element, _] if count < 0:
                raise _unreadable(path, f"its first element is {element!r}, expected 'vertex'")
            case ["element", element, _]:
                pass  # elements after the vertices are not splats
            case ["property", kind, name] if element == "vertex":
                if kind not in _PLY_TYPES:
                    raise _unreadable(path, f"its property {name} has the unknown type {kind!r}")
                fields.append((name, _PLY_TYPES[kind]))
            case ["property", "list", *_] if element == "vertex":
                raise _unreadable(path, "its vertices have list properties")
            case ["end_header"] if count >= 0 and fields:
                if len({name for name, _ in fields}) != len(fields):
                    raise _unreadable(path, "a property is there twice")
                return count, np.dtype(fields)
            case ["end_header"] | []:
                break
    raise _unreadable(path, "its header is not complete")


def write_ply_sequence(folder: Path, result: Gaussians4D, progress: Progress = silent) -> list[Path]:
    """Write ``frame_0001.ply`` … into ``folder``, one for each frame of the motion; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(result.motion.rotations)
    paths = []
    for frame in range(count):
        progress(frame / count, f"splats of frame {frame + 1} of {count}")
        paths.append(folder / f"frame_{frame + 1:04d}.ply")
        write_ply(paths[-1], splats_at(result, frame))
    progress(1.0, f"{count} splat files")
    return paths


def write_splat(path: Path, splats: Splats) -> None:
    """Write a ``.splat`` file: 8 bits for colour, opacity and rotation, nothing that depends on the view."""
    rows = np.zeros(len(splats.means), dtype=_SPLAT_ROW)
    rows["position"] = splats.means
    rows["scale"] = splats.scales
    rgba = np.concatenate([splats.colors, splats.opacities[:, None]], axis=1)
    rows["rgba"] = np.rint(np.clip(rgba, 0.0, 1.0) * 255.0)
    rows["quaternion"] = np.clip(np.rint(_unit(splats.quaternions) * 128.0 + 128.0), 0, 255)
    path.write_bytes(rows.tobytes())


def read_splat(path: Path) -> Splats:
    """Read a ``.splat`` file."""
    data = path.read_bytes()
    if len(data) % _SPLAT_ROW.itemsize:
        raise _unreadable(path, f"its {len(data)} bytes are not rows of {_SPLAT_ROW.itemsize}")
    rows = np.frombuffer(data, dtype=_SPLAT_ROW)
    rgba = rows["rgba"] / 255.0
    return Splats(
        means=rows["position"],
        quaternions=_unit((rows["quaternion"].astype(np.float64) - 128.0) / 128.0),
        scales=rows["scale"],
        opacities=rgba[:, 3],
        colors=rgba[:, :3],
    )


def _unit(quaternions: Array) -> Array:
    """Quaternions ``[N, 4]`` at unit length; all-zero ones become the identity."""
    length = np.linalg.norm(quaternions, axis=1, keepdims=True)
    return np.where(length > 0, quaternions / np.where(length > 0, length, 1.0), [1.0, 0.0, 0.0, 0.0])


def _unreadable(path: Path, reason: str) -> Uni4DError:
    return Uni4DError("splats-unreadable", f"{path} cannot be read: {reason}.", "Write the file again.")
