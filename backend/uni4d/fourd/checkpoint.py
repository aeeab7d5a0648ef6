"""What an interrupted fit leaves behind, so that the same call later goes on and ends with the same result.

A fit has *parts*: the refined splats, the nodes in each frame, the state of the descent. Each is a
safetensors file in one folder, written whole or not at all. Its header says of which fit it is (digests of
all inputs, settings and code, :mod:`uni4d.fourd.fingerprint`) and holds a digest of its tensors. Files of
another fit and damaged ones are told to the log, removed, and computed anew; when the fit is done, nothing is
left. Going on gives what an uninterrupted run would have given, bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from uni4d.fourd.fingerprint import digest

__all__ = ["Checkpoint", "Kept", "adam_tensors", "digest_of_tensors", "restore_adam"]

_FORMAT = "uni4d-fit-1"
_INTERVAL = 5.0
"""Seconds between two writings of a part that goes on changing."""
_log = logging.getLogger(__name__)

Value = TypeVar("Value")


class Optimiser(Protocol):
    """Adam, PyTorch's own or that of :mod:`uni4d.splatting.adam`."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    @property
    def state(self) -> MutableMapping[Tensor, Any]: ...


class Kept:
    """The tensors of one part as they were found. They may hold anything: each access checks what it takes
    and raises ``ValueError``."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def tensor(self, name: str, *shape: int | None) -> Tensor:
        """Finite float32 of a shape; ``None`` where any number will do."""
        return self._of(name, torch.float32, shape)

    def like(self, name: str, other: Tensor) -> Tensor:
        """A tensor for the place of ``other``."""
        return self._of(name, other.dtype, tuple(other.shape))

    def number(self, name: str, most: int) -> int:
        """A whole number from 0 to ``most``."""
        value = int(self._of(name, torch.int64, ()))
        if not 0 <= value <= most:
            raise ValueError(f"{name} is {value}, expected 0 to {most}")
        return value

    def indices(self, name: str, below: int, count: int | None = None) -> Tensor:
        """``[*]`` int64 from 0 to ``below`` − 1: so many of them, or all different."""
        values = self._of(name, torch.int64, (count,))
        if len(values) and (int(values.min()) < 0 or int(values.max()) >= below):
            raise ValueError(f"{name} holds more than the numbers below {below}")
        if count is None and len(set(values.tolist())) != len(values):
            raise ValueError(f"{name} holds a number twice")
        return values

    def generator(self, name: str) -> torch.Generator:
        """A generator in the state that was kept."""
        generator = torch.Generator()
        state = self._of(name, torch.uint8, tuple(generator.get_state().shape))
        try:
            return generator.set_state(state)
        except RuntimeError as error:
            raise ValueError(f"{name}: {error}") from error

    def adam(self, name: str, optimiser: Optimiser) -> dict[int, dict[str, Tensor]]:
        """What :func:`adam_tensors` made of ``optimiser``'s state, for :func:`restore_adam`."""
        state: dict[int, dict[str, Tensor]] = {}
        for number, parameter in enumerate(_parameters(optimiser)):
            if f"{name}.{number}.step" in self:
                state[number] = {
                    "step": self._of(f"{name}.{number}.step", torch.float32, ()),
                    "exp_avg": self.like(f"{name}.{number}.exp_avg", parameter),
                    "exp_avg_sq": self.like(f"{name}.{number}.exp_avg_sq", parameter),
                }
        return state

    def _of(self, name: str, dtype: torch.dtype, shape: tuple[int | None, ...]) -> Tensor:
        if name not in self._tensors:
            raise ValueError(f"{name} is missing")
        tensor = self._tensors[name]
        fits = tensor.ndim == len(shape) and all(
            want is None or want == have for want, have in zip(shape, tensor.shape, strict=True)
        )
        if tensor.dtype != dtype or not fits:
            raise ValueError(f"{name} is {tensor.dtype} {list(tensor.shape)}, expected {dtype} {list(shape)}")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name} holds numbers that are not finite")
        return tensor.clone()


