"""Training states on disk, under the path of settings that led to them; the least recently used go first.

Several processes share a folder. A state is a function of its path, so that a file that is missing, or was
dropped by another process a moment ago, costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import attrs
from attrs import frozen

from uni4d.training.schedules.mdp import Setting
from uni4d.training.state import TrainState
from uni4d_shared.errors import Uni4DError

__all__ = ["Snapshots", "key_of"]

_ENDING = ".safetensors"


def key_of(path: Sequence[Setting]) -> str:
    """A short name for a path; the same in every process."""
    told = json.dumps([attrs.astuple(setting) for setting in path])
    return hashlib.sha256(told.encode()).hexdigest()[:24]


@frozen
class Snapshots:
    """The states of one run."""

    folder: Path
    about: dict[str, str]
    """What is trained: a state of another training is refused."""
    limit: int
    """States kept."""

    def keep(self, path: Sequence[Setting], state: TrainState) -> None:
        """Save the state at the end of ``path``; drop old ones."""
        file = self._file(path)
        if not file.exists():
            state.save(file, self.about)
            self._drop_old()

    def restore(self, path: Sequence[Setting], state: TrainState) -> int:
        """Put ``state`` back to the longest prefix of ``path`` that is kept; returns the prefix's length,
        -1 when none is."""
        for length in range(len(path), -1, -1):
            file = self._file(path[:length])
            try:
                os.utime(file)  # used just now
                state.load(file, self.about)
            except FileNotFoundError:
                continue
            except Uni4DError:
                if file.exists():
                    raise
                continue  # another process dropped it meanwhile
            return length
        return -1

    def _file(self, path: Sequence[Setting]) -> Path:
        return self.folder / f"{key_of(path)}{_ENDING}"

    def _drop_old(self) -> None:
        ages = []
        for file in self.folder.glob(f"*{_ENDING}"):
            try:
                ages.append((file.stat().st_mtime_ns, file))
            except FileNotFoundError:
                continue
        for _, file in sorted(ages, reverse=True)[self.limit :]:
            file.unlink(missing_ok=True)
