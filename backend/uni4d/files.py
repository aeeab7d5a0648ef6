"""The values of the chain as files that other programs read too.

A view set is a folder of ``view_00.png …``, ``transforms.json`` and ``depth.npz``; a clip is an MP4
(or ``.u4d``, lossless and with its camera); meshes are GLB; results are ``.u4d``.
"""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from uni4d_shared.cameras import read_transforms
from uni4d_shared.codec import read_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AnimateResult
from uni4d_shared.types import Camera, Clip, ViewSet

__all__ = ["read_clip", "read_views", "write_clip_mp4"]


def read_views(folder: Path) -> ViewSet:
    """The view set in ``folder``; ``Uni4DError("views-unreadable")`` names the file that is at fault."""
    cure = "Render the views again: uni4d render GLB --out FOLDER."
    try:
        cameras, names = read_transforms(folder / "transforms.json")
        images = [_read_rgba(folder / _inside(name)) for name in names]
        with np.load(folder / "depth.npz", allow_pickle=False) as archive:
            depth = archive["depth"]
        return ViewSet(np.stack(images), depth, cameras)
    except (OSError, ValueError, KeyError, UnidentifiedImageError, zipfile.BadZipFile) as error:
        raise Uni4DError("views-unreadable", f"{folder}: {error}.", cure) from error


def _inside(name: str) -> str:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"transforms.json points outside its folder: {name!r}")
    return name


def _read_rgba(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def read_clip(path: Path, camera: Camera | None = None) -> Clip:
    """A clip from an MP4 (any video FFmpeg reads) or from a ``.u4d`` file of the ``animate`` stage.

    ``camera`` is the camera of a video file, when it is known.
    """
    if path.suffix == ".u4d":
        return read_file(path, AnimateResult).clip
    import av

    cure = "Give an MP4 file or a .u4d clip."
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or 12)
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise Uni4DError(
            "clip-unreadable", f"{path}: {error}.", "Give an MP4 file or a .u4d clip."
        ) from error
    if not frames:
        raise Uni4DError("clip-unreadable", f"{path}: holds no frames.", cure)
    return Clip(np.stack(frames), fps=rate, camera=camera, description=path.name)


def write_clip_mp4(path: Path, clip: Clip) -> None:
    """The frames as H.264 in an MP4 that browsers and Blender play."""
    import av

    height, width = clip.frames.shape[1:3]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1000))
        stream.width, stream.height = width + width % 2, height + height % 2  # yuv420p wants even sizes
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "16"}
        padding = ((0, stream.height - height), (0, stream.width - width), (0, 0))
        for frame in clip.frames:
            picture = av.VideoFrame.from_ndarray(np.pad(frame, padding, mode="edge"), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
