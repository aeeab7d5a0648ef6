"""Video pipelines of the true classes, tiny and with random weights: they run on a CPU within a second.

``diffusers`` is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from uni4d.config import CogVideoX15Config, CogVideoXConfig, DiffusionConfig, LtxConfig, WanConfig

__all__ = ["BUILDERS", "SIZE", "TEXT", "TEXT_WIDTH", "tiny_config"]

SIZE = 32
TEXT = "a bear is dancing."
TEXT_WIDTH = 16
_WORDS = ("<pad>", "</s>", "<unk>", "a", "bear", "is", "dancing", "blurry", ".")

_CONFIGS: dict[str, DiffusionConfig] = {
    "cogvideox": CogVideoXConfig(frames=9),
    "cogvideox15": CogVideoX15Config(frames=17),
    "wan": WanConfig(frames=9),
    "ltx": LtxConfig(frames=9),
}


def tiny_config(name: str, **changes: Any) -> DiffusionConfig:
    """Settings for the tiny pipeline ``name``: 32 × 32, three steps, on the CPU."""
    small = {
        "width": SIZE,
        "height": SIZE,
        "steps": 3,
        "guidance": 3.0,
        "negative_prompt": "blurry",
        "device": "cpu",
        "precision": "fp32",
        "vae_precision": "fp32",
        "offload": "none",
        "vae_tiling": False,
    }
    return attrs.evolve(_CONFIGS[name], **{**small, **changes})


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, _WORDS[2]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    marks = dict(zip(("pad_token", "eos_token", "unk_token"), _WORDS, strict=False))
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=512, **marks)


def _text_encoder(kind: str) -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"d_model": TEXT_WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    config = getattr(transformers, f"{kind}Config")(vocab_size=len(_WORDS), **sizes)
    return getattr(transformers, f"{kind}EncoderModel")(config)


def _cogvideox(newer: bool = False) -> Any:
    import diffusers
    import torch

    torch.manual_seed(1)
    autoencoder = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
        invert_scale_latents=newer,
    )
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=8,
        out_channels=4,
        time_embed_dim=2,
        text_embed_dim=TEXT_WIDTH,
        num_layers=2,
        sample_width=4,
        sample_height=4,
        sample_frames=9,
        max_text_seq_length=32,
        use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=not newer,
        patch_size_t=2 if newer else None,
        ofs_embed_dim=2 if newer else None,
        patch_bias=not newer,
    )
    scheduler = (diffusers.CogVideoXDPMScheduler if newer else diffusers.CogVideoXDDIMScheduler)(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    return diffusers.CogVideoXImageToVideoPipeline(
        _tokenizer(), _text_encoder("T5"), autoencoder, transformer, scheduler
    )


def _wan() -> Any:
    import diffusers
    import torch

    torch.manual_seed(2)
    autoencoder = diffusers.AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=4,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        latents_mean=[0.1] * 4,
        latents_std=[0.9] * 4,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
    )
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=TEXT_WIDTH,
        freq_dim=32,
        ffn_dim=32,
        num_layers=2,
        rope_max_seq_len=32,
    )
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    return diffusers.WanImageToVideoPipeline(
        _tokenizer(),
        _text_encoder("UMT5"),
        autoencoder,
        scheduler,
        transformer=transformer,
        expand_timesteps=True,
    )


def _ltx() -> Any:
    import diffusers
    import torch

    torch.manual_seed(3)
    halves = {"upsample_residual": (False,) * 4, "upsample_factor": (1,) * 4}
    autoencoder = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        decoder_inject_noise=(False,) * 5,
        timestep_conditioning=True,
        **halves,
    )
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=2,
        caption_channels=TEXT_WIDTH,
    )
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    return diffusers.LTXImageToVideoPipeline(
        scheduler, autoencoder, _text_encoder("T5"), _tokenizer(), transformer
    )


def _ready(make: Callable[[], Any]) -> Callable[[], Any]:
    """As ``from_pretrained`` gives a pipeline: without dropout."""

    def build() -> Any:
        import torch

        pipeline = make()
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    return build


BUILDERS: dict[str, Callable[[], Any]] = {
    "cogvideox": _ready(_cogvideox),
    "cogvideox15": _ready(lambda: _cogvideox(newer=True)),
    "wan": _ready(_wan),
    "ltx": _ready(_ltx),
}
"""The tiny pipelines by the models' names; each call makes the same weights anew."""
