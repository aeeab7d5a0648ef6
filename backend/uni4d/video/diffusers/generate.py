"""The stage: the photograph of the key view and the prompt → frames, by one denoising step after the
other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch

from uni4d.config import AnimateConfig, DiffusionConfig
from uni4d.video.diffusers.conditioning import ConditioningAdapter, check_tokens, load_adapter
from uni4d.video.diffusers.families import FAMILIES
from uni4d.video.diffusers.pipelines import Loaded, check, load, out_of_memory
from uni4d.video.diffusers.prompts import Prompt, encode, insert, staged
from uni4d.video.photograph import BACKGROUND, first_frame
from uni4d.video.scene import Animated, Scene
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section, silent
from uni4d_shared.types import Array, Clip

__all__ = ["DiffusersVideo", "denoise", "generate"]

_NOTE_UNUSED = "The alignment's tokens were not used: the video model has no adapter for them."


class DiffusersVideo:
    """A :class:`uni4d.video.scene.VideoModel` that runs here. The pipeline is loaded for the first clip and
    kept."""

    def __init__(self, name: str, config: DiffusionConfig) -> None:
        self.name, self.config = name, config
        self._loaded: Loaded | None = None

    @property
    def title(self) -> str:
        return FAMILIES[self.name].title

    def check(self) -> None:
        check(self.name, self.config)

    def animate(self, scene: Scene, config: AnimateConfig, progress: Progress = silent) -> Animated:
        settings = self.config
        FAMILIES[self.name].check(settings)
        tokens, notes = scene.tokens, []
        if settings.adapter is None and tokens is not None:
            tokens = None
            notes.append(_NOTE_UNUSED)
        elif settings.adapter is not None and tokens is None:
            raise Uni4DError(
                "conditioning-missing",
                f"video.{self.name}.adapter is set, but the alignment made no tokens for it.",
                "Align with CrOSSMA, or leave the adapter out.",
            )
        adapter = self._adapter if tokens is not None else None
        image, camera = first_frame(scene.views, scene.alignment, settings.width, settings.height)
        if self._loaded is None:
            self._loaded = load(self.name, settings, section(progress, 0.0, 0.1))
        frames = generate(
            self._loaded,
            image,
            staged(scene.query.prompt, settings),
            seed=config.seed,
            adapter=adapter,
            tokens=tokens,
            progress=section(progress, 0.1, 1.0),
        )
        title = FAMILIES[self.name].title
        clip = Clip(frames, settings.fps, camera, BACKGROUND, f"{title}: {scene.query.prompt}")
        return Animated(clip, _told(scene, settings, title, config.seed, len(frames), notes))

    @cached_property
    def _adapter(self) -> ConditioningAdapter | None:
        from uni4d.alignment.weights import weights_hash

        if self.config.adapter is None:
            return None
        return load_adapter(self.config.adapter, self.name, alignment=weights_hash())


def _told(
    scene: Scene, settings: DiffusionConfig, title: str, seed: int, frames: int, notes: list[str]
) -> dict[str, Any]:
    return {
        "motion_text": scene.query.motion_text,
        "duration": frames / settings.fps,
        "tracks": [],
        "notes": [f"{title}, seed {seed}, {settings.steps} steps.", *notes],
        "model": {"name": title, "weights": settings.weights, "seed": seed, "steps": settings.steps},
    }


def generate(
    loaded: Loaded,
    image: Array,
    text: str,
    *,
    seed: int = 0,
    adapter: ConditioningAdapter | None = None,
    tokens: Array | None = None,
    progress: Progress = silent,
) -> Array:
    """``[T, H, W, 3]`` uint8 frames that start from ``image [H, W, 3]`` uint8 and do what ``text`` says.

    With an ``adapter``, its ``tokens [K, D]`` join the prompt. After a cancellation or an error the pipeline
    is as it was before.
    """
    progress(0.0, "reading the prompt")
    try:
        prompt = _conditioned(loaded, encode(loaded, text), adapter, tokens)
        made = denoise(loaded, image, prompt, seed, section(progress, 0.02, 0.9))
    except torch.OutOfMemoryError as error:
        raise out_of_memory(loaded.family) from error
    finally:
        # Else an interrupted clip would leave models on the device, and its cached steps to the next clip.
        loaded.pipeline.maybe_free_model_hooks()
    if not np.isfinite(made).all():
        raise Uni4DError(
            "video-invalid",
            f"{loaded.family.title} made frames that are not numbers.",
            f'Set video.{loaded.family.name}.precision and vae_precision to "bf16" or "fp32".',
        )
    progress(1.0, f"{len(made)} frames")
    return np.asarray(np.rint(255.0 * made), dtype=np.uint8)


def denoise(loaded: Loaded, image: Array, prompt: Prompt, seed: int, progress: Progress = silent) -> Array:
    """``[T, H, W, 3]`` frames in [0, 1]: what the pipeline makes of ``image`` and an encoded prompt."""
    from PIL import Image

    config = loaded.config
    return loaded.pipeline(
        image=Image.fromarray(image),
        **prompt.arguments(),
        width=config.width,
        height=config.height,
        num_frames=config.frames,
        num_inference_steps=config.steps,
        guidance_scale=config.guidance,
        generator=torch.Generator(loaded.device).manual_seed(seed),
        callback_on_step_end=_reporting(config.steps, progress),
        output_type="np",
        **_own_arguments(config),
    ).frames[0]


@torch.no_grad()
def _conditioned(
    loaded: Loaded, prompt: Prompt, adapter: ConditioningAdapter | None, tokens: Array | None
) -> Prompt:
    if adapter is None or tokens is None:
        return prompt
    if adapter.text_width != prompt.embeds.shape[-1]:
        raise Uni4DError(
            "weights-unreadable",
            f"The adapter makes vectors of {adapter.text_width} numbers, and the text encoder of "
            f"{loaded.config.weights} {prompt.embeds.shape[-1]}.",
            f"Set video.{loaded.family.name}.adapter to one that was trained with these weights.",
        )
    batch = check_tokens(tokens, adapter.token_width).to(loaded.device)
    return insert(prompt, adapter.to(loaded.device)(batch), adapter.opened)


def _own_arguments(config: DiffusionConfig) -> dict[str, Any]:
    """What one pipeline takes and the others do not."""
    from uni4d.config import LtxConfig

    if isinstance(config, LtxConfig):
        return {
            "frame_rate": round(config.fps),
            "decode_timestep": config.decode_timestep,
            "decode_noise_scale": config.decode_noise,
        }
    return {}


def _reporting(steps: int, progress: Progress) -> Callable[..., dict[str, Any]]:
    """Called by the pipeline after each step; what ``progress`` raises ends the clip there."""

    def report(pipeline: Any, step: int, timestep: Any, values: dict[str, Any]) -> dict[str, Any]:
        progress((step + 1) / steps, f"denoising step {step + 1} of {steps}")
        return values

    progress(0.0, f"denoising, {steps} steps")
    return report
