"""Many prompts in one Blender: a JSON list of items, one run and one folder each.

An item is a prompt or an object with ``prompt`` and, where it wants more than the options say, ``name`` (of
its folder), ``uid``, ``seed``, ``model`` and ``program``: a motion program to play instead of what the
prompt says, either in place or the path of a JSON file (beside the list).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from uni4d_shared.errors import Uni4DError

from .generation import Settings

__all__ = ["Item", "read_list", "read_program"]

_FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("prompt", "name", "uid", "model"), (str,)),
    "seed": (int,),
    "program": (dict, str),
}
_CURE = "An item is a prompt, or an object with some of: " + ", ".join(_FIELDS) + "."


@frozen
class Item:
    """One run of a list."""

    prompt: str
    name: str
    """Of its folder."""
    changes: dict[str, Any]
    """Fields of :class:`.generation.Settings` that are its own."""

    def settings(self, common: Settings) -> Settings:
        """``common`` with what is the item's own."""
        return evolve(common, **self.changes)


def read_list(path: Path) -> tuple[Item, ...]:
    """The items of a file; an error names the item and the field that is wrong."""
    values = _json(path)
    if not isinstance(values, list) or not values:
        raise Uni4DError("list-invalid", f"{path} is not a list of items.", _CURE)
    items = tuple(
        _item(value, f"{path}: item {number}", path.parent) for number, value in enumerate(values, 1)
    )
    names = [item.name for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Uni4DError(
            "list-invalid", f"{path}: two items are called {twice[0]}.", "Give each a name of its own."
        )
    return items


def read_program(path: Path) -> dict[str, Any]:
    """A motion program, or what ``uni4d animate --json`` printed around one. The backend examines it."""
    values = _json(path)
    if isinstance(values, dict) and "tracks" not in values and isinstance(values.get("program"), dict):
        values = values["program"]
    if not isinstance(values, dict) or "tracks" not in values:
        raise Uni4DError(
            "program-invalid",
            f"{path} is not a motion program: it has no tracks.",
            "Start from what `uni4d animate --json` prints.",
        )
    return values


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Uni4DError("list-invalid", f"{path}: {error}.", "Give a readable JSON file.") from error


def _item(value: Any, where: str, folder: Path) -> Item:
    if isinstance(value, str):
        value = {"prompt": value}
    if not isinstance(value, dict):
        raise Uni4DError("list-invalid", f"{where} is {value!r}.", _CURE)
    for field, content in value.items():
        if field not in _FIELDS:
            raise Uni4DError("list-invalid", f"{where} has an unknown field, {field}.", _CURE)
        if not isinstance(content, _FIELDS[field]) or isinstance(content, bool):
            raise Uni4DError("list-invalid", f"{where}: {field} is {content!r}.", _CURE)
    prompt = str(value.get("prompt", "")).strip()
    if not prompt:
        raise Uni4DError("list-invalid", f"{where} has no prompt.", _CURE)
    changes = {field: value[field] for field in ("uid", "seed", "model", "program") if field in value}
    if isinstance(changes.get("program"), str):
        changes["program"] = read_program(folder / changes["program"])
    return Item(prompt, _folder_name(value.get("name") or prompt), changes)


def _folder_name(text: str) -> str:
    """``"A bear is dancing!"`` → ``"a-bear-is-dancing"``."""
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:60] or "item"
