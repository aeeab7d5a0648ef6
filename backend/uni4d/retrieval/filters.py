"""What search results must be: licence, faces, category, source, animated.

Filters come as values (:class:`~uni4d_shared.types.SearchFilters`) or are written into the prompt,
``licence:cc0 faces:<5000 category:lights``; a name or a value that the library does not know is an error that
lists the known ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from uni4d.library.sources import Entry
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import SearchFilters

__all__ = ["COMMERCIAL", "allowed_rows", "is_commercial", "take_filters"]

Array = NDArray[Any]

COMMERCIAL = "commercial"

_COMMERCIAL_WORDS = ("commercial", "commercial-friendly", "commercialuse", "free")
_PERMITTING = re.compile(
    r"cc0|public domain|cc-by|attribution|mit\b|apache|bsd|gpl|isc\b|zlib|unlicense", re.I
)
_FORBIDDING = re.compile(r"\bnc\b|-nc|non-?commercial|editorial|personal use|royalty", re.I)

_WRITTEN = re.compile(r"(?<!\S)([A-Za-z][A-Za-z_-]+):(\"[^\"]*\"|\S+)")
_FACES = re.compile(r"(?P<low>\d+)-(?P<high>\d+)|(?P<sign><=?|>=?)?(?P<number>\d+)(?P<thousands>k?)", re.I)


def take_filters(prompt: str, given: SearchFilters) -> tuple[str, SearchFilters]:
    """The prompt without the filters written in it, and ``given`` changed by them."""
    filters = given
    for name, value in _WRITTEN.findall(prompt):
        filters = _written(filters, name.lower(), value.strip('"'))
    return re.sub(r"\s+", " ", _WRITTEN.sub(" ", prompt)).strip(), filters


def _written(filters: SearchFilters, name: str, value: str) -> SearchFilters:
    reader = _NAMES.get(name)
    if reader is None:
        known = ", ".join(sorted({key for key in _NAMES if key not in _OTHER_SPELLINGS}))
        raise Uni4DError("filter-unknown", f"There is no filter “{name}”.", f"Known: {known}.")
    if not value:
        raise Uni4DError(
            "filter-unknown", f"The filter “{name}:” has no value.", f"Write e.g. {_EXAMPLES[name]}."
        )
    return reader(filters, value)


def _faces(filters: SearchFilters, value: str) -> SearchFilters:
    found = _FACES.fullmatch(value)
    if found is None:
        raise Uni4DError(
            "filter-unknown",
            f"“faces:{value}” is not a number of faces.",
            "Write faces:<5000, faces:>1000 or faces:1000-5000.",
        )
    if found["low"]:
        return evolve(filters, min_faces=int(found["low"]), max_faces=int(found["high"]))
    number = int(found["number"]) * (1000 if found["thousands"] else 1)
    match found["sign"]:
        case ">":
            return evolve(filters, min_faces=number + 1)
        case ">=":
            return evolve(filters, min_faces=number)
        case "<":
            return evolve(filters, max_faces=max(number - 1, 1))
    return evolve(filters, max_faces=number)


def _animated(filters: SearchFilters, value: str) -> SearchFilters:
    if value.lower() not in ("yes", "true", "1", "no", "false", "0"):
        raise Uni4DError(
            "filter-unknown", f"“animated:{value}” is neither yes nor no.", "Write animated:yes."
        )
    return evolve(filters, animated=value.lower() in ("yes", "true", "1"))


_NAMES: dict[str, Callable[[SearchFilters, str], SearchFilters]] = {
    "licence": lambda filters, value: evolve(filters, licence=value),
    "license": lambda filters, value: evolve(filters, licence=value),
    "category": lambda filters, value: evolve(filters, category=value),
    "source": lambda filters, value: evolve(filters, source=value),
    "collection": lambda filters, value: evolve(filters, source=value),
    "faces": _faces,
    "animated": _animated,
    "without": lambda filters, value: evolve(filters, without=(*filters.without, value)),
}
_OTHER_SPELLINGS = ("license", "collection")
_EXAMPLES = {
    "licence": "licence:cc0",
    "license": "license:cc0",
    "category": "category:lights",
    "source": "source:scopia",
    "collection": "collection:scopia",
    "faces": "faces:<5000",
    "animated": "animated:yes",
    "without": "without:wheels",
}


def allowed_rows(filters: SearchFilters, entries: Sequence[Entry], faces: Array, animated: Array) -> Array:
    """Which assets the filters admit, ``[N]`` bool; ``without`` is not looked at."""
    allowed = np.ones(len(entries), dtype=bool)
    if filters.licence:
        allowed &= _licensed(filters.licence, [entry.licence for entry in entries])
    if filters.category:
        allowed &= _containing("category", filters.category, [entry.category for entry in entries])
    if filters.source:
        allowed &= _containing("source", filters.source, [entry.collection for entry in entries])
    if filters.max_faces and filters.max_faces < filters.min_faces:
        raise Uni4DError(
            "filter-unknown",
            f"No number of faces is at least {filters.min_faces} and at most {filters.max_faces}.",
            "Exchange the two.",
        )
    allowed &= faces >= filters.min_faces
    if filters.max_faces:
        allowed &= faces <= filters.max_faces
    if filters.animated:
        allowed &= animated
    return allowed


def is_commercial(licence: str) -> bool:
    """Whether a licence lets everybody use the asset commercially; an unknown one does not."""
    return bool(_PERMITTING.search(licence)) and not _FORBIDDING.search(licence)


def _licensed(wanted: str, licences: Sequence[str]) -> Array:
    if wanted.lower() in _COMMERCIAL_WORDS:
        return np.array([is_commercial(licence) for licence in licences], dtype=bool)
    start = _plain(wanted)
    fits = {
        licence: any(_plain(part).startswith(start) for part in re.split(r"\s+OR\s+", licence))
        for licence in set(licences)
    }
    if not any(fits.values()):
        raise _no_such("licence", wanted, (*licences, COMMERCIAL))
    return np.array([fits[licence] for licence in licences], dtype=bool)


def _containing(name: str, wanted: str, values: Sequence[str]) -> Array:
    fits = {value: _plain(wanted) in _plain(value) for value in set(values)}
    if not any(fits.values()):
        raise _no_such(name, wanted, values)
    return np.array([fits[value] for value in values], dtype=bool)


def _no_such(name: str, wanted: str, values: Iterable[str]) -> Uni4DError:
    known = sorted({value for value in values if value})
    shown = "; ".join(known[:20]) + (" …" if len(known) > 20 else "")
    return Uni4DError("filter-unknown", f"The library has no {name} “{wanted}”.", f"Known: {shown}.")


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
