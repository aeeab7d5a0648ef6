"""The trained adapter: CrOSSMA's tokens → vectors for the padding slots of a video model's prompt.

    slot_k = tanh(g) · (W · norm(token_k) + b)        g = 0 before training

After Flamingo's gate (Alayrac et al. 2022): with g = 0 the slots are zero, and the pipeline makes exactly the
clip that it makes without an adapter. Training opens the gate as far as that helps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from uni4d.video.diffusers.families import FAMILIES
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Array

__all__ = ["MAX_TOKENS", "ConditioningAdapter", "check_tokens", "load_adapter", "save_adapter"]

MAX_TOKENS = 64
"""Beyond, the slots would crowd out the prompt."""
_MAX_WIDTH = 16_384
_FORMAT = "uni4d-video-adapter-1"
_TENSORS = ("gate", "norm.weight", "norm.bias", "projection.weight", "projection.bias")


class ConditioningAdapter(nn.Module):
    """Tokens ``[B, K, D]`` to slots ``[B, K, W]`` of one video model."""

    def __init__(self, family: str, token_width: int, text_width: int) -> None:
        super().__init__()
        self.family = family
        self.token_width, self.text_width = token_width, text_width
        self.norm = nn.LayerNorm(token_width)
        self.projection = nn.Linear(token_width, text_width)
        self.gate = nn.Parameter(torch.zeros(()))

    @property
    def opened(self) -> bool:
        """Whether the gate lets anything through."""
        return bool(self.gate.detach() != 0)

    def forward(self, tokens: Tensor) -> Tensor:
        return torch.tanh(self.gate) * self.projection(self.norm(tokens))


def check_tokens(tokens: Array | Tensor, token_width: int) -> Tensor:
    """``[K, D]`` tokens as a batch of one, float32; an error when they are not an adapter's tokens."""
    values = torch.as_tensor(tokens).detach().to(torch.float32)
    fits = values.ndim == 2 and 1 <= len(values) <= MAX_TOKENS and values.shape[1] == token_width
    if not fits or not bool(torch.isfinite(values).all()):
        raise Uni4DError(
            "conditioning-invalid",
            f"The alignment's tokens are {list(values.shape)}; the video model's adapter takes [1 to "
            f"{MAX_TOKENS}, {token_width}] finite numbers.",
            "Align again with the model that the adapter was trained with, or leave the adapter out.",
        )
    return values[None]


def save_adapter(
    adapter: ConditioningAdapter, path: Path, about: Mapping[str, str] | None = None, *, alignment: str = ""
) -> None:
    """One .safetensors file; an older one is replaced only when the new one is whole.

    ``alignment``: the hash of the alignment's weights that made the tokens, when it is known. ``about``: what
    else is worth knowing (data, seed).
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().to("cpu", torch.float32) for name, value in adapter.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    header = {**(about or {}), "format": _FORMAT, "family": adapter.family}
    header |= {"token_width": str(adapter.token_width), "text_width": str(adapter.text_width)}
    if alignment:
        header["alignment"] = alignment
    save_file(tensors, unfinished, metadata=header)
    os.replace(unfinished, path)  # noqa: PTH105


def load_adapter(path: Path, family: str, *, alignment: str = "") -> ConditioningAdapter:
    """The adapter of a file, for the model ``family``; how wide that model's text encoder has to be is its
    ``text_width``.

    ``alignment``: the hash of the weights whose tokens it shall read. An adapter that is known to have learnt
    from others is refused: to it these tokens would be noise.
    """
    from safetensors import SafetensorError, safe_open

    path = path.expanduser()
    if not path.is_file():
        raise Uni4DError(
            "weights-missing",
            f"video.{family}.adapter: {path} is no file.",
            f"Train one: uni4d train adapter --video-model {family}; or leave the setting out.",
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            _check(metadata, shapes, family)
            tensors = {name: file.get_tensor(name) for name in _TENSORS}
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, f"is no .safetensors file: {error}") from error
    except ValueError as error:
        raise _unreadable(path, str(error)) from error
    if not all(
        value.dtype == torch.float32 and bool(torch.isfinite(value).all()) for value in tensors.values()
    ):
        raise _unreadable(path, "holds numbers that are not finite float32")
    if alignment and metadata.get("alignment", alignment) != alignment:
        raise Uni4DError(
            "adapter-outdated",
            f"The video model's adapter {path} learnt from tokens of other weights of the alignment.",
            "Make clips anew (uni4d train clips), train it again, or name another file.",
        )
    adapter = ConditioningAdapter(family, shapes["norm.weight"][0], shapes["projection.bias"][0])
    adapter.load_state_dict(tensors)
    return adapter.eval().requires_grad_(False)


def _check(metadata: dict[str, str], shapes: dict[str, tuple[int, ...]], family: str) -> None:
    """Everything that the header tells, before any tensor is read."""
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"is not of the format {_FORMAT}")
    made_for = metadata.get("family", "")
    if made_for != family:
        known = made_for if made_for in FAMILIES else "another model"
        raise ValueError(f"was trained for {known}, not for {family}")
    if set(shapes) != set(_TENSORS):
        raise ValueError(f"holds {', '.join(sorted(shapes))}, not {', '.join(_TENSORS)}")
    width, text_width = _length(shapes, "norm.weight"), _length(shapes, "projection.bias")
    wanted = {
        "gate": (),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "projection.weight": (text_width, width),
        "projection.bias": (text_width,),
    }
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise ValueError(f"has {name} of shape {list(shapes[name])}, not {list(shape)}")


def _length(shapes: dict[str, tuple[int, ...]], name: str) -> int:
    shape = shapes[name]
    if len(shape) != 1 or not 1 <= shape[0] <= _MAX_WIDTH:
        raise ValueError(f"has {name} of shape {list(shape)}")
    return shape[0]


def _unreadable(path: Path, reason: str) -> Uni4DError:
    return Uni4DError(
        "weights-unreadable",
        f"The video model's adapter {path} {reason}.",
        "Train it again, or name another file.",
    )
