"""A prompt as the text encoder's vectors, and vectors of our own in the slots that its padding leaves free.

All three models pad a prompt to a fixed length, and differ in what the padding is:

=============  ==================================================================
CogVideoX      the T5 encoder's output at the padding tokens; attended to
Wan            zeros; attended to
LTX-Video      the T5 encoder's output at the padding tokens; masked out
=============  ==================================================================

A token is *added* to a padding slot, so one that is zero changes nothing; where there is a mask, the slots
are opened with it. Only the wanted prompt carries tokens, not the negative one: guidance then amplifies them
as it does the words.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from attrs import evolve, frozen
from torch import Tensor

from uni4d.config import DiffusionConfig
from uni4d.video.diffusers.pipelines import Loaded
from uni4d_shared.errors import Uni4DError

__all__ = ["Prompt", "encode", "insert", "staged"]


@frozen(eq=False)
class Prompt:
    """What a pipeline takes instead of text."""

    embeds: Tensor
    """``[1, L, W]``"""
    words: int
    """Slots that the text fills, with its end-of-sentence token; the others are padding."""
    negative: Tensor | None = None
    """``[1, L, W]``; ``None`` without guidance."""
    mask: Tensor | None = None
    """``[1, L]`` bool: the slots that are attended to; ``None`` where all are."""
    negative_mask: Tensor | None = None

    def to(self, device: torch.device | str) -> Prompt:
        def moved(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        return Prompt(
            self.embeds.to(device),
            self.words,
            moved(self.negative),
            moved(self.mask),
            moved(self.negative_mask),
        )

    def arguments(self) -> dict[str, Tensor]:
        """Keyword arguments of the pipeline's call."""
        values = {
            "prompt_embeds": self.embeds,
            "negative_prompt_embeds": self.negative,
            "prompt_attention_mask": self.mask,
            "negative_prompt_attention_mask": self.negative_mask,
        }
        return {name: value for name, value in values.items() if value is not None}


def staged(text: str, config: DiffusionConfig) -> str:
    """What a clip's prompt says to the model: ``text``, and how the scene is to be set."""
    return " ".join(part for part in (text.strip(), config.staging.strip()) if part)


@torch.no_grad()
def encode(loaded: Loaded, text: str) -> Prompt:
    """``text`` and the configured negative prompt, as the stock pipeline would encode them."""
    pipeline, config = loaded.pipeline, loaded.config
    length = prompt_length(loaded)
    encoded = pipeline.encode_prompt(
        text,
        negative_prompt=config.negative_prompt,
        do_classifier_free_guidance=config.guidance > 1.0,
        max_sequence_length=length,
        device=loaded.device,
    )
    words = _words(loaded, text, length)
    if loaded.family.masked:
        embeds, mask, negative, negative_mask = encoded
        return Prompt(embeds, words, negative, mask, negative_mask)
    embeds, negative = encoded
    return Prompt(embeds, words, negative)


def insert(prompt: Prompt, slots: Tensor, opened: bool = True) -> Prompt:
    """``prompt`` with ``slots [1, K, W]`` added to its first K slots of padding.

    ``opened`` says whether a mask is to let them through; zeros behind a mask would still draw attention.
    """
    start, stop = prompt.words, prompt.words + slots.shape[1]
    if stop > prompt.embeds.shape[1]:
        raise Uni4DError(
            "prompt-too-long",
            f"The prompt takes {start} of {prompt.embeds.shape[1]} slots, and the alignment's tokens another "
            f"{slots.shape[1]}.",
            "Shorten the prompt.",
        )
    inside = prompt.embeds[:, start:stop] + slots.to(prompt.embeds)
    embeds = torch.cat([prompt.embeds[:, :start], inside, prompt.embeds[:, stop:]], dim=1)
    mask = prompt.mask
    if mask is not None and opened:
        mask = mask.clone()
        mask[:, start:stop] = True
    return evolve(prompt, embeds=embeds, mask=mask)


def prompt_length(loaded: Loaded) -> int:
    """Slots of a prompt; CogVideoX's transformer says so itself."""
    known = loaded.pipeline.transformer.config
    return int(known.get("max_text_seq_length", loaded.family.prompt_tokens))


def _words(loaded: Loaded, text: str, length: int) -> int:
    tokenizer: Any = loaded.pipeline.tokenizer
    if loaded.family.name == "wan":  # which mends the text before it reads it
        module = importlib.import_module("diffusers.pipelines.wan.pipeline_wan_i2v")
        text = module.prompt_clean(text)
    pieces = tokenizer(text, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return int(pieces.attention_mask.sum())
