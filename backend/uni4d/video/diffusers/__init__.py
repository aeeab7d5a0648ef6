"""Video models that run here through ``diffusers``: CogVideoX, Wan 2.2 and LTX-Video, image to video.

================  =================================================================================
``families``      what each model accepts: frames, sizes, the length of its prompt
``pipelines``     weights → a pipeline on its device: precision, offloading, tiling, step cache
``prompts``       a prompt as the text encoder's vectors, and tokens in its padding slots
``conditioning``  the trained adapter that turns the alignment's tokens into such vectors
``generate``      the stage: photograph and words → clip
``training``      the loss that trains the adapter, and nothing but it (:mod:`uni4d.training.adapter`)
================  =================================================================================

Importing this package does not import ``diffusers``; that needs the extra: ``pip install 'uni4d[video]'``.
"""

from uni4d.video.diffusers.conditioning import ConditioningAdapter, load_adapter, save_adapter
from uni4d.video.diffusers.generate import DiffusersVideo, generate
from uni4d.video.diffusers.pipelines import Loaded, load
from uni4d.video.diffusers.training import EncodedClip, adapter_loss, clip_loss, encode_clip

__all__ = [
    "ConditioningAdapter",
    "DiffusersVideo",
    "EncodedClip",
    "Loaded",
    "adapter_loss",
    "clip_loss",
    "encode_clip",
    "generate",
    "load",
    "load_adapter",
    "save_adapter",
]
