"""The truth of the reconstruction benchmark: scenes filmed by Blender, kept in the cache.

A scene's folder holds ``motion.npz`` (with ``times``, the moments in frames), ``cameras.json``,
``shots.json``, the pictures and ``key``: a hash of the mesh, the motion, the cameras and the light. What the
key fits is not rendered again; a run that was stopped goes on with the pictures that are missing. Clips that
nobody asks for are not rendered; who asks for more of them later gets only those made.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image

from uni4d.config import default_cache
from uni4d.evaluation.reconstruction_motions import GLOW_COLOR, Body
from uni4d.evaluation.reconstruction_scenes import Filming, Scene
from uni4d.library.formats.reading import load_mesh
from uni4d.library.geometry import TexturedMesh
from uni4d_shared.cameras import read_transforms, write_transforms
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent
from uni4d_shared.types import Alignment, Camera, Clip, ViewSet

if TYPE_CHECKING:
    from uni4d.pipeline.blender import BlenderCommand

__all__ = ["HeldOut", "Truth", "film", "load_truth", "truth_folder"]

Array = NDArray[Any]

_RENDERING = {"shadeless": "3", "sun": "3"}
"""By light; changes when the pictures of equal scenes do."""
_AT_REST = -1


@frozen(eq=False)
class HeldOut:
    """One picture that no fit sees."""

    camera: Camera
    time: float
    """In frames."""
    image: Array
    """``[H, W, 3]`` float32 in [0, 1], over white."""
    foreground: Array
    """``[H, W]`` bool."""

    @property
    def between(self) -> bool:
        """Whether it shows a time between two frames."""
        return self.time != round(self.time)


@frozen(eq=False)
class Truth:
    """A filmed scene: what a fit is given, and what it is measured by."""

    scene: Scene
    light: str
    folder: Path
    """Where its pictures are."""
    mesh: TexturedMesh
    views: ViewSet
    alignment: Alignment
    """All views alike; the driving camera is the key view."""
    clips: tuple[Clip, ...]
    """Of the cameras that were asked for, the driving one first."""
    held_out: tuple[HeldOut, ...]
    times: Array
    """``[M]`` in frames: those of the clips, then those between."""
    vertices: Array
    """``[M, P, 3]`` the mesh at ``times``."""

    def vertices_at(self, time: float) -> Array:
        """``[P, 3]`` at one of ``times``."""
        return np.asarray(self.vertices[int(np.argmin(np.abs(self.times - time)))])

    @property
    def diagonal(self) -> float:
        """Of the bounding box at rest, metres."""
        return float(np.linalg.norm(np.ptp(self.mesh.vertices, axis=0)))


def truth_folder(scene: Scene, light: str, root: Path | None = None) -> Path:
    """Where a scene's pictures are."""
    return (root or default_cache() / "benchmarks" / "reconstruction") / f"{scene.name}-{light}"


def film(
    scene: Scene,
    glb: Path,
    light: str,
    blender: Callable[[], BlenderCommand],
    progress: Progress = silent,
    *,
    clips: int = 4,
    filming: Filming | None = None,
    root: Path | None = None,
) -> Truth:
    """Have Blender (``blender`` finds it when it is needed) render what is missing of a scene; its truth,
    with the clips of the first ``clips`` cameras."""
    from uni4d.pipeline.blender import run_headless

    filming = filming or Filming()
    folder = truth_folder(scene, light, root)
    key = _described(scene, glb, light, filming, folder, clips)
    shots = json.loads((folder / "shots.json").read_text(encoding="utf-8"))
    expected = [folder / shot["file"] for shot in shots] + [folder / "depth.npz"]
    if not all(path.is_file() for path in expected):
        run_headless(
            blender(),
            ["render-sequence", "--glb", str(glb), "--out", str(folder), "--light", light],
            log_path=folder / "blender.log",
            expected=expected,
            report=lambda _, fraction, message: progress(fraction, f"{scene.name}: {message}"),
        )
    (folder / "key").write_text(key, encoding="utf-8")
    return load_truth(scene, light, glb, root=root)


