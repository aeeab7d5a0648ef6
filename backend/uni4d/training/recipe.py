"""Training settings from a TOML file, checked field by field."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import attrs
import cattrs
import tomllib

from uni4d.config import explain
from uni4d_shared.errors import Uni4DError

__all__ = ["read_recipe", "shipped_recipe"]

Settings = TypeVar("Settings", bound=attrs.AttrsInstance)


def shipped_recipe(name: str) -> Path:
    """The file of a recipe that comes with the package."""
    return Path(__file__).with_name("recipes") / f"{name}.toml"


def read_recipe(path: Path | None, kind: type[Settings]) -> Settings:
    """The settings ``kind`` with the values of a TOML file on top of its defaults.

    Tables are named as the nested settings (``[loop]``, ``[model]``); what is not named keeps its default.
    Unknown names and impossible values are refused by name.
    """
    default = kind()
    if path is None:
        return default
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Uni4DError("bad-setting", f"{path}: {error}.", "Give a readable TOML file.") from error
    merged = attrs.asdict(default)
    for name, value in values.items():
        nested = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if nested else value
    try:
        return cattrs.Converter(forbid_extra_keys=True).structure(merged, kind)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        raise Uni4DError(
            "bad-setting", f"{path}: {explain(error)}.", f"Known: {', '.join(attrs.asdict(default))}."
        ) from error
