"""Clips of any size and rate, brought to those of a video model."""

from __future__ import annotations

import numpy as np
import pytest

from uni4d.config import CogVideoXConfig, DiffusionConfig, WanConfig
from uni4d.training.adapter_clips import fitted_frames
from uni4d.video.diffusers.families import FAMILIES
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Clip


def counted(frames: int, fps: float, size: int = 16) -> Clip:
    """A clip whose frame k has the grey k."""
    grey = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return Clip(np.broadcast_to(grey, (frames, size, size, 3)), fps, background=(1.0, 0.0, 0.0))


def greys(clip: Clip, config: DiffusionConfig, name: str) -> list[int]:
    frames = fitted_frames(clip, config, FAMILIES[name])
    return frames[:, config.height // 2, config.width // 2, 0].tolist()


def test_the_frames_are_those_of_the_models_rate() -> None:
    config = CogVideoXConfig(width=32, height=32, frames=17, fps=8.0)
    assert greys(counted(48, 16.0), config, "cogvideox") == list(range(0, 34, 2)), "every other one"
    assert greys(counted(40, 8.0), config, "cogvideox") == list(range(17)), "the first 17"


def test_a_short_clip_teaches_with_fewer_frames_and_invents_none() -> None:
    config = CogVideoXConfig(width=32, height=32, frames=49, fps=8.0)
    assert greys(counted(24, 12.0), config, "cogvideox") == [0, 2, 3, 5, 6, 8, 9, 11, 12]
    with pytest.raises(Uni4DError, match=r"lasts 0\.67 s") as caught:
        fitted_frames(counted(8, 12.0), config, FAMILIES["cogvideox"])
    assert caught.value.code == "clip-short"


def test_the_picture_fits_on_the_clips_background() -> None:
    config = WanConfig(width=64, height=32, frames=5, fps=12.0)
    frames = fitted_frames(counted(12, 12.0), config, FAMILIES["wan"])
    assert frames.shape == (5, 32, 64, 3)
    assert (frames[:, :, :16] == (255, 0, 0)).all() and (frames[:, :, 48:] == (255, 0, 0)).all()
    assert (frames[3, :, 16:48] == 3).all()