def load_truth(scene: Scene, light: str, glb: Path, *, root: Path | None = None) -> Truth:
    """A scene that has been filmed."""
    folder = truth_folder(scene, light, root)
    if not (folder / "key").is_file():
        raise Uni4DError(
            "scene-missing",
            f"{folder} does not hold a filmed scene.",
            f"Run: uni4d evaluate reconstruction --film --scenes {scene.name} --out FOLDER",
        )
    shots = json.loads((folder / "shots.json").read_text(encoding="utf-8"))
    cameras, _ = read_transforms(folder / "cameras.json")
    with np.load(folder / "motion.npz", allow_pickle=False) as archive:
        times, vertices, fps = archive["times"], archive["vertices"], float(archive["fps"])
    views = [shot for shot in shots if shot["kind"] == "photograph"]
    images = np.stack([_rgba(folder / shot["file"]) for shot in views])
    with np.load(folder / "depth.npz", allow_pickle=False) as archive:
        depth = np.where(images[..., 3] > 0, archive["depth"], np.inf).astype(np.float32)
    view_cameras = [cameras[shot["camera"]] for shot in views]
    clips = []
    for camera in dict.fromkeys(shot["camera"] for shot in shots if shot["kind"] == "clip"):
        frames = [_rgba(folder / s["file"]) for s in shots if s["kind"] == "clip" and s["camera"] == camera]
        pictures = np.stack([np.rint(255.0 * _over_white(frame)) for frame in frames]).astype(np.uint8)
        clips.append(Clip(pictures, fps, cameras[camera], (1.0, 1.0, 1.0), scene.name))
    held_out = []
    for shot in (shot for shot in shots if shot["kind"] == "held-out"):
        picture = _rgba(folder / shot["file"])
        moment = float(times[shot["moment"]])
        held_out.append(HeldOut(cameras[shot["camera"]], moment, _over_white(picture), picture[..., 3] > 8))
    return Truth(
        scene=scene,
        light=light,
        folder=folder,
        mesh=load_mesh(glb),
        views=ViewSet(images, depth, view_cameras),  # type: ignore[arg-type] # a converter
        alignment=_alignment(len(views)),
        clips=tuple(clips),
        held_out=tuple(held_out),
        times=times,
        vertices=vertices,
    )


def _alignment(views: int) -> Alignment:
    """What the chain would say of views that all agree."""
    return Alignment(1.0, 1.0, 1.0, 0.0, math.exp(0.0), np.full(views, 1.0 / views), 0)


def _described(scene: Scene, glb: Path, light: str, filming: Filming, folder: Path, wanted: int) -> str:
    """Write what Blender is to render into ``folder``, emptied if it holds something else, with ``wanted``
    clips; the key, which is the same for any number of clips."""
    body = Body(load_mesh(glb))
    times = [float(frame) for frame in range(filming.frames)]
    times += [time for time in filming.held_out_frames if time not in times]
    shares = [time / filming.frames for time in times]
    arrays: dict[str, Any] = {
        "rest": body.rest.astype(np.float32),
        "vertices": np.stack([scene.motion.vertices(body, u) for u in shares]).astype(np.float32),
    }
    if scene.motion.glow is not None:
        arrays["glow"] = np.stack([scene.motion.glow(body, u) for u in shares]).astype(np.float32)
        arrays["glow_color"] = np.array(GLOW_COLOR, np.float32)
    photographs, clips = filming.photographs(body.rest), filming.clips(body.rest)
    held_out = filming.held_out(body.rest)
    shots = list(_shots(filming, times, len(photographs), len(clips), len(held_out)))
    cameras = (*photographs, *clips, *held_out)
    key = _hash(_RENDERING[light], light, glb.read_bytes(), json.dumps(shots), *_bytes_of(arrays, cameras))
    if folder.is_dir() and _key_of(folder) != key:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pending").write_text(key, encoding="utf-8")
    np.savez(folder / "motion.npz", times=np.array(times), fps=np.array(filming.fps), **arrays)
    write_transforms(folder / "cameras.json", cameras, [f"camera {i}" for i in range(len(cameras))])
    known = range(len(photographs), len(photographs) + wanted)
    asked = [shot for shot in shots if shot["kind"] != "clip" or shot["camera"] in known]
    (folder / "shots.json").write_text(json.dumps(asked, indent=0), encoding="utf-8")
    return key


def _key_of(folder: Path) -> str:
    path = folder / "pending"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _shots(filming: Filming, times: list[float], photographs: int, clips: int, held_out: int) -> Any:
    for camera in range(photographs):
        yield {
            "kind": "photograph",
            "file": f"views/{camera:02d}.png",
            "camera": camera,
            "moment": _AT_REST,
        }
    for camera in range(clips):
        for frame in range(filming.frames):
            file = f"clips/{camera}/{frame:03d}.png"
            yield {"kind": "clip", "file": file, "camera": photographs + camera, "moment": frame}
    for camera in range(held_out):
        for time in filming.held_out_frames:
            file = f"held-out/{camera}/{time:05.1f}.png"
            moment = times.index(time)
            index = photographs + clips + camera
            yield {"kind": "held-out", "file": file, "camera": index, "moment": moment}


def _bytes_of(arrays: dict[str, Any], cameras: tuple[Camera, ...]) -> list[bytes]:
    told = [np.round(array, 6).tobytes() for array in arrays.values()]
    return told + [np.round(c.world_to_camera, 9).tobytes() + c.intrinsics.tobytes() for c in cameras]


def _hash(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()


def _rgba(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))


def _over_white(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """``[H, W, 3]`` in [0, 1]."""
    values = rgba.astype(np.float32) / 255.0
    return np.asarray(values[..., :3] * values[..., 3:] + 1.0 - values[..., 3:], np.float32)
