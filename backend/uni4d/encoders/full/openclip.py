"""OpenCLIP (Ilharco et al. 2021) as frozen text and image encoders: any architecture, any weights.

A text's tokens are its word pieces after the last norm, put through the text projection: at the end-of-text
piece that is the text's own vector. A picture's tokens are its patches, put through whatever makes the
picture's vector (:mod:`uni4d.encoders.full.openclip_towers`). So both lie in the space of the pooled vectors.

``OpenClipText`` and ``OpenClipImages`` of one configuration share one model.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import field, frozen, validators
from numpy.typing import NDArray

from uni4d.encoders.full.devices import PRECISIONS, place
from uni4d.encoders.full.extra import import_extra
from uni4d.encoders.full.hub import first_line, quick_hub
from uni4d.encoders.full.openclip_towers import image_features, text_features
from uni4d.encoders.protocols import Encoded
from uni4d_shared.errors import Uni4DError

__all__ = ["OpenClipConfig", "OpenClipImages", "OpenClipText"]

_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
_FOLDER, _HUB = "local-dir:", "hf-hub:"


@frozen
class OpenClipConfig:
    """Which OpenCLIP, and where it runs."""

    model: str = "EVA02-E-14-plus"
    """An architecture of ``open_clip.list_models()``; or, with its weights, ``local-dir:FOLDER`` (a folder
    with ``open_clip_config.json``) or ``hf-hub:OWNER/NAME``."""
    weights: str = "laion2b_s9b_b144k"
    """A tag of ``open_clip.list_pretrained()``, or a file (``.pt``, ``.pth``, ``.bin``, ``.safetensors``);
    not used with ``local-dir:`` and ``hf-hub:``."""
    device: str = "cuda"
    precision: str = field(default="bf16", validator=validators.in_(PRECISIONS))
    """``fp32``, ``bf16`` or (on CUDA) ``fp16``."""
    batch: int = field(default=64, validator=[validators.ge(1), validators.le(4_096)])
    """Texts or pictures at once."""

    @property
    def folder(self) -> Path | None:
        """The folder of ``local-dir:``."""
        return Path(self.model.removeprefix(_FOLDER)).expanduser() if self.model.startswith(_FOLDER) else None

    @property
    def source(self) -> str:
        """The model and its weights in one word."""
        if self.folder:
            return f"{_FOLDER}{self.folder}"
        return self.model if self.model.startswith(_HUB) else f"{self.model}/{self.weights}"


class OpenClipText:
    """The text encoder of the ``gpu`` profile."""

    def __init__(self, config: OpenClipConfig) -> None:
        self._loaded = _shared(config)
        self._batch = config.batch
        self.name = f"openclip-text:{config.source}"
        self.dimensions = self._loaded.dimensions

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Encoded:
        """Texts to tokens ``[B, L, D]`` and unit vectors ``[B, D]``; L is the longest text's length."""
        loaded, parts = self._loaded, []
        for start in range(0, len(texts), self._batch):
            pieces = loaded.tokenizer(list(texts[start : start + self._batch])).to(loaded.device)
            parts.append(tuple(value.cpu() for value in text_features(loaded.model, pieces)))
        if not parts:
            return _nothing(self.dimensions)
        pooled, tokens, mask = (torch.cat(values) for values in zip(*parts, strict=True))
        longest = int(mask.sum(dim=1).amax())
        tokens, mask = tokens[:, :longest] * mask[:, :longest, None], mask[:, :longest]
        return Encoded(pooled.numpy(), tokens.numpy(), mask.numpy())


class OpenClipImages:
    """The image encoder of the ``gpu`` profile."""

    def __init__(self, config: OpenClipConfig) -> None:
        self._loaded = _shared(config)
        self._batch = config.batch
        self.name = f"openclip-images:{config.source}"
        self.dimensions = self._loaded.dimensions

    @torch.inference_mode()
    def encode(self, images: NDArray[Any]) -> Encoded:
        """Pictures ``[B, H, W, 3 or 4]`` uint8 to tokens ``[B, patches, D]`` and unit vectors ``[B, D]``.

        A picture with alpha is laid on white; size and colours are then prepared as the model's own
        configuration says.
        """
        loaded, parts = self._loaded, []
        for start in range(0, len(images), self._batch):
            prepared = [loaded.prepare(_on_white(image)) for image in images[start : start + self._batch]]
            pixels = torch.stack(prepared).to(loaded.device, loaded.kind)
            parts.append(tuple(value.cpu() for value in image_features(loaded.model.visual, pixels)))
        if not parts:
            return _nothing(self.dimensions)
        pooled, tokens = (torch.cat(values) for values in zip(*parts, strict=True))
        return Encoded(pooled.numpy(), tokens.numpy(), np.ones(tokens.shape[:2], dtype=bool))


def _nothing(dimensions: int) -> Encoded:
    empty = np.zeros((0, 1, dimensions), np.float32)
    return Encoded(empty[:, 0], empty, np.zeros((0, 1), dtype=bool))


