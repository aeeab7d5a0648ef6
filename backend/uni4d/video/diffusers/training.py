"""What trains the adapter: the video model's own loss, with every weight but the adapter's frozen.

With clean latents x₀, noise ε and a random time:

=========  ==================================  =======================================
model      noisy latents                       what the transformer is to say
=========  ==================================  =======================================
CogVideoX  x_t = √ᾱ_t x₀ + √(1 − ᾱ_t) ε        v = √ᾱ_t ε − √(1 − ᾱ_t) x₀   (v-prediction)
Wan, LTX   x_σ = (1 − σ) x₀ + σ ε              ε − x₀                     (flow matching)
=========  ==================================  =======================================

and the loss is the mean squared error. The first frame is given, clean, as at generation: CogVideoX gets it
in further channels; to Wan and LTX it is the first of the latents, at time zero, and not part of the loss.

What the frozen text encoder and autoencoder make of a clip never changes: :func:`encode_clip` asks them
once, and :func:`clip_loss` needs the transformer alone.
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor
from torch.nn import functional

from uni4d.video.diffusers.conditioning import ConditioningAdapter, check_tokens
from uni4d.video.diffusers.pipelines import Loaded
from uni4d.video.diffusers.prompts import Prompt, encode, insert
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array

__all__ = ["EncodedClip", "adapter_loss", "clip_loss", "encode_clip"]


@frozen(eq=False)
class EncodedClip:
    """What the frozen parts of a video model make of a clip and its text."""

    prompt: Prompt
    latents: Tensor
    """Clean and normalised: ``[1, T, C, H, W]`` of CogVideoX, ``[1, C, T, H, W]`` of Wan and LTX."""
    first: Tensor | None = None
    """``[1, 1, C, H, W]`` CogVideoX's condition: the first frame on its own."""

    def to(self, device: torch.device | str) -> EncodedClip:
        first = None if self.first is None else self.first.to(device)
        return evolve(self, prompt=self.prompt.to(device), latents=self.latents.to(device), first=first)


def adapter_loss(
    loaded: Loaded,
    adapter: ConditioningAdapter,
    frames: Array,
    text: str,
    tokens: Array,
    generator: torch.Generator,
) -> Tensor:
    """The loss ``[]`` of one clip ``frames [T, H, W, 3]`` uint8 at a random time, ready for ``backward()``.

    ``generator`` (on the CPU) draws the time and the noise. The gradient reaches ``adapter`` alone.
    """
    slots = adapter(check_tokens(tokens, adapter.token_width).to(adapter.gate.device))
    return clip_loss(loaded, encode_clip(loaded, frames, text), slots, generator)


@torch.no_grad()
def encode_clip(loaded: Loaded, frames: Array, text: str) -> EncodedClip:
    """``frames [T, H, W, 3]`` uint8 and their text, as the transformer takes them."""
    config, family = loaded.config, loaded.family
    if frames.shape[1:] != (config.height, config.width, 3) or len(frames) % family.frame_step != 1:
        raise Uni4DError(
            "bad-setting",
            f"A clip of shape {list(frames.shape)} cannot train {family.title} at {config.width} × "
            f"{config.height}.",
            f"Give {family.frame_step}k + 1 frames of that size.",
        )
    prompt = encode(loaded, text)
    video = _pixels(frames).to(loaded.device, loaded.pipeline.vae.dtype)
    encoders = {"cogvideox": _cogvideox_clip, "cogvideox15": _cogvideox_clip, "wan": _wan_clip}
    return encoders.get(family.name, _ltx_clip)(loaded.pipeline, prompt, video)


def clip_loss(loaded: Loaded, clip: EncodedClip, slots: Tensor | None, generator: torch.Generator) -> Tensor:
    """The loss ``[]`` at a random time, with an adapter's ``slots [1, K, W]`` in the prompt, or without."""
    # While the gate is still shut the slots must be attended to all the same, or it would never open.
    prompt = clip.prompt if slots is None else insert(clip.prompt, slots)
    losses = {"cogvideox": _cogvideox, "cogvideox15": _cogvideox, "wan": _wan, "ltx": _ltx}
    return losses[loaded.family.name](loaded, prompt, clip, generator)


