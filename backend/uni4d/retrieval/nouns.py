"""The noun of a name: which of its words say what kind of thing it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

__all__ = ["head_words", "match_head"]

Found = TypeVar("Found")

_CUT = re.compile(r"\b(?:with|of|under|on|and|for|in|without|from|by)\b|[,&(/]|\s[-–]\s", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'’.]*")


def head_words(name: str) -> list[str]:
    """The words up to the noun: "Table with tablecloth" → ``["table"]``; numbers are left away."""
    first = _CUT.split(name)[0]
    return [word.lower() for word in _WORD.findall(first if first.strip() else name)]


def match_head(
    words: Sequence[str], look_up: Callable[[str], Sequence[Found]]
) -> tuple[Sequence[Found], bool]:
    """What ``look_up`` knows of the longest phrase that ends at the noun, and whether that is the whole name.

    The noun is the last word that is known: "Bed 140x190" and "Concept Sedan 02 Sport" end in no noun.
    """
    for start, end in _spans(len(words)):
        phrase = " ".join(words[start:end])
        found = look_up(phrase) or (look_up(phrase.replace(" ", "")) if end - start > 1 else ())
        if found:
            return found, end - start == len(words)
    return (), False


def _spans(count: int) -> Iterator[tuple[int, int]]:
    for end in range(count, 0, -1):
        for start in range(end):
            yield start, end
