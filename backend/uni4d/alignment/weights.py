"""Trained CrOSSMA weights as a file: one safetensors file with its configuration and its scale of scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import cattrs
import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from uni4d.alignment.crossma import Crossma, CrossmaConfig
from uni4d.retrieval.encoder import reading_weights

__all__ = ["WEIGHTS", "CrossmaWeights", "load_crossma", "save_crossma", "weights_hash"]

Array = NDArray[Any]

WEIGHTS = Path(__file__).with_name("crossma.safetensors")
_FORMAT = "uni4d-crossma-1"
_QUANTILES = 101


@frozen(eq=False)
class CrossmaWeights:
    """What training makes."""

    model: Crossma
    mismatched: Array
    """``[101]`` ascending: L_align with all λ = 1 of texts with objects that they do not say, at the
    quantiles 0, 0.01, … 1. A pair's percentile among them says what its score means."""


def save_crossma(weights: CrossmaWeights, path: Path, about: Mapping[str, str]) -> None:
    """Write one file, in half precision, with ``about`` (data, command, seed)."""
    import torch
    from safetensors.torch import save_file

    tensors = {
        f"model.{name}": value.detach().cpu().half().contiguous()
        for name, value in weights.model.state_dict().items()
    }
    tensors["mismatched"] = torch.from_numpy(weights.mismatched.astype(np.float32))
    header = {**about, "format": _FORMAT, "config": json.dumps(attrs.asdict(weights.model.config))}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path, header)


def load_crossma(path: Path = WEIGHTS) -> CrossmaWeights:
    """What :func:`save_crossma` wrote; ``Uni4DError("weights-unreadable")`` names the file."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with reading_weights(path, "uni4d train crossma"):
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ValueError("it does not hold weights of CrOSSMA")
        model = Crossma(cattrs.structure(json.loads(header["config"]), CrossmaConfig))
        tensors = {name: value.float() for name, value in load_file(path).items()}
        mismatched = tensors.pop("mismatched").numpy()
        if mismatched.shape != (_QUANTILES,) or not np.all(np.diff(mismatched) >= 0.0):
            raise ValueError("its scale of scores is not one")
        model.load_state_dict({name.removeprefix("model."): value for name, value in tensors.items()})
        return CrossmaWeights(model.eval(), mismatched)


def weights_hash(path: Path = WEIGHTS) -> str:
    """What the weights are known by to what learns from their tokens."""
    with reading_weights(path, "uni4d train crossma"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
