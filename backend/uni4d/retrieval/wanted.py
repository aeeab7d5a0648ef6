"""A person's words as search takes them: what is wanted, what is not, and what results must be.

    "a chair -wheels licence:cc0"        → "a chair", not "wheels", CC0 only
    "a lamp without a shade is nodding"  → "a lamp", not "shade", motion "nodding"

The motion of a prompt ("is dancing") says little about the object, unless the object is only pointed at
("it whistles when the water boils"): then the whole prompt describes it.
"""

from __future__ import annotations

import re

from attrs import frozen

from uni4d.retrieval.filters import take_filters
from uni4d.retrieval.query import parse
from uni4d.retrieval.words import content_words
from uni4d_shared.types import Query, SearchFilters

__all__ = ["Wanted", "read_wanted"]

_MINUS = re.compile(r"(?<!\S)[-−](?:\"([^\"]+)\"|([^\W\d_][\w'’-]*))")
_WITHOUT = re.compile(
    r"\b(?:without|with\s+no|but\s+not|except)\s+((?:(?:an?|the|any|its)\s+)?[\w'’-]+(?:\s+(?:and|or)\s+[\w'’-]+)?)",
    re.IGNORECASE,
)
_VAGUE = frozenset({"somebody", "someone", "one", "device", "place"})
"""Words that name no object; pronouns are no content words to begin with."""
_POINTING = re.compile(r"\b(?:it|its|them|their|here|there|this|yourself)\b", re.IGNORECASE)


@frozen
class Wanted:
    """What somebody looks for."""

    query: Query
    """The prompt without filters and negative terms, taken apart; all empty when there were no words."""
    filters: SearchFilters

    @property
    def whole(self) -> str:
        """Everything that was said."""
        return self.query.prompt

    @property
    def object_only(self) -> bool:
        """Whether the object's own words say enough, so that the motion can be left away."""
        text = self.query.object_text
        if not set(content_words(text)) - _VAGUE:
            return False
        rest = self.query.prompt.replace(text, " ", 1)
        return not _POINTING.search(rest)


def read_wanted(prompt: str, filters: SearchFilters | None = None) -> Wanted:
    """Take a prompt apart; one that holds nothing but filters has an empty query."""
    text, filters = take_filters(prompt, filters or SearchFilters())
    text, unwanted = _take_negatives(text)
    filters = SearchFilters(
        filters.licence,
        filters.category,
        filters.source,
        filters.min_faces,
        filters.max_faces,
        filters.animated,
        (*filters.without, *unwanted),
    )
    if not re.search(r"\w", text):
        return Wanted(Query("", "", ""), filters)
    return Wanted(parse(text), filters)


def _take_negatives(text: str) -> tuple[str, list[str]]:
    unwanted = ["".join(found) for found in _MINUS.findall(text)]
    text = _MINUS.sub(" ", text)
    for found in _WITHOUT.findall(text):
        unwanted += re.split(r"\s+(?:and|or)\s+", re.sub(r"^(?:an?|the|any|its)\s+", "", found, flags=re.I))
    return re.sub(r"\s+", " ", _WITHOUT.sub(" ", text)).strip(), unwanted
