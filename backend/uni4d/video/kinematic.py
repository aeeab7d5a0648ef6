"""The offline clip generator: motion text → motion program → moved mesh → splats → frames.

The clip shows splats of its own (another seed and a denser cloud than the 4D fit's), refined on the
photographs so that they carry the renderer's light, bound to the triangles, and rasterised from the key
view's camera over white; or a renderer that is not ours photographs the moved mesh from there
(:data:`uni4d.video.scene.FilmMesh`). The 4D fit gets these frames and nothing else: the program never leaves
this stage but for the report and the panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from attrs import evolve

from uni4d.config import AnimateConfig
from uni4d.video.body import Body
from uni4d.video.framing import fit_to_frame, overshoot
from uni4d.video.hinges import with_hinges
from uni4d.video.interpret import EmbedText, interpret
from uni4d.video.lexicon import gerund
from uni4d.video.motions import colors_at, points_at
from uni4d.video.motions.light import LIGHTS
from uni4d.video.named_parts import LIMB_VERBS, ON_THE_HEAD
from uni4d.video.program import MotionProgram, Track
from uni4d.video.scene import FilmMesh
from uni4d_shared.cameras import scaled
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Alignment, Array, Camera, Clip, Query, ViewSet

if TYPE_CHECKING:
    from uni4d.library.geometry import TexturedMesh
    from uni4d.splatting import BoundSplats

__all__ = ["BACKGROUND", "animate", "film", "on_the_body"]

BACKGROUND = (1.0, 1.0, 1.0)
_SEED_OFFSET = 40_961
"""Keeps this cloud different from the fit's for equal seeds: the fit must not find its own splats in the
clip."""


def animate(
    mesh: TexturedMesh,
    views: ViewSet,
    alignment: Alignment,
    query: Query,
    config: AnimateConfig,
    embed_text: EmbedText | None = None,
    progress: Progress = silent,
    *,
    film_mesh: FilmMesh | None = None,
) -> tuple[Clip, MotionProgram]:
    """A clip of ``mesh`` doing what ``query.motion_text`` says, and the program that moved it.

    ``embed_text`` maps a sentence to a vector; it finds the nearest verb for a motion that the lexicon lacks.
    ``film_mesh`` makes the frames where ``config.renderer`` is ``blender``.
    """
    if config.model != "kinematic":
        raise Uni4DError(
            "video-model-unknown",
            f"There is no video model “{config.model}”.",
            "Set animate.model to “kinematic”.",
        )
    progress(0.0, "reading the motion")
    camera = scaled(views.cameras[alignment.key_view], config.size)
    mesh, body, program = _program(query, mesh, camera, config, embed_text)
    count = _frames(program, config)
    if config.renderer == "blender":
        frames = _photographed(mesh, body, program, camera, count, film_mesh, section(progress, 0.05, 1.0))
    else:
        bound = _cloud(mesh, views, config, section(progress, 0.05, 0.7))
        frames = film(bound, body, program, camera, count, section(progress, 0.7, 1.0))
    return Clip(frames, config.fps, camera, BACKGROUND, "kinematic: " + ", ".join(program.verbs)), program


def _program(
    query: Query, mesh: TexturedMesh, camera: Camera, config: AnimateConfig, embed_text: EmbedText | None
) -> tuple[TexturedMesh, Body, MotionProgram]:
    """What the words say, kept inside the frame; or, as it stands, the program that a person edited. With the
    mesh and the body that it moves, whose doors may have been cut free."""
    body = Body.from_mesh(mesh.vertices, mesh.faces)
    if config.program is not None:
        program = MotionProgram.from_dict(config.program)
        mesh, body, program = with_hinges(mesh, body, program)
        program = on_the_body(program, body)
        reach = overshoot(program, body.samples, body, camera, _frames(program, config))
        note = "It reaches beyond the frame, as the given program says."
        said = reach <= 0.02 or note in program.notes
        return mesh, body, program if said else program.with_note(note)
    program = interpret(
        query,
        duration=config.frames / config.fps,
        speed=config.speed,
        amplitude=config.amplitude,
        embed_text=embed_text,
    )
    mesh, body, program = with_hinges(mesh, body, program)
    return mesh, body, fit_to_frame(on_the_body(program, body), body, camera, config.frames)


_MOST_FRAMES = 480


def _frames(program: MotionProgram, config: AnimateConfig) -> int:
    count = max(2, round(program.duration * config.fps))
    if count > _MOST_FRAMES:
        raise Uni4DError(
            "program-invalid",
            f"duration is {program.duration:g}: {count} frames at {config.fps:g} frames a second, "
            f"expected at most {_MOST_FRAMES}.",
            "Make the program shorter, or set animate.fps lower.",
        )
    return count


def on_the_body(program: MotionProgram, body: Body) -> MotionProgram:
    """With the parts of :data:`uni4d_shared.motions.PARTS` that the mesh has, and no others. A limb's own
    verb finds it; for a part on the head the head moves, for any other the whole: both are noted."""
    tracks: list[Track] = []
    notes: list[tuple[str, str, str]] = []
    for track in program.tracks:
        part = track.part
        if body.has(part) or track.verb in LIMB_VERBS.get(part, ()):
            tracks.append(track if body.has(part) else evolve(track, part="whole"))
            continue
        instead = "head" if part in ON_THE_HEAD else "whole"
        tracks.append(evolve(track, part=instead))
        notes.append((part, instead, gerund(track.verb)))
    program = evolve(program, tracks=tuple(tracks))
    for part, instead in dict.fromkeys((part, instead) for part, instead, _ in notes):
        verbs = ", ".join(dict.fromkeys(verb for other, _, verb in notes if other == part))
        program = program.with_note(f"The mesh has no separate {part}: the {instead} is {verbs}.")
    return program


def _photographed(
    mesh: TexturedMesh,
    body: Body,
    program: MotionProgram,
    camera: Camera,
    count: int,
    film_mesh: FilmMesh | None,
    progress: Progress,
) -> Array:
    """``[T, H, W, 3]`` uint8: the moved mesh as ``film_mesh`` shows it, over the background."""
    if film_mesh is None:
        raise Uni4DError(
            "renderer-missing", "There is no Blender to film with here.", "Set animate.renderer to “splats”."
        )
    lights = [track.verb for track in program.tracks if track.verb in LIGHTS]
    if lights:
        raise Uni4DError(
            "renderer-unsuited",
            f"Blender films how a mesh moves, and {', '.join(map(gerund, lights))} changes its colours.",
            "Set animate.renderer to “splats”.",
        )

    def moved(rest: Array) -> Array:
        times = program.duration * np.arange(count) / count
        return np.stack([points_at(rest, body, program, float(time)) for time in times])

    shown = film_mesh(mesh, moved, camera, progress).astype(np.float64)
    alpha = shown[..., 3:] / 255.0
    over = alpha * shown[..., :3] + (1.0 - alpha) * 255.0 * np.asarray(BACKGROUND)
    return np.rint(over).astype(np.uint8)


def _cloud(mesh: TexturedMesh, views: ViewSet, config: AnimateConfig, progress: Progress) -> BoundSplats:
    from uni4d.splatting import splats_from_mesh
    from uni4d.splatting.static import refine_on_views

    seed = config.seed + _SEED_OFFSET
    bound = splats_from_mesh(mesh, config.splats, seed)
    return refine_on_views(bound, views, config.refine_iterations, progress, seed=seed)


def film(
    bound: BoundSplats,
    body: Body,
    program: MotionProgram,
    camera: Camera,
    frames: int,
    progress: Progress = silent,
    *,
    background: tuple[float, float, float] = BACKGROUND,
) -> Array:
    """The moving splats from ``camera`` over ``background``: ``[T, H, W, 3]`` uint8 sRGB."""
    import torch

    from uni4d.splatting import rasterise

    rest = bound.vertices.numpy().astype(np.float64)
    anchors = bound.anchors(bound.vertices).numpy().astype(np.float64)
    colors = bound.splats.colors.numpy()
    areas = _areas(rest, bound)
    used = np.unique(bound.corners.numpy())  # of a fine mesh most vertices carry no splat
    images = np.empty((frames, camera.height, camera.width, 3), dtype=np.uint8)
    with torch.no_grad():
        for frame in range(frames):
            progress(frame / frames, f"filming frame {frame + 1} of {frames}")
            time = program.duration * frame / frames
            vertices = rest.copy()
            vertices[used] = points_at(rest[used], body, program, time)
            carried = bound.carried(torch.from_numpy(vertices.astype(np.float32)))
            # A triangle that grows takes its splats along, or gaps would open between them.
            growth = np.sqrt(np.clip(_areas(vertices, bound) / areas, 0.1, 10.0)).astype(np.float32)
            shown = colors_at(colors, anchors, body, program, time).astype(np.float32)
            image = rasterise(
                carried.means,
                carried.quaternions,
                bound.splats.scales * torch.from_numpy(growth)[:, None],
                bound.splats.opacities,
                torch.from_numpy(shown),
                camera,
                background,
            ).image
            images[frame] = np.round(255.0 * image.clamp(0.0, 1.0).numpy()).astype(np.uint8)
    progress(1.0, f"{frames} frames")
    return images


def _areas(vertices: np.ndarray, bound: BoundSplats) -> np.ndarray:
    """``[N]`` the area of each splat's triangle when the mesh's vertices ``[P, 3]`` are there, square
    metres."""
    corners = vertices[bound.corners.numpy()]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.maximum(0.5 * np.linalg.norm(normals, axis=1), 1e-16)
