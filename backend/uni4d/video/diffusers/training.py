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
"""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from uni4d.video.diffusers.conditioning import ConditioningAdapter, check_tokens
from uni4d.video.diffusers.pipelines import Loaded
from uni4d.video.diffusers.prompts import Prompt, encode, insert
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array

__all__ = ["adapter_loss"]


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
    config, family = loaded.config, loaded.family
    if frames.shape[1:] != (config.height, config.width, 3) or len(frames) % family.frame_step != 1:
        raise Uni4DError(
            "bad-setting",
            f"A clip of shape {list(frames.shape)} cannot train {family.title} at {config.width} × "
            f"{config.height}.",
            f"Give {family.frame_step}k + 1 frames of that size.",
        )
    slots = adapter(check_tokens(tokens, adapter.token_width).to(adapter.gate.device))
    # While the gate is still shut the slots must be attended to all the same, or it would never open.
    prompt = insert(encode(loaded, text), slots)
    video = _pixels(frames).to(loaded.device, loaded.pipeline.vae.dtype)
    losses = {"cogvideox": _cogvideox, "cogvideox15": _cogvideox, "wan": _wan, "ltx": _ltx}
    return losses[family.name](loaded.pipeline, config.fps, prompt, video, generator)


def _pixels(frames: Array) -> Tensor:
    """``[1, 3, T, H, W]`` in [−1, 1]."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)


def _cogvideox(
    pipeline: Any, fps: float, prompt: Prompt, video: Tensor, generator: torch.Generator
) -> Tensor:
    """v-prediction; latents ``[1, T, C, H, W]``."""
    scheduler, transformer = pipeline.scheduler, pipeline.transformer
    with torch.no_grad():
        scale = pipeline.vae.config.scaling_factor
        clean = (scale * _cogvideox_latents(pipeline, video)).to(prompt.embeds.dtype)
        extra = -clean.shape[1] % (transformer.config.patch_size_t or 1)  # CogVideoX 1.5 pads at the front
        clean = torch.cat([clean[:, :1].repeat(1, extra, 1, 1, 1), clean], dim=1)
        first = _cogvideox_latents(pipeline, video[:, :, :1]).to(clean.dtype)
        first = first / scale if pipeline.vae.config.invert_scale_latents else first * scale
        given = torch.cat([first, torch.zeros_like(clean[:, 1:])], dim=1)
        noise = _noise(clean, generator)
        time = torch.randint(0, scheduler.config.num_train_timesteps, (1,), generator=generator)
        time = time.to(clean.device)
        noisy = scheduler.add_noise(clean, noise, time).to(clean.dtype)
        target = _wanted(scheduler, clean, noise, time)
    height, width = video.shape[-2:]
    said = transformer(
        hidden_states=torch.cat([noisy, given], dim=2),
        encoder_hidden_states=prompt.embeds,
        timestep=time,
        ofs=None if transformer.config.ofs_embed_dim is None else noisy.new_full((1,), 2.0),
        image_rotary_emb=pipeline._prepare_rotary_positional_embeddings(
            height, width, clean.shape[1], clean.device
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


def _wan(pipeline: Any, fps: float, prompt: Prompt, video: Tensor, generator: torch.Generator) -> Tensor:
    """Flow matching with a time per token; latents ``[1, C, T, H, W]``."""
    if not pipeline.config.expand_timesteps:
        raise Uni4DError(
            "bad-setting",
            "An adapter can be trained with Wan 2.2 TI2V only, which knows the first frame by its time.",
            'Set video.wan.weights to "Wan-AI/Wan2.2-TI2V-5B-Diffusers", or a copy of it.',
        )
    transformer, known = pipeline.transformer, pipeline.vae.config
    with torch.no_grad():
        mean = torch.tensor(known.latents_mean).view(1, -1, 1, 1, 1)
        deviation = torch.tensor(known.latents_std).view(1, -1, 1, 1, 1)
        clean = pipeline.vae.encode(video).latent_dist.mode()
        clean = ((clean - mean.to(clean)) / deviation.to(clean)).float()
        noise = _noise(clean, generator)
        scheduler = pipeline.scheduler.config
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


def _ltx(pipeline: Any, fps: float, prompt: Prompt, video: Tensor, generator: torch.Generator) -> Tensor:
    """Flow matching on packed latents ``[1, tokens, C]``."""
    transformer, vae = pipeline.transformer, pipeline.vae
    spatial, temporal = pipeline.transformer_spatial_patch_size, pipeline.transformer_temporal_patch_size
    with torch.no_grad():
        latents = vae.encode(video).latent_dist.mode().float()
        latents = pipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std)
        free = torch.ones_like(latents[:, :1])
        free[:, :, 0] = 0.0
        noise = _noise(latents, generator)
        clean, noise, free = (
            pipeline._pack_latents(values, spatial, temporal) for values in (latents, noise, free)
        )
        sigma = _sigma(_ltx_shift(pipeline.scheduler.config, clean.shape[1]), generator)
        noisy = (1.0 - free) * clean + free * ((1.0 - sigma) * clean + sigma * noise)
    count, height, width = latents.shape[2:]
    compression = pipeline.vae_spatial_compression_ratio
    said = transformer(
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
