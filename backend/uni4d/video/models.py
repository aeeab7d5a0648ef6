"""The video models behind one door: which one a name stands for.

Every model is a :class:`VideoModel`. The kinematic generator moves the mesh; the others paint frames from the
photograph of the key view and the words, here (:mod:`uni4d.video.diffusers`) or at a service
(:mod:`uni4d.video.remote`), and never see the mesh.
"""

from __future__ import annotations

from typing import Any

from uni4d.config import AnimateConfig, VideoConfig
from uni4d.video.interpret import EmbedText
from uni4d.video.kinematic import animate
from uni4d.video.scene import Animated, FilmMesh, Scene, VideoModel
from uni4d_shared.errors import Uni4DError
from uni4d_shared.messages import VideoModelInfo
from uni4d_shared.progress import Progress, silent

__all__ = ["MODELS", "Kinematic", "check_settings", "describe_models", "video_model"]

DIFFUSION = ("cogvideox", "cogvideox15", "wan", "ltx")
MODELS = ("kinematic", *DIFFUSION, "remote")
"""The values of ``[animate] model``."""

_HEEDED = frozenset({"model", "seed"})
"""What a model that is not kinematic reads of :class:`AnimateConfig`."""


class Kinematic:
    """The offline default as a :class:`VideoModel`: it alone moves the mesh itself."""

    def __init__(self, embed_text: EmbedText | None = None, film_mesh: FilmMesh | None = None) -> None:
        """``film_mesh`` makes the frames where ``[animate] renderer`` is ``blender``."""
        self._embed_text, self._film_mesh = embed_text, film_mesh

    title = "Kinematic"

    def check(self) -> None:
        """It lacks nothing, anywhere."""

    def animate(self, scene: Scene, config: AnimateConfig, progress: Progress = silent) -> Animated:
        clip, program = animate(
            scene.mesh(),
            scene.views,
            scene.alignment,
            scene.query,
            config,
            self._embed_text,
            progress,
            film_mesh=self._film_mesh,
        )
        return Animated(clip, program.to_dict())


def video_model(
    name: str,
    config: VideoConfig,
    embed_text: EmbedText | None = None,
    film_mesh: FilmMesh | None = None,
) -> VideoModel:
    """The model of a name of :data:`MODELS`; nothing is loaded before its first clip."""
    if name == "kinematic":
        return Kinematic(embed_text, film_mesh)
    if name in DIFFUSION:
        from uni4d.video.diffusers import DiffusersVideo

        return DiffusersVideo(name, getattr(config, name))
    if name == "remote":
        from uni4d.video.remote import RemoteVideo

        return RemoteVideo(config.remote)
    raise Uni4DError(
        "video-model-unknown",
        f"There is no video model “{name}”.",
        f"Set animate.model to one of: {', '.join(MODELS)}.",
    )


def describe_models(config: VideoConfig) -> tuple[VideoModelInfo, ...]:
    """All models, and why one cannot make a clip on this machine as it is set."""
    return tuple(_described(name, video_model(name, config)) for name in MODELS)


def _described(name: str, model: VideoModel) -> VideoModelInfo:
    problem, cure = "", ""
    try:
        model.check()
    except Uni4DError as error:
        problem, cure = error.message, error.cure
    kinematic, remote = name == "kinematic", name == "remote"
    return VideoModelInfo(
        name,
        model.title,
        takes_program=kinematic,
        takes_seed=not (kinematic or remote),
        problem=problem,
        cure=cure,
    )


def check_settings(name: str, settings: dict[str, Any]) -> None:
    """Refuse settings that were asked for by name and that the model would not heed."""
    ignored = sorted(set(settings) - _HEEDED)
    if name != "kinematic" and ignored:
        raise Uni4DError(
            "bad-setting",
            f"The video model “{name}” does not heed {', '.join(f'animate.{word}' for word in ignored)}.",
            f"Set the table [video.{name}] of the configuration instead, or animate.model to “kinematic”.",
        )