def _pixels(frames: Array) -> Tensor:
    """``[1, 3, T, H, W]`` in [−1, 1]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _cogvideox_clip(pipeline: Any, prompt: Prompt, video: Tensor) -> EncodedClip:
    scale = pipeline.vae.config.scaling_factor
    clean = (scale * _cogvideox_latents(pipeline, video)).to(prompt.embeds.dtype)
    extra = -clean.shape[1] % (pipeline.transformer.config.patch_size_t or 1)  # CogVideoX 1.5: at the front
    clean = torch.cat([clean[:, :1].repeat(1, extra, 1, 1, 1), clean], dim=1)
    first = _cogvideox_latents(pipeline, video[:, :, :1]).to(clean.dtype)
    first = first / scale if pipeline.vae.config.invert_scale_latents else first * scale
    return EncodedClip(prompt, clean, first)


def _cogvideox(loaded: Loaded, prompt: Prompt, clip: EncodedClip, generator: torch.Generator) -> Tensor:
    """v-prediction; latents ``[1, T, C, H, W]``."""
    pipeline, clean = loaded.pipeline, clip.latents
    scheduler, transformer = pipeline.scheduler, pipeline.transformer
    if clip.first is None:
        raise ValueError("a clip of CogVideoX has its first frame in channels of its own")
    with torch.no_grad():
        given = torch.cat([clip.first, torch.zeros_like(clean[:, 1:])], dim=1)
        noise = _noise(clean, generator)
        time = torch.randint(0, scheduler.config.num_train_timesteps, (1,), generator=generator)
        time = time.to(clean.device)
        noisy = scheduler.add_noise(clean, noise, time).to(clean.dtype)
        target = _wanted(scheduler, clean, noise, time)
    said = transformer(
        hidden_states=torch.cat([noisy, given], dim=2),
        encoder_hidden_states=prompt.embeds,
        timestep=time,
        ofs=None if transformer.config.ofs_embed_dim is None else noisy.new_full((1,), 2.0),
        image_rotary_emb=pipeline._prepare_rotary_positional_embeddings(
            loaded.config.height, loaded.config.width, clean.shape[1], clean.device
        )
        if transformer.config.use_rotary_positional_embeddings
        else None,
        return_dict=False,
    )[0]
    return functional.mse_loss(said.float(), target.float())


def _cogvideox_latents(pipeline: Any, video: Tensor) -> Tensor:
    return pipeline.vae.encode(video).latent_dist.mode().permute(0, 2, 1, 3, 4)


def _wanted(scheduler: Any, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    match scheduler.config.prediction_type:
        case "v_prediction":
            return scheduler.get_velocity(clean, noise, time)
        case "epsilon":
            return noise
        case "sample":
            return clean
    raise Uni4DError(
        "bad-setting",
        f"A scheduler that predicts {scheduler.config.prediction_type!r} cannot train an adapter.",
        "Use the weights' own scheduler.",
    )


def _sigma(shift: float, generator: torch.Generator) -> float:
    """A random noise level in (0, 1): uniform, then shifted as at generation."""
    uniform = float(torch.rand((), generator=generator).clamp(0.001, 0.999))
    return shift * uniform / (1.0 + (shift - 1.0) * uniform)


def _wan_clip(pipeline: Any, prompt: Prompt, video: Tensor) -> EncodedClip:
    if not pipeline.config.expand_timesteps:
        raise Uni4DError(
            "bad-setting",
            "An adapter can be trained with Wan 2.2 TI2V only, which knows the first frame by its time.",
            'Set video.wan.weights to "Wan-AI/Wan2.2-TI2V-5B-Diffusers", or a copy of it.',
        )
    known = pipeline.vae.config
    mean = torch.tensor(known.latents_mean).view(1, -1, 1, 1, 1)
    deviation = torch.tensor(known.latents_std).view(1, -1, 1, 1, 1)
    clean = pipeline.vae.encode(video).latent_dist.mode()
    return EncodedClip(prompt, ((clean - mean.to(clean)) / deviation.to(clean)).float())


def _wan(loaded: Loaded, prompt: Prompt, clip: EncodedClip, generator: torch.Generator) -> Tensor:
    """Flow matching with a time per token; latents ``[1, C, T, H, W]``."""
    transformer, clean = loaded.pipeline.transformer, clip.latents
    with torch.no_grad():
        noise = _noise(clean, generator)
        scheduler = loaded.pipeline.scheduler.config
        shift = float(scheduler.get("flow_shift") or scheduler.get("shift") or 1.0)
        sigma = _sigma(shift, generator)
        free = torch.ones_like(clean[:, :1])
        free[:, :, 0] = 0.0
        noisy = (1.0 - free) * clean + free * ((1.0 - sigma) * clean + sigma * noise)
        _, rows, columns = transformer.config.patch_size
        time = 1000.0 * sigma * free[0, 0][:, ::rows, ::columns].flatten()[None]
    said = transformer(
        hidden_states=noisy.to(transformer.dtype),
        timestep=time,
        encoder_hidden_states=prompt.embeds.to(transformer.dtype),
        return_dict=False,
    )[0]
    return _masked_error(said, noise - clean, free)


def _ltx_clip(pipeline: Any, prompt: Prompt, video: Tensor) -> EncodedClip:
    vae = pipeline.vae
    latents = vae.encode(video).latent_dist.mode().float()
    return EncodedClip(prompt, pipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std))


def _ltx(loaded: Loaded, prompt: Prompt, clip: EncodedClip, generator: torch.Generator) -> Tensor:
    """Flow matching on packed latents ``[1, tokens, C]``."""
    pipeline, latents = loaded.pipeline, clip.latents
    spatial, temporal = pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
    with torch.no_grad():
        free = torch.ones_like(latents[:, :1])
        free[:, :, 0] = 0.0
        noise = _noise(latents, generator)
        clean, noise, free = (
            pipeline._pack_latents(values, spatial, temporal) for values in (latents, noise, free)
        )
        sigma = _sigma(_ltx_shift(pipeline.scheduler.config, clean.shape[1]), generator)
        noisy = (1.0 - free) * clean + free * ((1.0 - sigma) * clean + sigma * noise)
    count, height, width = latents.shape[2:]
    compression, fps = pipeline.vae_spatial_compression_ratio, loaded.config.fps
    said = pipeline.transformer(
        hidden_states=noisy.to(prompt.embeds.dtype),
        encoder_hidden_states=prompt.embeds,
        timestep=1000.0 * sigma * free[..., 0],
        encoder_attention_mask=prompt.mask,
        num_frames=count,
        height=height,
        width=width,
        rope_interpolation_scale=(pipeline.vae_temporal_compression_ratio / fps, compression, compression),
        return_dict=False,
    )[0]
    return _masked_error(said, noise - clean, free)


def _ltx_shift(scheduler: Any, tokens: int) -> float:
    """More noise for longer clips: exp(µ), with µ linear in the number of tokens."""
    if not scheduler.get("use_dynamic_shifting", False):
        return float(scheduler.get("shift", 1.0))
    module = importlib.import_module("diffusers.pipelines.ltx.pipeline_ltx_image2video")
    names = ("base_image_seq_len", "max_image_seq_len", "base_shift", "max_shift")
    return math.exp(module.calculate_shift(tokens, *(scheduler.get(name) for name in names)))


def _masked_error(said: Tensor, target: Tensor, free: Tensor) -> Tensor:
    weights = free.expand_as(target).float()
    return ((said.float() - target.float()) ** 2 * weights).sum() / weights.sum()
