"""Weights → a pipeline that is ready on its device, or one error that says what is missing.

What can be known without loading is checked first, the cheapest thing first: the settings, the packages, the
device, the files. So no error waits for a download, nor for minutes of retries without a network.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from uni4d.config import DiffusionConfig
from uni4d.encoders.full.devices import PRECISIONS
from uni4d.encoders.full.hub import first_line, offline_reason, quick_hub
from uni4d.video.diffusers.families import FAMILIES, Family
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Progress, silent

__all__ = ["Loaded", "check", "load", "prepare"]

_PACKAGES = ("diffusers", "accelerate", "transformers", "sentencepiece", "google.protobuf", "ftfy")
_INDEX = "model_index.json"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@frozen(eq=False)
class Loaded:
    """A pipeline with what belongs to it."""

    family: Family
    config: DiffusionConfig
    pipeline: Any
    """Of the family's class in ``diffusers``; its weights are frozen."""
    device: torch.device
    """Where it computes."""


def load(name: str, config: DiffusionConfig, progress: Progress = silent) -> Loaded:
    """The pipeline of the model ``name`` with the weights of ``config``."""
    family = FAMILIES[name]
    progress(0.0, f"looking for the weights of {family.title}")
    device, local = check(name, config)
    progress(0.05, f"loading {family.title}")
    return prepare(family, config, _read(family, config, local), device)


def check(name: str, config: DiffusionConfig) -> tuple[torch.device, bool]:
    """The device, and whether the weights can be read without the network; an error for what is missing.
    Nothing is loaded."""
    family = FAMILIES[name]
    family.check(config)
    _check_packages()
    return _device(family, config), _find(family, config)


def prepare(family: Family, config: DiffusionConfig, pipeline: Any, device: torch.device) -> Loaded:
    """Freeze a pipeline, and give it the tiling, step cache and place that ``config`` asks for."""
    for module in _modules(pipeline):
        module.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    if config.vae_tiling:
        pipeline.vae.enable_tiling()
    if config.cache != "none":
        _cache_steps(family, config, pipeline)
    try:
        _offload(config.offload, pipeline, device)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(family) from error
    _check_size(family, config, pipeline)
    return Loaded(family, config, pipeline, device)


def out_of_memory(family: Family) -> Uni4DError:
    """The error for a device that is too small."""
    table = f"video.{family.name}"
    return Uni4DError(
        "gpu-memory",
        f"{family.title} does not fit into the device's memory as it is set.",
        f'Set {table}.offload to "group" or "sequential", vae_tiling to true, or make frames, width and '
        "height smaller.",
    )


def _modules(pipeline: Any) -> list[torch.nn.Module]:
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def _check_packages() -> None:
    missing = [name for name in _PACKAGES if not _installed(name)]
    if missing:
        raise Uni4DError(
            "import-failed",
            f"Video models need packages that are not installed: {', '.join(missing)}.",
            "Run: python3 build.py setup, or: pip install 'uni4d[video]'.",
        )


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package that a dotted name belongs to
        return False


