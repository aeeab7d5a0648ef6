"""Retrieval's model at work: trained weights beside a text encoder, from values to unit vectors.

    v = [ √(1 − w) a ; √w k ],    a = mean of the ATMS members' vectors, unit length;  k = the kernel map's

so that the cosine of two vectors is the weighted mean of ATMS's cosine and the kernel map's, w = 2/3. The
weights in ``atms.safetensors`` beside this module are those of the ``local`` profile; ``atms.md`` says what
they were made from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cattrs
import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from uni4d.encoders.protocols import TextEncoder
from uni4d.library.features import AssetFeatures
from uni4d.retrieval.atms import ATMS, AtmsConfig, Sequences
from uni4d.retrieval.atms_inputs import feature_sequences, picture_tokens, text_tokens
from uni4d.retrieval.kernel_map import KernelMap
from uni4d_shared.errors import Uni4DError

__all__ = [
    "WEIGHTS",
    "AtmsEncoder",
    "RetrievalWeights",
    "load_members",
    "load_weights",
    "reading_weights",
    "save_weights",
]

Array = NDArray[Any]

WEIGHTS = Path(__file__).with_name("atms.safetensors")
_FAMILY = "uni4d-atms-"
_FORMAT = _FAMILY + "2"
"""Members are the same in all of the family, the kernel map is not."""
_BATCH = 256
_KERNEL_SHARE = 2.0 / 3.0
"""w: the kernel map finds more than ATMS. From 1/2 to 2/3 recall@10 hardly moves and recall@1 grows."""


@frozen(eq=False)
class RetrievalWeights:
    """What training makes."""

    members: tuple[ATMS, ...]
    """Of one configuration, from different seeds: their mean is worth more than one larger model."""
    kernel: KernelMap | None
    """``None``: ATMS alone, for comparisons."""


class AtmsEncoder:
    """Texts, objects and pictures as unit vectors of one space."""

    def __init__(self, weights: RetrievalWeights, texts: TextEncoder) -> None:
        self._members = [member.eval() for member in weights.members]
        self._kernel = weights.kernel
        self._texts = texts
        width = self._members[0].config.dimensions
        self.dimensions = width + (0 if weights.kernel is None else weights.kernel.dimensions)

    @classmethod
    def load(cls, texts: TextEncoder, path: Path = WEIGHTS) -> AtmsEncoder:
        """The encoder of a weights file."""
        return cls(load_weights(path), texts)

    def embed_texts(self, texts: Sequence[str]) -> Array:
        """``[N, D]`` of object texts; case does not matter."""
        encoded = self._texts.encode([text.lower() for text in texts])
        learnt = self._embed(text_tokens(encoded))
        return learnt if self._kernel is None else _beside(learnt, self._kernel.texts(encoded.pooled))

    def embed_features(self, features: AssetFeatures) -> Array:
        """``[N, D]`` of assets, from shape, look and size."""
        inputs = self._members[0].config.inputs
        parts = []
        for start, stop in _spans(len(features)):
            some = features.rows(range(start, stop))
            learnt = self._embed(feature_sequences(some, inputs))
            parts.append(learnt if self._kernel is None else _beside(learnt, self._kernel.assets(some)))
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    def embed_pictures(self, views: Array) -> Array:
        """``[N, D]`` of pictures, each on its own, from image features ``[N, E]``."""
        learnt = self._embed({"views": picture_tokens(views[:, None])})
        if self._kernel is None:
            return learnt
        return _beside(learnt, self._kernel.objects(views[:, None]))

    @torch.inference_mode()
    def _embed(self, sequences: Sequences) -> Array:
        outputs: list[Tensor] = [member(sequences) for member in self._members]
        vectors: Array = functional.normalize(torch.stack(outputs).mean(dim=0), dim=1).numpy()
        return vectors


def _beside(learnt: Array, kernel: Array) -> Array:
    parts = [np.sqrt(1.0 - _KERNEL_SHARE) * learnt, np.sqrt(_KERNEL_SHARE) * kernel]
    joined: Array = np.concatenate(parts, axis=1).astype(np.float32)
    return joined


def _spans(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]


def save_weights(weights: RetrievalWeights, path: Path, about: Mapping[str, str]) -> None:
    """Write one file, members in half precision, with ``about`` (data, command, seeds)."""
    from safetensors.torch import save_file

    tensors = {
        f"{number}.{name}": value.detach().cpu().half().contiguous()
        for number, member in enumerate(weights.members)
        for name, value in member.state_dict().items()
    }
    if weights.kernel is not None:
        for name, values in weights.kernel.tensors().items():
            tensors[f"kernel.{name}"] = torch.from_numpy(np.ascontiguousarray(values))
    header = {**about, "format": _FORMAT, "config": json.dumps(weights.members[0].settings())}
    save_file(tensors, path, {**header, "members": str(len(weights.members))})


def load_weights(path: Path) -> RetrievalWeights:
    """What :func:`save_weights` wrote; ``Uni4DError("weights-unreadable")`` names the file."""
    with reading_weights(path):
        header, tensors = _contents(path)
        if header.get("format") != _FORMAT:
            raise ValueError(f"its format is {header.get('format', 'unknown')}, not {_FORMAT}")
        arrays = {name: value.numpy() for name, value in _under("kernel.", tensors).items()}
        kernel = _kernel(arrays) if arrays else None
        return RetrievalWeights(_members(header, tensors), kernel)


def load_members(path: Path) -> tuple[ATMS, ...]:
    """The members alone, also of a file whose kernel map is of another version; errors as
    :func:`load_weights`."""
    with reading_weights(path):
        return _members(*_contents(path))


def _contents(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header, and tensors in single precision."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
    if not header.get("format", "").startswith(_FAMILY):
        raise ValueError("it does not hold weights of ATMS")
    return header, {name: value.float() for name, value in load_file(path).items()}


def _kernel(arrays: dict[str, Array]) -> KernelMap:
    bandwidth = float(arrays.pop("bandwidth")[0])
    return KernelMap(**arrays, bandwidth=bandwidth)


def _members(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> tuple[ATMS, ...]:
    config = cattrs.structure(json.loads(header["config"]), AtmsConfig)
    members = []
    for number in range(int(header["members"])):
        member = ATMS(config)
        member.load_state_dict(_under(f"{number}.", tensors))
        members.append(member)
    if not members:
        raise ValueError("it holds no members")
    return tuple(members)


@contextmanager
def reading_weights(path: Path, command: str = "uni4d train atms") -> Iterator[None]:
    """What goes wrong with a file of weights, as ``Uni4DError("weights-unreadable")``.

    ``command`` makes such a file.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        SafetensorError,
        cattrs.BaseValidationError,
    ) as error:
        raise Uni4DError(
            "weights-unreadable",
            f"{path} cannot be used: {error}.",
            f"Install uni4d again, or train the model: {command} --help",
        ) from error


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