class Checkpoint:
    """The parts of one unfinished fit, in a folder."""

    def __init__(self, folder: Path | None = None, interval: float = _INTERVAL) -> None:
        """Without a ``folder`` nothing is kept. ``interval``: seconds between two writings."""
        self._folder, self._interval = folder, interval
        self._about: dict[str, str] = {}
        self._written = self._started = time.monotonic()
        self._earlier = 0.0

    @property
    def seconds(self) -> float:
        """How long the fit has been computed, in this run and in those that were interrupted."""
        return self._earlier + time.monotonic() - self._started

    def begin(self, about: Callable[[], Mapping[str, str]]) -> None:
        """Start, or go on with, the fit that ``about()`` identifies: name of an input → its digest."""
        self._written = self._started = time.monotonic()
        if self._folder is None:
            return
        self._about = dict(about())
        for path in self._folder.glob(".*.partial"):  # of a process that was killed while it wrote
            path.unlink(missing_ok=True)
        changed = {name for path in self._files() for name in self._differing(path)}
        if changed:
            _log.warning(
                "%s holds an unfinished fit with other %s; this one starts anew",
                self._folder,
                ", ".join(sorted(changed)),
            )

    def recall(self, part: str, read: Callable[[Kept], Value]) -> Value | None:
        """What ``read`` makes of a part; ``None`` where there is none, or it raises ``ValueError``."""
        path = self._path(part)
        if path is None or not path.is_file():
            return None
        try:
            value = read(Kept(_tensors_of(path)))
        except (OSError, ValueError, SafetensorError) as error:
            self._discard(path, error)
            return None
        _log.info("going on from %s", path)
        return value

    def keep(self, part: str, tensors: Callable[[], Mapping[str, Tensor]], *, done: bool = False) -> None:
        """Write a part if it is ``done`` or the last writing was a while ago."""
        path = self._path(part)
        if path is None or not (done or time.monotonic() - self._written >= self._interval):
            return
        values = {name: value.detach().contiguous().clone() for name, value in tensors().items()}
        header = {
            "format": _FORMAT,
            "about": json.dumps(self._about),
            "seconds": repr(self.seconds),
            "digest": digest_of_tensors(values),
        }
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(values, partial, header)
            partial.replace(path)
        except (OSError, SafetensorError) as error:
            # The result does not depend on it: a fit is not thrown away because its safety net is missing.
            _log.warning("%s cannot be written (%s); if interrupted, the fit will start anew", path, error)
            self._folder = None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        self._written = time.monotonic()

    def clear(self) -> None:
        """The fit is done: nothing is left of it."""
        for path in self._files():
            path.unlink(missing_ok=True)
        if self._folder is not None:
            with contextlib.suppress(OSError):  # it was not there, or holds files of others
                self._folder.rmdir()

    def _differing(self, path: Path) -> list[str]:
        """The inputs of a file that are not this fit's; such a file is removed, as is a damaged one."""
        try:
            with safe_open(path, "pt") as file:
                header = file.metadata() or {}
            if header.get("format") != _FORMAT:
                raise ValueError("not a file of this version")
            about, seconds = dict(json.loads(header["about"])), float(header["seconds"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            self._discard(path, error)
            return []
        names = sorted(about.keys() | self._about.keys())
        changed = [name for name in names if about.get(name) != self._about.get(name)]
        if changed:
            path.unlink(missing_ok=True)
        else:
            self._earlier = max(self._earlier, seconds)
        return changed

    def _discard(self, path: Path, error: Exception) -> None:
        _log.warning("%s is damaged (%s); it is ignored and computed anew", path, error)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def _path(self, part: str) -> Path | None:
        return None if self._folder is None else self._folder / f"{part}.safetensors"

    def _files(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob("*.safetensors"))


def adam_tensors(name: str, optimiser: Optimiser) -> dict[str, Tensor]:
    """The moments and step counts of Adam, under ``name``."""
    return {
        f"{name}.{number}.{key}": value
        for number, parameter in enumerate(_parameters(optimiser))
        for key, value in optimiser.state.get(parameter, {}).items()
    }


def restore_adam(optimiser: Optimiser, state: Mapping[int, dict[str, Tensor]]) -> None:
    """Put back what :meth:`Kept.adam` found."""
    for number, parameter in enumerate(_parameters(optimiser)):
        if number in state:
            optimiser.state[parameter] = dict(state[number])


def _parameters(optimiser: Optimiser) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _tensors_of(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is not a dict)
    if header.get("digest") != digest_of_tensors(tensors):
        raise ValueError("its tensors are not those that were written")
    return tensors


def digest_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Over names, types, shapes and values."""
    return digest([(name, tensors[name].numpy()) for name in sorted(tensors)])