def _device(family: Family, config: DiffusionConfig) -> torch.device:
    table = f"video.{family.name}"
    try:
        device = torch.device(config.device)
    except RuntimeError as error:
        raise Uni4DError(
            "bad-setting", f"{table}.device: there is no device {config.device!r}.", 'Use "cuda" or "cpu".'
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Uni4DError(
            "gpu-missing",
            f"{family.title} needs CUDA, and this PyTorch ({torch.__version__}) finds no such device.",
            "Install a CUDA build of PyTorch on a machine with an NVIDIA GPU, set animate.model to "
            f'"kinematic" or "remote", or accept hours per clip with {table}.device = "cpu".',
        )
    if device.type == "cpu" and "fp16" in (config.precision, config.vae_precision):
        raise Uni4DError(
            "bad-setting",
            f"{table}: half precision (fp16) is slow and inexact on a CPU.",
            f'Set {table}.precision and vae_precision to "bf16" or "fp32".',
        )
    if device.type == "cpu" and config.offload == "sequential":
        raise Uni4DError(
            "bad-setting",
            f"{table}.offload: sequential offloading moves layers to a GPU, and the device is the CPU.",
            f'Set {table}.offload to "none".',
        )
    return device


def _find(family: Family, config: DiffusionConfig) -> bool:
    """Whether the weights can be read without the network; an error when they cannot be had at all."""
    folder = Path(config.weights).expanduser()
    if (folder / _INDEX).is_file():
        return True
    is_repository = _REPOSITORY.fullmatch(config.weights) is not None
    cure = (
        "Connect this machine, or fetch them elsewhere (hf download "
        f"{config.weights if is_repository else 'OWNER/NAME'} --local-dir FOLDER) and set "
        f"video.{family.name}.weights to the folder."
    )
    if folder.is_dir() or not is_repository:
        raise Uni4DError(
            "weights-missing",
            f"video.{family.name}.weights: {config.weights} is neither a folder with a {_INDEX} nor a "
            "repository of the hub.",
            cure,
        )
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(config.weights, _INDEX), str):
        return False  # perhaps a part of it: diffusers looks what else it needs
    reason = offline_reason()
    if reason:
        raise Uni4DError(
            "weights-missing",
            f"The weights of {family.title} ({config.weights}) are not in the hub's cache, and {reason}.",
            cure,
        )
    return False


def _read(family: Family, config: DiffusionConfig, local: bool) -> Any:
    kind = getattr(importlib.import_module("diffusers"), family.pipeline)
    source = str(Path(config.weights).expanduser()) if local else config.weights
    precisions = {"vae": PRECISIONS[config.vae_precision], "default": PRECISIONS[config.precision]}
    with nullcontext("") if local else quick_hub() as offline:
        try:
            return kind.from_pretrained(
                source, dtype=precisions, use_safetensors=True, local_files_only=local or bool(offline)
            )
        except (
            Exception
        ) as error:  # diffusers, transformers, safetensors, the hub and torch have each their own
            if offline:
                raise Uni4DError(
                    "weights-missing",
                    f"{config.weights} is not whole in the hub's cache, and {offline}.",
                    "Connect this machine once, or copy the cache from another.",
                ) from error
            raise Uni4DError(
                "weights-unreadable",
                f"{source} does not load as {family.title}: {first_line(error)}.",
                "The files are damaged, not all there, or of another model: fetch them again, or correct "
                f"video.{family.name}.weights.",
            ) from error


def _cache_steps(family: Family, config: DiffusionConfig, pipeline: Any) -> None:
    if not hasattr(pipeline.transformer, "enable_cache"):
        raise Uni4DError(
            "bad-setting",
            f"The transformer of {config.weights} cannot reuse steps.",
            f'Set video.{family.name}.cache to "none".',
        )
    settings = importlib.import_module("diffusers").FirstBlockCacheConfig(threshold=config.cache_threshold)
    pipeline.transformer.enable_cache(settings)


def _offload(mode: str, pipeline: Any, device: torch.device) -> None:
    """What each mode means to ``diffusers``.

    On a CPU, ``model`` and ``group`` work and save nothing; accelerate's ``sequential`` fails on weights
    that two layers share, as T5's embeddings are.
    """
    if mode == "none":
        pipeline.to(device)
    elif mode == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif mode == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    else:
        pipeline.enable_group_offload(
            onload_device=device, offload_type="leaf_level", use_stream=device.type == "cuda"
        )


def _check_size(family: Family, config: DiffusionConfig, pipeline: Any) -> None:
    """A transformer that learnt its positions knows one size only."""
    known = pipeline.transformer.config
    if not known.get("use_learned_positional_embeddings", False):
        return
    scale = pipeline.vae_scale_factor_spatial
    width, height = known.sample_width * scale, known.sample_height * scale
    if (config.width, config.height) != (width, height):
        raise Uni4DError(
            "bad-setting",
            f"video.{family.name}: {config.width} × {config.height}, but {config.weights} makes {width} × "
            f"{height} only.",
            f"Set width to {width} and height to {height}.",
        )