def _on_white(image: NDArray[Any]) -> Any:
    """A picture ``[H, W, 3 or 4]`` uint8 as Pillow's, without transparency."""
    from PIL import Image

    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"a picture is [H, W, 3 or 4] uint8, not {pixels.shape} {pixels.dtype}")
    if pixels.shape[2] == 4:
        alpha = pixels[..., 3:].astype(np.float32) / 255.0
        pixels = np.rint(pixels[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return Image.fromarray(pixels)


@frozen(eq=False)
class _Loaded:
    """A model with what belongs to it."""

    model: Any
    tokenizer: Any
    prepare: Any
    device: torch.device
    kind: torch.dtype
    dimensions: int


_MODELS: weakref.WeakValueDictionary[tuple[str, str, str], _Loaded] = weakref.WeakValueDictionary()


def _shared(config: OpenClipConfig) -> _Loaded:
    key = (config.source, config.device, config.precision)
    loaded = _MODELS.get(key)
    if loaded is None:
        loaded = _MODELS[key] = _load(config)
    return loaded


def _load(config: OpenClipConfig) -> _Loaded:
    device, kind = place(config.device, config.precision)
    open_clip = import_extra("open_clip")
    _check_source(open_clip, config)
    name = config.source if config.folder else config.model
    with quick_hub() if _needs_hub(open_clip, config) else nullcontext("") as offline:
        options = _fetch(open_clip, config, offline)
        try:
            model = open_clip.create_model(
                name,
                **options,
                precision=config.precision,
                device=device,
                require_pretrained=True,
                weights_only=True,
            )
            tokenizer = open_clip.get_tokenizer(name)
        except Exception as error:  # open_clip, torch, safetensors and transformers have each their own
            raise _failed(config, offline, error) from error
    model.eval().requires_grad_(False)
    preparation = open_clip.transform.PreprocessCfg(**model.visual.preprocess_cfg)
    prepare = open_clip.transform.image_transform_v2(preparation, is_train=False)
    with torch.inference_mode():
        dimensions = model.encode_text(tokenizer([""]).to(device)).shape[-1]
    return _Loaded(model, tokenizer, prepare, device, kind, int(dimensions))


def _check_source(open_clip: Any, config: OpenClipConfig) -> None:
    """Refuse at once what cannot be: an unknown architecture or tag, a missing file or folder."""
    folder = config.folder
    if folder:
        if not (folder / "open_clip_config.json").is_file():
            raise Uni4DError(
                "weights-missing",
                f"{folder} is no folder with an open_clip_config.json.",
                "Name a folder that open_clip saved for the hub, or a copy of a hub repository.",
            )
        if not any(path.suffix in {".safetensors", ".bin", ".pth"} for path in folder.iterdir()):
            raise Uni4DError(
                "weights-missing",
                f"{folder} holds no weights.",
                "Put open_clip_model.safetensors beside its open_clip_config.json.",
            )
    elif not config.model.startswith(_HUB):
        if config.model not in open_clip.list_models():
            raise Uni4DError(
                "bad-setting",
                f"OpenCLIP has no architecture {config.model!r}.",
                'Choose from: python -c "import open_clip; print(open_clip.list_models())".',
            )
        _check_weights(open_clip, config)


def _check_weights(open_clip: Any, config: OpenClipConfig) -> None:
    if open_clip.is_pretrained_cfg(config.model, config.weights):
        return
    path = Path(config.weights).expanduser()
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(config.model)) or "none"
    cure = f"Give a file, or one of the tags of {config.model}: {tags}."
    if not path.is_file():
        raise Uni4DError(
            "weights-missing", f"{config.weights!r} is neither a file nor a tag of {config.model}.", cure
        )
    if path.suffix not in _SUFFIXES:
        raise Uni4DError("weights-unreadable", f"{path} is none of {', '.join(_SUFFIXES)}.", cure)


def _needs_hub(open_clip: Any, config: OpenClipConfig) -> bool:
    """Whether something may have to come from the hub: weights, a tokenizer, a text tower's settings."""
    if config.model.startswith(_HUB):
        return True
    if config.folder:
        path = config.folder / "open_clip_config.json"
        try:
            text = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]["text_cfg"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Uni4DError(
                "weights-unreadable",
                f"{path} is no configuration of OpenCLIP: {first_line(error)}.",
                "Fetch the folder again.",
            ) from error
        return "hf_model_name" in text
    text = open_clip.get_model_config(config.model)["text_cfg"]
    tagged = open_clip.is_pretrained_cfg(config.model, config.weights)
    return tagged or "hf_tokenizer_name" in text or "hf_model_name" in text


def _fetch(open_clip: Any, config: OpenClipConfig, offline: str) -> dict[str, Any]:
    """Have the weights on disk before a large model is built for them; options for ``create_model``."""
    try:
        if config.folder:
            return {}
        if config.model.startswith(_HUB):
            open_clip.pretrained.download_pretrained_from_hf(config.model.removeprefix(_HUB))
            return {}
        tag = open_clip.get_pretrained_cfg(config.model, config.weights)
        if not tag:
            return {"pretrained": str(Path(config.weights).expanduser())}
        open_clip.download_pretrained(tag)
        # A tag that was trained with QuickGELU needs it, whatever the architecture's default.
        return {"pretrained": config.weights, "force_quick_gelu": bool(tag.get("quick_gelu"))}
    except Exception as error:  # the hub's client has its own, its HTTP library's and the system's
        reason = offline or first_line(error)
        raise Uni4DError(
            "weights-missing",
            f"The weights of {config.source} are not in the hub's cache, and cannot be fetched: {reason}.",
            "Connect this machine, or fetch them elsewhere and set the encoder's weights to the file's path "
            "(or its model to local-dir:FOLDER).",
        ) from error


def _failed(config: OpenClipConfig, offline: str, error: Exception) -> Uni4DError:
    causes: list[BaseException] = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    if offline and any(isinstance(cause, OSError) for cause in causes):  # the hub's own are OSErrors
        return Uni4DError(
            "weights-missing",
            f"{config.source} needs files that are not in the hub's cache, and {offline}.",
            "Connect this machine once, or copy the cache from another.",
        )
    return Uni4DError(
        "weights-unreadable",
        f"The weights of {config.source} do not load: {first_line(error)}.",
        "The file is damaged, or of another architecture: fetch it again, or correct the encoder's model.",
    )
