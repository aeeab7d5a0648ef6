"""The folder of one run without a window: results of stages, kept with what they were made from.

``stages/NAME.u4d`` is a stage's result and ``stages/NAME.json`` the key of its inputs; a later run with
the same key takes the result instead of computing it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from uni4d_shared.codec import read_file, write_file

__all__ = ["RunFolder"]

Result = TypeVar("Result")


class RunFolder:
    """A :class:`~.run.Store` on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recalled: set[str] = set()
        """Stages that were not computed in this run."""
        (path / "stages").mkdir(parents=True, exist_ok=True)

    def recall(self, stage: str, key: str, cls: type[Result]) -> Result | None:
        """The kept result, if it was made from the same inputs; a damaged file is an error that names it."""
        file = self._file(stage)
        if self.key(stage) != key or not file.is_file():
            return None
        self.recalled.add(stage)
        return read_file(file, cls)

    def keep(self, stage: str, key: str, value: object) -> None:
        """Write a result, then its key: a run that is interrupted in between leaves no false claim."""
        self.set_key(stage, "")
        write_file(self._file(stage), value)
        self.set_key(stage, key)

    def key(self, stage: str) -> str:
        """The key of what is kept for a stage; empty when nothing is."""
        note = self._note(stage)
        return str(json.loads(note.read_text()).get("key", "")) if note.is_file() else ""

    def set_key(self, stage: str, key: str) -> None:
        self._note(stage).write_text(json.dumps({"key": key}))

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the folder; empty when it is not there."""
        file = self.path / name
        return dict(json.loads(file.read_text())) if file.is_file() else {}

    def _file(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage}.u4d"

    def _note(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage}.json"
