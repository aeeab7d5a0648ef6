"""Clips to train an adapter with: assets of the library, moved by the kinematic generator.

For every clip an asset and a verb are drawn; the asset is photographed on the rig of ``[render]`` without
Blender, aligned with the prompt by CrOSSMA, and animated. What comes out are the three files of one name
that :mod:`uni4d.training.adapter_clips` reads. Only the library's train split is shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen

from uni4d.config import DiffusionConfig
from uni4d.library.photographs import photographs_from
from uni4d.retrieval.query import parse
from uni4d.training.adapter_clips import ALIGNMENT_SUFFIX
from uni4d.video.interpret import interpret
from uni4d.video.lexicon import gerund
from uni4d.video.verbs import VERBS
from uni4d_shared.cameras import bounding_sphere, orbit_rig
from uni4d_shared.codec import write_file
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import AlignResult
from uni4d_shared.progress import Progress, section
from uni4d_shared.types import Alignment, Query, ViewSet

if TYPE_CHECKING:
    from uni4d.pipeline.stages import Stages

__all__ = ["clip_settings", "make_clips"]


@frozen
class _Idea:
    """What a clip is to show."""

    uid: str
    prompt: str
    verb: str


def clip_settings(config: DiffusionConfig) -> dict[str, Any]:
    """Settings of ``[animate]`` for clips of a video model's length and rate, as wide as its shorter side."""
    return {
        "frames": config.frames,
        "fps": config.fps,
        "size": min(config.width, config.height),
    }


def make_clips(
    stages: Stages, folder: Path, count: int, seed: int, settings: dict[str, Any], progress: Progress
) -> list[Path]:
    """``count`` clips in ``folder``; those that are there already are not made again.

    ``settings``: of ``[animate]``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for number, idea in enumerate(_ideas(stages, seed)):
        if len(made) == count:
            return made
        path = folder / f"{number:04d}-{idea.uid}-{idea.verb}.u4d"
        part = section(progress, len(made) / count, (len(made) + 1) / count)
        part(0.0, idea.prompt)
        if not path.with_suffix(".txt").is_file():
            _make(stages, idea, path, settings, part)
        made.append(path)
    raise Uni4DError(
        "library-small",
        f"The library's train split is enough for {len(made)} clips, not for {count}.",
        "Ask for fewer, or build a larger library: uni4d library build",
    )


def _ideas(stages: Stages, seed: int) -> Iterator[_Idea]:
    """All assets in random order, each with some verb; and again with others. A prompt that the generator
    would read as another verb is left out."""
    features = stages.library.features().split("train")
    verbs = [name for name, verb in VERBS.items() if verb.layer != "light"]
    generator = np.random.default_rng((seed, 6))
    for _ in range(len(verbs)):
        drawn = generator.integers(len(verbs), size=len(features))
        for row in generator.permutation(len(features)):
            verb, name = verbs[drawn[row]], features.names[row].lower()
            article = "an" if name[:1] in "aeiou" else "a"
            prompt = f"{article} {name} is {gerund(verb)}"
            if verb in interpret(parse(prompt), duration=1.0).verbs:
                yield _Idea(features.uids[row], prompt, verb)


def _make(stages: Stages, idea: _Idea, path: Path, settings: dict[str, Any], progress: Progress) -> None:
    query = parse(idea.prompt)
    views, alignment = _aligned(stages, query, idea.uid, section(progress, 0.0, 0.2))
    result = stages.animate(
        *(query, idea.uid, views, alignment, section(progress, 0.2, 1.0)),
        settings={**settings, "model": "kinematic"},
    )
    write_file(path.with_name(path.stem + ALIGNMENT_SUFFIX), AlignResult(alignment))
    write_file(path, result)
    # Last: a clip that has a prompt is whole.
    path.with_suffix(".txt").write_text(idea.prompt + "\n", encoding="utf-8")


def _aligned(stages: Stages, query: Query, uid: str, progress: Progress) -> tuple[ViewSet, Alignment]:
    mesh, config = stages.mesh(uid), stages.config.render
    centre, radius = bounding_sphere(mesh.vertices)
    cameras = orbit_rig(
        *(centre, radius),
        azimuths=config.azimuths,
        elevations=[math.radians(angle) for angle in config.elevations_degrees],
        size=config.size,
        margin=config.margin,
    )
    progress(0.0, "photographing")
    views = photographs_from(mesh, cameras, splats=stages.config.animate.splats)
    return views, stages.align(query, uid, views, section(progress, 0.5, 1.0)).alignment
