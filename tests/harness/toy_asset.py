"""A small textured object, a 4D result for it and the answers of a backend, all made up but consistent."""

from __future__ import annotations

import io
from typing import Any

import attrs
import numpy as np
import trimesh
from PIL import Image

from uni4d_shared.conventions import quaternion_from_matrix, world_from_gltf
from uni4d_shared.messages import (
    AlignRequest,
    AlignResult,
    AnimateRequest,
    AnimateResult,
    FetchRequest,
    FetchResult,
    FitRequest,
    FitResult,
    Message,
    ReadClipRequest,
    ReadClipResult,
    SearchRequest,
    SearchResult,
    VideoModelInfo,
    VideoModelsRequest,
    VideoModelsResult,
)
from uni4d_shared.types import (
    Alignment,
    Asset,
    Clip,
    ColorMotion,
    Gaussians4D,
    Hit,
    Mesh,
    NodeMotion,
    Query,
    Splats,
)

__all__ = ["FRAMES", "PROGRAM", "answer", "course", "glb", "glowing", "result", "thumbnail"]

FRAMES = 8

PROGRAM: dict[str, Any] = {
    "tracks": [{"verb": "dance", "cycles": 1.0, "amplitude": 1.0, "axis": [0.0, 0.0, 1.0]}],
    "duration": FRAMES / 12.0,
    "motion_text": "dancing",
    "notes": ["Left out, because the lexicon does not know it: moonwalking."],
}
"""What the clip plays; fields that a program may leave out are left out."""

_SIZE = np.array([0.4, 0.6, 0.3])  # metres, glTF axes: x right, y up, z to the front


def _mesh() -> trimesh.Trimesh:
    """A box that stands on the ground, fine enough to bend; its texture is red below and blue above."""
    box = trimesh.creation.box(extents=_SIZE).subdivide().subdivide().subdivide()
    box.apply_translation([0.0, 0.5 * _SIZE[1], 0.0])
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = (40, 60, 220)
    pixels[32:] = (220, 50, 40)
    heights = box.vertices[:, 1] / _SIZE[1]
    uv = np.stack([0.5 * np.ones(len(heights)), np.clip(heights, 0.02, 0.98)], axis=1)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.fromarray(pixels), metallicFactor=0.0, roughnessFactor=1.0
    )
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return box


def glb() -> bytes:
    """The object as binary glTF."""
    return bytes(_mesh().export(file_type="glb"))


