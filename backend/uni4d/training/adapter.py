"""The adapter of a video model, trained on clips with the alignment's tokens; every other weight is frozen.

The loss is the video model's own (:mod:`uni4d.video.diffusers.training`). Some objects are held out, all
their clips with them, and asked with the same noise each time:

===================  =======================================================================
``loss``             with the clip's own tokens
``loss_without``     the video model as it is, without an adapter
``loss_exchanged``   with the tokens of another held-out object: what an adapter that adds the
                     same to every prompt would reach too
``gate``             tanh(g), how far it is open
===================  =======================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray
from torch import Tensor, nn

from uni4d.config import DiffusionConfig
from uni4d.retrieval.query import parse
from uni4d.training.adapter_clips import ClipFile, read_frames
from uni4d.training.distributed import Ranks
from uni4d.training.loop import LoopConfig, seeded_state
from uni4d.training.resumable import train_in
from uni4d.video.diffusers.conditioning import ConditioningAdapter, check_tokens
from uni4d.video.diffusers.pipelines import Loaded
from uni4d.video.diffusers.prompts import staged
from uni4d.video.diffusers.training import EncodedClip, clip_loss, encode_clip
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, section

__all__ = ["AdapterTask", "AdapterTrainConfig", "LearntClip", "train_adapter", "video_config"]

Array = NDArray[Any]


@frozen
class AdapterTrainConfig:
    """What ``uni4d train adapter`` reads from a recipe."""

    loop: LoopConfig = field(
        factory=lambda: LoopConfig(
            steps=1000,
            batch=4,
            accumulate=4,  # one clip after the other: few devices hold the gradients of two
            learning_rate=1e-3,
            weight_decay=0.01,
            validate_every=100,
            save_every=50,
        )
    )
    held_share: float = field(default=0.1, validator=[validators.gt(0.0), validators.lt(1.0)])
    """Share of the objects whose clips are held out, at least one."""
    noise_levels: int = field(default=4, validator=validators.ge(1))
    """Times at which a held-out clip is asked."""
    checkpointing: bool = True
    """Compute the transformer's activations twice instead of keeping them: a third more time, much less
    memory."""


@frozen(eq=False)
class LearntClip:
    """A clip as the training keeps it, in main memory."""

    name: str
    thing: str
    """What its prompt says the object is."""
    encoded: EncodedClip
    tokens: Tensor
    """``[1, K, D]``"""


class AdapterTask:
    """:class:`uni4d.training.loop.Task` of an adapter."""

    def __init__(
        self, loaded: Loaded, learnt: Sequence[LearntClip], held: Sequence[LearntClip], noise_levels: int
    ) -> None:
        self._loaded, self._learnt, self._held, self._levels = loaded, learnt, held, noise_levels
        self._without: float | None = None
        self.size = len(learnt)

    def new_model(self) -> ConditioningAdapter:
        first = self._learnt[0]
        widths = first.tokens.shape[-1], first.encoded.prompt.embeds.shape[-1]
        return ConditioningAdapter(self._loaded.family.name, *widths)

    def loss(self, model: nn.Module, rows: Array, temperature: Tensor | float, ranks: Ranks) -> Tensor:
        adapter = cast("ConditioningAdapter", model)
        losses = []
        for row in ranks.share(rows):
            clip = self._learnt[int(row)]
            # From PyTorch's own generator, which a training state saves.
            seed = int(torch.randint(2**62, ()))
            losses.append(self._of(adapter, clip, clip.tokens, seed))
        return torch.stack(losses).mean()

    def validate(self, model: nn.Module) -> dict[str, float]:
        adapter = cast("ConditioningAdapter", model)
        if self._without is None:
            self._without = self._held_loss(None)
        figures = {"loss": self._held_loss(adapter), "loss_without": self._without}
        if len({clip.thing for clip in self._held}) > 1:
            figures["loss_exchanged"] = self._held_loss(adapter, exchanged=True)
        return {**figures, "gate": float(torch.tanh(adapter.gate))}

    def _held_loss(self, adapter: ConditioningAdapter | None, exchanged: bool = False) -> float:
        losses = []
        for place, clip in enumerate(self._held):
            tokens = self._other(clip).tokens if exchanged else clip.tokens
            for level in range(self._levels):
                losses.append(float(self._of(adapter, clip, tokens, place * self._levels + level)))
        return float(np.mean(losses))

    def _other(self, clip: LearntClip) -> LearntClip:
        """The next held-out clip that shows something else."""
        place = self._held.index(clip)
        others = (*self._held[place + 1 :], *self._held[:place])
        return next(other for other in others if other.thing != clip.thing)

    def _of(self, adapter: ConditioningAdapter | None, clip: LearntClip, tokens: Tensor, seed: int) -> Tensor:
        slots = None if adapter is None else adapter(tokens.to(adapter.gate.device))
        generator = torch.Generator().manual_seed(seed)
        return clip_loss(self._loaded, clip.encoded.to(self._loaded.device), slots, generator)


def video_config(config: DiffusionConfig, name: str) -> DiffusionConfig:
    """``config`` of the model ``name`` as training needs it: without guidance, and with every step computed.

    Settings under which no gradient comes back right are refused.
    """
    if config.offload in ("group", "sequential"):
        raise Uni4DError(
            "bad-setting",
            f"video.{name}.offload is “{config.offload}”: weights that leave the device layer by layer have "
            "no gradient to give.",
            f'Set it to "model" or "none"; a smaller clip (video.{name}.frames) needs less memory too.',
        )
    if "fp16" in (config.precision, config.vae_precision):
        raise Uni4DError(
            "bad-setting",
            f"video.{name}: gradients vanish in half precision (fp16).",
            'Set precision and vae_precision to "bf16" or "fp32".',
        )
    return attrs.evolve(config, guidance=1.0, negative_prompt="", cache="none", adapter=None)


def train_adapter(
    loaded: Loaded,
    clips: Sequence[ClipFile],
    config: AdapterTrainConfig,
    seed: int,
    progress: Progress,
    *,
    folder: Path,
    record: Callable[[dict[str, float]], None] = lambda row: None,
) -> ConditioningAdapter:
    """The adapter of the last step; a training that was stopped goes on from ``folder``."""
    known = encoded_clips(loaded, clips, section(progress, 0.0, 0.2))
    held = _held(known, config.held_share, seed)
    learnt = [clip for clip in known if clip.thing not in held]
    task = AdapterTask(loaded, learnt, [clip for clip in known if clip.thing in held], config.noise_levels)
    batch = min(config.loop.batch, len(learnt))
    device, parts = str(loaded.device), min(config.loop.accumulate, batch)
    loop = attrs.evolve(config.loop, device=device, accumulate=parts)
    about = _about(loaded, clips, config, seed)
    if config.checkpointing:
        loaded.pipeline.transformer.enable_gradient_checkpointing()
    try:
        with torch.random.fork_rng():
            state = seeded_state(task.new_model, loop, seed)
            training = section(progress, 0.2, 1.0)
            train_in(folder, state, task, loop, seed, training, about=about, record=record)
    finally:
        loaded.pipeline.transformer.disable_gradient_checkpointing()
        loaded.pipeline.maybe_free_model_hooks()
    return cast("ConditioningAdapter", state.model).eval().cpu()


def encoded_clips(loaded: Loaded, clips: Sequence[ClipFile], progress: Progress) -> list[LearntClip]:
    """The clips as the frozen text encoder and autoencoder make them, once; kept in main memory."""
    known = []
    for number, clip in enumerate(clips):
        progress(number / len(clips), f"encoding clip {number + 1} of {len(clips)}")
        frames = read_frames(clip, loaded.config, loaded.family)
        encoded = encode_clip(loaded, frames, staged(clip.prompt, loaded.config))
        slots, taken = encoded.prompt.embeds.shape[1], encoded.prompt.words
        if taken + len(clip.tokens) > slots:
            raise Uni4DError(
                "prompt-too-long",
                f"{clip.path}: the prompt takes {taken} of {slots} slots, and the alignment's tokens another "
                f"{len(clip.tokens)}.",
                "Shorten the prompt, or leave the clip out.",
            )
        tokens = check_tokens(clip.tokens, clip.tokens.shape[1])
        thing = parse(clip.prompt).object_text.casefold()
        known.append(LearntClip(clip.name, thing, encoded.to("cpu"), tokens))
    progress(1.0, f"{len(clips)} clips encoded")
    return known


def _held(clips: Sequence[LearntClip], share: float, seed: int) -> set[str]:
    """The objects that are held out."""
    things = sorted({clip.thing for clip in clips})
    if len(things) < 3:
        raise Uni4DError(
            "clips-few",
            f"The clips show {len(things)} different objects; three are needed, of which one is held out.",
            "Make more: uni4d train clips --help",
        )
    count = min(max(1, round(share * len(things))), len(things) - 2)
    return {things[place] for place in np.random.default_rng((seed, 5)).permutation(len(things))[:count]}


def _about(
    loaded: Loaded, clips: Sequence[ClipFile], config: AdapterTrainConfig, seed: int
) -> dict[str, str]:
    """What a saved state must agree on to be gone on from."""
    video = loaded.config
    size = f"{video.width} × {video.height}, {video.frames} frames at {video.fps:g} per second"
    digests = hashlib.sha256("".join(clip.digest for clip in clips).encode()).hexdigest()
    return {
        "seed": str(seed),
        "config": json.dumps(attrs.asdict(config), sort_keys=True),
        "model": loaded.family.name,
        "weights": video.weights,
        "clip": f"{size}, {video.precision}, {video.staging}",
        "clips": digests,
    }
