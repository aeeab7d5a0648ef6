"""Words of a text, and how well the words of a query are met by the words of many documents.

Late interaction (ColBERT, Khattab & Zaharia 2020) with one vector a word: a document meets a query's word as
well as its nearest word does,

    m(q, d) = max over words w of d of  clip((cos(q, w) − c) / (1 − c), 0, 1),

and the document's score is the mean of m over the query's words, each weighted by its rarity
log(D / (1 + Σ_d m(q, d))). Exact words count fully, kindred ones ("pears" for fruit) in part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["Documents", "content_words", "meetings", "rarities"]

Array = NDArray[Any]

_CHANCE = 0.35
"""c: the cosine of words that have little to do with each other, in MiniLM's space."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STOP = _words(
    """
    a an the of to for in on at with by from and or as is are was it its it's that this these those which who
    whom whose what where when while you your yours i me my we us our they them their he him his she her used
    use using be been being am can could into out up one some any etc especially usually often has have having
    had make made makes thing things something anything item object e.g i.e so very too than then there here
    over off not no do does did would will shall should may might must if but also just more most other others
    each every both such own same how why because through about around
    """
)


def content_words(text: str) -> list[str]:
    """The words of ``text`` that say something, in lower case, each once, in their order."""
    found = re.findall(r"[^\W_]+(?:['’][^\W_]+)?", text.lower())
    words = (re.sub(r"['’]s?$|['’](?=\w)", "", word) for word in found)
    return [word for word in dict.fromkeys(words) if word and word not in _STOP]


@frozen(eq=False)
class Documents:
    """Which words are in which documents: the pair (``word[k]``, ``document[k]``), sorted by document."""

    word: Array
    """``[K]`` int32."""
    document: Array
    """``[K]`` int32."""
    count: int
    """How many documents there are; some may have no word."""

    @classmethod
    def of(cls, texts: Sequence[Iterable[str]], place: dict[str, int]) -> Documents:
        """Documents as lists of words; ``place`` numbers the words and learns new ones."""
        pairs = [
            (place.setdefault(word, len(place)), number)
            for number, words in enumerate(texts)
            for word in dict.fromkeys(words)
        ]
        array = np.array(pairs, dtype=np.int32).reshape(-1, 2)
        return cls(array[:, 0], array[:, 1], len(texts))

    def best(self, values: Array) -> Array:
        """``[Q, words]`` values to ``[Q, documents]``: each document's best word, or 0."""
        result = np.zeros((len(values), self.count), dtype=values.dtype)
        if len(self.document) and len(values):
            starts = np.flatnonzero(np.diff(self.document, prepend=-1))
            result[:, self.document[starts]] = np.maximum.reduceat(values[:, self.word], starts, axis=1)
        return result


def meetings(queries: Array, words: Array) -> Array:
    """How well each word meets each of the query's: unit vectors ``[Q, D]`` and ``[V, D]`` to ``[Q, V]``."""
    return np.clip((queries @ words.T - _CHANCE) / (1.0 - _CHANCE), 0.0, 1.0)


def rarities(met: Array) -> Array:
    """The weight ``[Q]`` of each of the query's words, from how many documents meet it (``[Q, D]``)."""
    return np.maximum(np.log(max(met.shape[1], 2) / (1.0 + met.sum(axis=1))), 0.1)
