"""A clip by Blender itself: the mesh with its vertices moved frame by frame, photographed from the key view.

The light, the engine and the camera are those of the photographs (``headless.py render-sequence`` with the
light ``studio``), so the clip's first frame is one more photograph. The mesh goes there as GLB; how its
vertices move is asked in the order in which the GLB has them.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from uni4d.config import BlenderConfig
from uni4d.pipeline.blender import BlenderCommand, find_blender, run_headless
from uni4d_shared.cameras import write_transforms
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Array, Camera

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh
    from uni4d.video.scene import Moved

__all__ = ["film_mesh"]


def film_mesh(
    mesh: TexturedMesh, moved: Moved, camera: Camera, config: BlenderConfig, progress: Progress
) -> Array:
    """``[T, H, W, 4]`` uint8 sRGB with straight alpha: ``mesh`` as ``moved`` tells, seen by ``camera``.

    Raises ``blender-missing`` where there is no Blender, before anything is computed.
    """
    blender = find_blender(config.program, config.bpy_python, config.deps)
    with tempfile.TemporaryDirectory(prefix="uni4d-film-") as name:
        folder = Path(name)
        glb, count = folder / "mesh.glb", _write_motion(mesh, moved, folder)
        shots = [{"file": f"frame_{t:04d}.png", "camera": 0, "moment": t} for t in range(count)]
        (folder / "shots.json").write_text(json.dumps(shots), encoding="utf-8")
        write_transforms(folder / "cameras.json", [camera], ["key view"])
        pictures = [folder / str(shot["file"]) for shot in shots]
        _run(blender, glb, folder, config.engine, pictures, section(progress, 0.1, 1.0))
        return np.stack([_rgba(path) for path in pictures])


def _write_motion(mesh: TexturedMesh, moved: Moved, folder: Path) -> int:
    """``mesh.glb`` and ``motion.npz``; the number of frames."""
    from uni4d.library.formats.gltf_writer import glb_bytes
    from uni4d.library.formats.reading import load_mesh

    glb = folder / "mesh.glb"
    glb.write_bytes(glb_bytes(_without_loose_vertices(mesh)))
    rest = load_mesh(glb).vertices.astype(np.float64)
    vertices = moved(rest)
    np.savez(folder / "motion.npz", rest=rest.astype(np.float32), vertices=vertices.astype(np.float32))
    return len(vertices)


def _without_loose_vertices(mesh: TexturedMesh) -> TexturedMesh:
    """Blender leaves vertices that no triangle uses away, and would count others than we do."""
    used, corners = np.unique(mesh.faces, return_inverse=True)
    colors = mesh.vertex_colors
    return evolve(
        mesh,
        vertices=mesh.vertices[used],
        normals=mesh.normals[used],
        uv=mesh.uv[used],
        faces=corners.reshape(-1, 3).astype(mesh.faces.dtype),
        vertex_colors=None if colors is None else colors[used],
    )


def _run(
    blender: BlenderCommand, glb: Path, folder: Path, engine: str, expected: list[Path], progress: Progress
) -> None:
    run_headless(
        blender,
        [
            *("render-sequence", "--glb", str(glb), "--out", str(folder)),
            *("--light", "studio", "--engine", engine),
        ],
        log_path=folder / "blender.log",
        expected=expected,
        report=lambda _, fraction, message: progress(fraction, message),
    )


def _rgba(path: Path) -> Array:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))