def result(splats: int = 600) -> Gaussians4D:
    """Splats on its surface, and five nodes that twist it about the vertical and lift it."""
    mesh = _mesh()
    vertices = world_from_gltf(np.asarray(mesh.vertices)).astype(np.float32)
    faces = np.asarray(mesh.faces, np.int32)
    rng = np.random.default_rng(0)
    place = rng.choice(len(faces), splats, p=mesh.area_faces / mesh.area)
    barycentric = rng.dirichlet([1.0, 1.0, 1.0], splats).astype(np.float32)
    means = np.einsum("nc,ncd->nd", barycentric, vertices[faces[place]])
    edge = vertices[faces[place, 1]] - vertices[faces[place, 0]]
    edge /= np.linalg.norm(edge, axis=1, keepdims=True)
    normal = world_from_gltf(mesh.face_normals[place]).astype(np.float32)
    turns = quaternion_from_matrix(np.stack([edge, np.cross(normal, edge), normal], axis=2))
    spread = 0.7 * np.sqrt(mesh.area / splats)
    above = means[:, 2] > 0.5 * _SIZE[1]
    colors = np.where(above[:, None], [40, 60, 220], [220, 50, 40]) / 255.0

    nodes = np.array(
        [[0, 0, 0], [0.2, 0, 0.15], [-0.2, 0, 0.3], [0, 0.15, 0.45], [0, -0.15, 0.6]], np.float32
    )
    phase = 2.0 * np.pi * np.arange(FRAMES) / FRAMES
    angle = 1.2 * np.sin(phase)[:, None] * (nodes[:, 2] / 0.6)[None]  # [T, K]
    rotations = np.zeros((FRAMES, len(nodes), 4))
    rotations[..., 0], rotations[..., 3] = np.cos(angle / 2), np.sin(angle / 2)
    rotations[FRAMES // 2 :] *= -1.0  # the same rotations: signs must not matter
    translations = np.zeros((FRAMES, len(nodes), 3))
    translations[..., 2] = 0.1 * (1.0 - np.cos(phase))[:, None]
    distances = ((vertices[:, None] - nodes[None]) ** 2).sum(axis=-1)
    nearest = np.argsort(distances, axis=1)[:, :3]
    weights = 1.0 / (np.take_along_axis(distances, nearest, axis=1) + 1e-3)
    return Gaussians4D(
        Mesh(vertices, faces),
        Splats(
            means,
            turns,
            np.tile(np.array([spread, spread, 0.1 * spread]), (splats, 1)),
            np.full(splats, 0.95),
            colors,
        ),
        NodeMotion(nodes, rotations, translations, nearest, weights / weights.sum(axis=1, keepdims=True)),
        place,
        barycentric,
        fps=12.0,
    )


def course() -> np.ndarray:
    """``[T]`` how far the light of :func:`glowing` is on: it swells and dies once."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(FRAMES) / FRAMES)


def glowing(light: tuple[float, float, float]) -> Gaussians4D:
    """:func:`result`, whose blue upper half has ``light`` (sRGB) added, and taken away again."""
    still = result()
    above = still.splats.means[:, 2] > 0.5 * _SIZE[1]
    basis = np.where(above[:, None], light, 0.0)[None]
    return attrs.evolve(still, color_motion=ColorMotion(basis, course()[:, None]))


def _film(size: int) -> np.ndarray:
    """Frames on which a green bar goes from left to right."""
    frames = np.full((FRAMES, size, size, 3), 255, np.uint8)
    width = size // FRAMES
    for index, frame in enumerate(frames):
        frame[size // 4 : -size // 4, index * width : (index + 1) * width] = (40, 160, 60)
    return frames


def thumbnail(color: tuple[int, int, int]) -> bytes:
    """A PNG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 96), color).save(buffer, "PNG")
    return buffer.getvalue()


def answer(request: Message) -> Message:
    """What a backend with three assets would reply."""
    match request:
        case SearchRequest(prompt=prompt):
            names = ("Toy box", "Crate", "Old suitcase")
            hits = tuple(
                Hit(f"toy-{i}", name, 0.9 - 0.2 * i, {"text": 0.9 - 0.2 * i}, "CC0", "Nobody", "toys", "")
                for i, name in enumerate(names)
            )
            colors = ((220, 50, 40), (40, 160, 60), (40, 60, 220))
            return SearchResult(Query(prompt, "a toy box", "dancing"), hits, tuple(map(thumbnail, colors)))
        case FetchRequest(uid=uid):
            return FetchResult(Asset(uid, "Toy box", ("Toy box",), "CC0", "Nobody", "toys", ""), glb())
        case AlignRequest(views=views):
            count = len(views.images)
            weights = np.full(count, 1.0 / count)
            return AlignResult(Alignment(0.5, 0.6, 0.7, 1.2, 0.3, weights, 0))
        case AnimateRequest(views=views, settings=settings):
            painted = {"tracks": [], "notes": ["Wan 2.2, 50 steps."], "model": {"name": "Wan 2.2"}}
            program = painted if settings.get("model") == "wan" else settings.get("program", PROGRAM)
            clip = Clip(_film(views.images.shape[1]), 12.0, views.cameras[0], description="kinematic: dance")
            return AnimateResult(clip, program)
        case VideoModelsRequest():
            return VideoModelsResult(
                (
                    VideoModelInfo("kinematic", "Kinematic", takes_program=True, takes_seed=False),
                    VideoModelInfo(
                        *("wan", "Wan 2.2 TI2V-5B"),
                        takes_program=False,
                        takes_seed=True,
                        problem="Wan 2.2 TI2V-5B needs CUDA, and there is no such device.",
                        cure="Use another machine.",
                    ),
                ),
                "kinematic",
            )
        case ReadClipRequest(views=views, name=name):
            clip = Clip(_film(views.images.shape[1]), 12.0, views.cameras[0], description=name)
            return ReadClipResult(clip, (f"{name}: background #c8d2e6",))
        case FitRequest():
            return FitResult(result(), {"psnr_foreground": 30.0}, ("The motion explains 97% of it.",))
    raise ValueError(f"no answer to {type(request).__name__}")
