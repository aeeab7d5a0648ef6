"""Everything that decides how training goes on, as one value that can be saved, copied and put back.

Restoring a state and training K steps gives bit-identical weights on a CPU, whether the state came from
memory (:meth:`TrainState.snapshot`, used by schedule search) or from disk (:meth:`TrainState.save`).
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import torch
from attrs import define, frozen
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from uni4d_shared.errors import Uni4DError

__all__ = ["Snapshot", "TrainState", "require_same_training"]

_FORMAT = "uni4d-train-state-1"


@frozen(eq=False)
class Snapshot:
    """A copy of a training state in memory; never changes when training goes on."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    random: dict[str, Tensor]
    step: int
    learning_rate: float
    temperature: float


@define(eq=False)
class TrainState:
    """A model in training."""

    model: nn.Module
    """Weights and buffers, a learnable ``log_temperature`` among them where there is one."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    """Loss scaling for float16; switched off otherwise."""
    step: int = 0
    """Optimiser steps taken; with the seed it is also the sampler's position."""
    learning_rate: float = 1e-3
    """The rate that the next step is taken with, unless a schedule sets another."""
    temperature: float = 0.07
    """τ of the contrastive loss, unless the model learns it."""

    def snapshot(self) -> Snapshot:
        """A deep copy on the CPU."""
        return Snapshot(
            {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()},
            _on_cpu(self.optimizer.state_dict()),
            copy.deepcopy(self.scaler.state_dict()),
            _random_state(),
            self.step,
            self.learning_rate,
            self.temperature,
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to ``snapshot``, which stays usable."""
        self.model.load_state_dict(snapshot.weights)
        # The optimiser keeps the tensors it is given: hand it copies.
        self.optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
        if snapshot.scaler:
            self.scaler.load_state_dict(snapshot.scaler)
        _set_random_state(snapshot.random)
        self.step = snapshot.step
        self.learning_rate = snapshot.learning_rate
        self.temperature = snapshot.temperature

    def save(self, path: Path, about: dict[str, str]) -> None:
        """Write one safetensors file, whole or not at all. ``about`` says what is being trained."""
        snapshot = self.snapshot()
        tensors = {f"model.{name}": value for name, value in snapshot.weights.items()}
        tensors |= {f"random.{name}": value for name, value in snapshot.random.items()}
        plain = _take_tensors(snapshot.optimizer, "optimizer", tensors)
        header = {
            "format": _FORMAT,
            "optimizer": json.dumps(plain),
            "scaler": json.dumps(snapshot.scaler),
            "progress": json.dumps([snapshot.step, snapshot.learning_rate, snapshot.temperature]),
            "about": json.dumps(about),
        }
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: value.contiguous() for name, value in tensors.items()}, partial, header)
            partial.replace(path)
        except OSError as error:
            raise Uni4DError(
                "checkpoint-unwritable",
                f"{path} cannot be written: {error}.",
                "Free space, or train elsewhere.",
            ) from error
        finally:
            if partial.exists():
                partial.unlink()

    def load(self, path: Path, about: dict[str, str]) -> None:
        """Go on from a file of :meth:`save`; refused when it belongs to another training (``about``)."""
        from safetensors import safe_open

        cure = f"Delete {path} to start again, or train into another folder."
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
            tensors = load_file(path)
            if header.get("format") != _FORMAT:
                raise ValueError("it is not a training state of this version")
            known = json.loads(header["about"])
            plain = json.loads(header["optimizer"])
            step, learning_rate, temperature = json.loads(header["progress"])
            scaler = json.loads(header["scaler"])
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise Uni4DError("checkpoint-unreadable", f"{path} cannot be read: {error}.", cure) from error
        require_same_training(path, known, about, cure)
        parts = _parts(tensors)
        self.restore(
            Snapshot(
                parts["model"],
                _put_tensors(plain, tensors),
                scaler,
                parts["random"],
                int(step),
                float(learning_rate),
                float(temperature),
            )
        )


def require_same_training(path: Path, known: dict[str, str], about: dict[str, str], cure: str) -> None:
    """Refuse a file of another training: ``Uni4DError("checkpoint-differs")`` names what differs."""
    changed = sorted(key for key in known.keys() | about.keys() if known.get(key) != about.get(key))
    if changed:
        raise Uni4DError(
            "checkpoint-differs",
            f"{path} comes from another training: {', '.join(changed)} differ.",
            cure,
        )


def _random_state() -> dict[str, Tensor]:
    """The generators that dropout and augmentation draw from."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {f"cuda{index}": value for index, value in enumerate(torch.cuda.get_rng_state_all())}
    return state


def _set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available():
        devices = [state[name] for name in sorted(state) if name.startswith("cuda")]
        if len(devices) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(devices)


def _on_cpu(value: Any) -> Any:
    """A deep copy of nested dicts and lists with every tensor on the CPU."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_cpu(item) for item in value)
    return copy.deepcopy(value)


def _take_tensors(value: Any, place: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON-able data; its tensors go to ``tensors`` under their place.

    Keys of dicts become ``[key, value]`` pairs, for an optimiser's are integers, which JSON does not have.
    """
    if isinstance(value, Tensor):
        tensors[place] = value
        return {"tensor": place}
    if isinstance(value, dict):
        return {
            "pairs": [[key, _take_tensors(item, f"{place}.{key}", tensors)] for key, item in value.items()]
        }
    if isinstance(value, list | tuple):
        return [_take_tensors(item, f"{place}.{index}", tensors) for index, item in enumerate(value)]
    return value


def _put_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`_take_tensors`; a tuple comes back as a list."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _put_tensors(item, tensors) for key, item in value["pairs"]}
    if isinstance(value, list):
        return [_put_tensors(item, tensors) for item in value]
    return value


def _parts(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "random": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part in parts:
            parts[part][rest] = value
    return parts
