"""The clips that an adapter learns from: files in a folder, each with its prompt and its alignment.

Two ways in which they may lie there, at any depth, also side by side:

===========================  =====================================================================
what ``uni4d generate``      ``RUN/stages/search.u4d`` (the prompt), ``RUN/stages/alignment.u4d``,
leaves                       ``RUN/stages/animate.u4d``
three files of one name      ``NAME.u4d`` (lossless, as ``uni4d animate`` writes it) or a video,
                             ``NAME.txt`` (the prompt), ``NAME.alignment.u4d`` (``uni4d align --out``)
===========================  =====================================================================

A clip is brought to a video model's size and rate without inventing frames: one that is too short for the
model's usual length teaches with fewer frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen
from PIL import Image

from uni4d import files
from uni4d.config import DiffusionConfig
from uni4d.video.diffusers.conditioning import MAX_TOKENS
from uni4d.video.diffusers.families import Family
from uni4d_shared.codec import read_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AlignResult, SearchResult
from uni4d_shared.types import Array, Clip

__all__ = ["ALIGNMENT_SUFFIX", "ClipFile", "find_clips", "fitted_frames", "read_frames"]

ALIGNMENT_SUFFIX = ".alignment.u4d"
_VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
_LEFT = "Make some: uni4d train clips --out FOLDER; backend/docs/video.md says how to bring your own."


@frozen(eq=False)
class ClipFile:
    """A clip that lies on disk, with what is said about it."""

    name: str
    path: Path
    prompt: str
    tokens: Array
    """``[K, D]`` float32: what CrOSSMA made of its photographs."""

    @property
    def digest(self) -> str:
        """What stands for everything that training reads of it."""
        with self.path.open("rb") as file:
            total = hashlib.file_digest(file, "sha256")
        total.update(self.prompt.encode())
        total.update(str(self.tokens.shape).encode() + self.tokens.tobytes())
        return total.hexdigest()


def find_clips(folder: Path) -> tuple[ClipFile, ...]:
    """All clips below ``folder``, in the order of their names; the frames are not read yet."""
    if not folder.is_dir():
        raise Uni4DError("clips-missing", f"There is no folder {folder}.", _LEFT)
    clips = tuple(sorted((*_of_runs(folder), *_named(folder)), key=lambda clip: clip.name))
    if not clips:
        raise Uni4DError("clips-missing", f"{folder} holds no clips.", _LEFT)
    widths = {clip.tokens.shape[1] for clip in clips}
    if len(widths) > 1:
        raise Uni4DError(
            "clips-differ",
            f"The tokens of the clips in {folder} are {' and '.join(map(str, sorted(widths)))} numbers wide: "
            "they come from different weights of the alignment.",
            "Align all of them anew.",
        )
    return clips


def fitted_frames(clip: Clip, config: DiffusionConfig, family: Family) -> Array:
    """``[T, height, width, 3]`` uint8 of ``clip`` as the model wants it, ``T = k · frame_step + 1``.

    The frames are those that are nearest in time at the model's rate, from the first one on; the picture is
    scaled to fit and laid on the clip's background, as the photograph is at generation.
    """
    seconds = len(clip.frames) / clip.fps
    # A video's last frame stays until its end.
    known = min(config.frames, max(1, int(seconds * config.fps + 1e-6)))
    count = (known - 1) // family.frame_step * family.frame_step + 1
    if count <= family.frame_step:
        raise Uni4DError(
            "clip-short",
            f"The clip lasts {seconds:.2g} s; at {config.fps:g} frames a second {family.title} learns from "
            f"{family.frame_step + 1} frames at least.",
            "Make it longer, or leave it out.",
        )
    times = np.arange(count) / config.fps
    nearest = np.minimum(np.floor(times * clip.fps + 0.5).astype(int), len(clip.frames) - 1)
    background = np.rint(255.0 * np.asarray(clip.background)).astype(np.uint8)
    return np.stack([_laid(clip.frames[row], config.width, config.height, background) for row in nearest])


def _laid(frame: Array, width: int, height: int, background: Array) -> Array:
    picture = Image.fromarray(frame)
    scale = min(width / picture.width, height / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    canvas = Image.new("RGB", (width, height), tuple(background.tolist()))
    shown = picture if size == picture.size else picture.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(shown, ((width - size[0]) // 2, (height - size[1]) // 2))
    return np.asarray(canvas)


def _of_runs(folder: Path) -> Iterator[ClipFile]:
    for path in folder.rglob("stages/animate.u4d"):
        run, stages = path.parents[1], path.parent
        prompt = read_file(_there(stages / "search.u4d"), SearchResult).query.prompt
        yield _clip(str(run.relative_to(folder)), path, prompt, stages / "alignment.u4d")


def _named(folder: Path) -> Iterator[ClipFile]:
    runs = {path.parents[1] for path in folder.rglob("stages/animate.u4d")}
    for path in folder.rglob("*"):
        lossless = path.suffix == ".u4d" and not path.name.endswith(ALIGNMENT_SUFFIX)
        video = path.suffix.lower() in _VIDEOS and not path.with_suffix(".u4d").exists()
        if not (lossless or video) or not runs.isdisjoint(path.parents):
            continue
        said = _there(path.with_suffix(".txt"))
        prompt = " ".join(said.read_text(encoding="utf-8").split())
        name = str(path.relative_to(folder).with_suffix(""))
        yield _clip(name, path, prompt, path.with_suffix("").with_name(path.stem + ALIGNMENT_SUFFIX))


def _clip(name: str, path: Path, prompt: str, alignment: Path) -> ClipFile:
    tokens = read_file(_there(alignment), AlignResult).alignment.tokens
    if not prompt:
        raise Uni4DError("clip-incomplete", f"The prompt of the clip {path} is empty.", _LEFT)
    if not 1 <= len(tokens) <= MAX_TOKENS or not np.isfinite(tokens).all():
        raise Uni4DError(
            "conditioning-missing",
            f"{alignment} holds tokens of the shape {list(tokens.shape)}; an adapter reads 1 to {MAX_TOKENS} "
            "of them.",
            "Align again with CrOSSMA, or leave the clip out.",
        )
    return ClipFile(name, path, prompt, tokens)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise Uni4DError("clip-incomplete", f"{path} is missing.", _LEFT)
    return path


def read_frames(clip: ClipFile, config: DiffusionConfig, family: Family) -> Array:
    """:func:`fitted_frames` of a clip on disk; an error names the file."""
    try:
        return fitted_frames(files.read_clip(clip.path), config, family)
    except Uni4DError as error:
        if error.code != "clip-short":
            raise
        raise Uni4DError(error.code, f"{clip.path}: {error.message}", error.cure) from error
