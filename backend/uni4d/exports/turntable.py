"""A video of the moving splats while the camera circles them once, by our own rasteriser."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from uni4d.exports.writing import written
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.harmonics import colors_from
from uni4d_shared.progress import Progress, silent
from uni4d_shared.skinning import splats_at, vertices_at
from uni4d_shared.types import Array, Camera, Gaussians4D, Splats

__all__ = ["picture", "turntable_cameras", "write_turntable"]

_SHORTEST_SECONDS = 4.0
"""A full circle takes at least this long; a shorter motion is played more than once."""
_ELEVATION = math.radians(15.0)


def write_turntable(
    path: Path,
    result: Gaussians4D,
    *,
    size: int = 512,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    progress: Progress = silent,
) -> int:
    """Write an MP4 (H.264) of ``size``² pixels; the number of its frames.

    The motion is played a whole number of times, so that the video can be repeated without a jump of the
    camera.
    """
    import av

    cameras = turntable_cameras(result, size)
    with written(path) as temporary:
        try:
            with av.open(str(temporary), "w") as container:
                stream = container.add_stream("libx264", rate=Fraction(result.fps).limit_denominator(1000))
                stream.width = stream.height = size
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": "16"}
                for index, image in enumerate(_pictures(result, cameras, background)):
                    progress(index / len(cameras), f"picture {index + 1} of {len(cameras)}")
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            raise OSError(error.errno, error.strerror) from error
    progress(1.0, f"{len(cameras)} pictures")
    return len(cameras)


def turntable_cameras(result: Gaussians4D, size: int) -> tuple[Camera, ...]:
    """One camera for each picture, on a circle that sees the object in every frame of its motion."""
    count = len(result.motion.rotations)
    turns = max(1, math.ceil(_SHORTEST_SECONDS * result.fps / count))
    reach = np.concatenate([vertices_at(result, frame) for frame in range(count)])
    return orbit_rig(
        *bounding_sphere(reach), azimuths=turns * count, elevations=(_ELEVATION,), size=size, margin=1.05
    )


def _pictures(
    result: Gaussians4D, cameras: tuple[Camera, ...], background: tuple[float, float, float]
) -> Iterator[Array]:
    count = len(result.motion.rotations)
    for index, camera in enumerate(cameras):
        yield picture(splats_at(result, index % count), camera, background)


def picture(
    splats: Splats, camera: Camera, background: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Array:
    """``[H, W, 3]`` uint8: what ``camera`` sees of ``splats``, with what depends on the view."""
    import torch

    from uni4d.splatting.rasterise import rasterise

    eye = np.linalg.inv(camera.world_to_camera)[:3, 3]
    with torch.no_grad():
        image = rasterise(
            torch.tensor(splats.means),
            torch.tensor(splats.quaternions),
            torch.tensor(splats.scales),
            torch.tensor(splats.opacities),
            torch.tensor(colors_from(splats, eye)),
            camera,
            background,
        ).image
    return np.rint(255.0 * image.clamp(0.0, 1.0).numpy()).astype(np.uint8)
