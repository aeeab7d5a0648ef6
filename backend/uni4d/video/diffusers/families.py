"""What each video model accepts, from its model card and from the code of its pipeline.

=============  ==========  ===========================  ==================================  =============
model          frames      width, height                largest                             prompt tokens
=============  ==========  ===========================  ==================================  =============
cogvideox      8k + 1      multiples of 16              49 frames; its one size: 720 × 480  226
cogvideox15    16k + 1     multiples of 16              161 frames, 1360 × 768 pixels       226
wan            4k + 1      multiples of 32              121 frames, 1280 × 704 pixels       512
ltx            8k + 1      multiples of 32              257 frames, 1280 × 720 pixels       128
=============  ==========  ===========================  ==================================  =============

A pipeline rounds some of these in silence; here a setting that does not fit is an error with the nearest
ones that do.
"""

from __future__ import annotations

from attrs import frozen

from uni4d.config import DiffusionConfig
from uni4d_shared.errors import Uni4DError

__all__ = ["FAMILIES", "Family"]


@frozen
class Family:
    """One kind of model."""

    name: str
    title: str
    pipeline: str
    """The class of ``diffusers``."""
    frame_step: int
    """A clip has ``k · frame_step + 1`` frames."""
    max_frames: int
    size_step: int
    max_pixels: int
    """Of one frame, whichever way round."""
    prompt_tokens: int
    masked: bool = False
    """Whether the transformer is told which of the prompt's slots are padding."""
    free_vae: bool = False
    """Whether the autoencoder may have another precision than the rest; the other pipelines mix the two."""

    def check(self, config: DiffusionConfig) -> None:
        """Refuse a clip that this model does not make, naming the setting."""
        table = f"video.{self.name}"
        fits = self.frame_step < config.frames <= self.max_frames
        if config.frames % self.frame_step != 1 or not fits:
            below = min(config.frames - 1, self.max_frames - 1) // self.frame_step * self.frame_step + 1
            nearest = [n for n in (below, below + self.frame_step) if 1 < n <= self.max_frames]
            raise Uni4DError(
                "bad-setting",
                f"{table}.frames is {config.frames}; {self.title} makes {self.frame_step}k + 1 frames, "
                f"{self.max_frames} at most.",
                f"Set it to {' or '.join(map(str, nearest))}.",
            )
        for side in ("width", "height"):
            value = getattr(config, side)
            if value % self.size_step:
                raise Uni4DError(
                    "bad-setting",
                    f"{table}.{side} is {value}; {self.title} wants a multiple of {self.size_step}.",
                    f"Set it to {max(1, round(value / self.size_step)) * self.size_step}.",
                )
        if config.vae_precision != config.precision and not self.free_vae:
            raise Uni4DError(
                "bad-setting",
                f"{table}: {self.title} computes in one precision, not in {config.precision} and, in its "
                f"autoencoder, {config.vae_precision}.",
                "Set precision and vae_precision to the same.",
            )
        if config.width * config.height > self.max_pixels:
            raise Uni4DError(
                "bad-setting",
                f"{table}: {config.width} × {config.height} is more than {self.title} was trained for "
                f"({self.max_pixels} pixels).",
                "Make width or height smaller.",
            )


FAMILIES = {
    family.name: family
    for family in (
        Family("cogvideox", "CogVideoX-5B-I2V", "CogVideoXImageToVideoPipeline", 8, 49, 16, 720 * 480, 226),
        Family(
            *("cogvideox15", "CogVideoX1.5-5B-I2V", "CogVideoXImageToVideoPipeline"),
            *(16, 161, 16, 1_360 * 768, 226),
        ),
        Family(
            "wan", "Wan 2.2 TI2V-5B", "WanImageToVideoPipeline", 4, 121, 32, 1_280 * 704, 512, free_vae=True
        ),
        Family("ltx", "LTX-Video", "LTXImageToVideoPipeline", 8, 257, 32, 1_280 * 720, 128, masked=True),
    )
}
