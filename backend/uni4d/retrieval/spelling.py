"""Names by their letters: other languages, other spellings, slips of the pen.

A text becomes the set of its character n-grams (two and three letters, with the borders of words; one and two
for scripts without spaces), after accents and case are folded. Two likenesses of a text q and a name n, with
every n-gram g weighted by its rarity idf(g) = log(N / N_g):

    alike = 2 Σ_{q∩n} idf / (Σ_q idf + Σ_n idf),      contained = Σ_{q∩n} idf / Σ_n idf.

The first finds "bycicle"; the second finds "ours en peluche" in "un ours en peluche qui danse".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

__all__ = ["Spellings", "n_grams"]

Array = NDArray[Any]


def n_grams(text: str) -> frozenset[str]:
    """The n-grams of a text's words, accents and case folded."""
    return frozenset(gram for word in _folded(text).split() for gram in _word_grams(word))


@lru_cache(maxsize=4096)
def _word_grams(word: str) -> tuple[str, ...]:
    if any(
        ord(letter) >= 0x2E80 for letter in word
    ):  # Chinese, Japanese, Korean: a sign is a syllable or more
        return (*word, *(word[start : start + 2] for start in range(len(word) - 1)))
    bordered = f" {word} "
    return tuple(
        bordered[start : start + size] for size in (2, 3) for start in range(len(bordered) - size + 1)
    )


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(
        letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter)
    )


@frozen(eq=False)
class Spellings:
    """All names of a library's assets; a name is an array of numbers of n-grams."""

    grams: tuple[str, ...]
    starts: Array
    """``[G + 1]`` int64: the names with gram ``g`` are ``names[starts[g]:starts[g + 1]]``."""
    names: Array
    """``[P]`` int32."""
    weight: Array
    """``[U]`` float32: Σ_n idf of each name."""
    rows: Array
    """``[L]`` int32: which asset has which name, with ``row_names``, sorted by asset."""
    row_names: Array
    """``[L]`` int32."""
    count: int
    """Assets."""

    @classmethod
    def of(cls, names: Sequence[Iterable[str]]) -> Spellings:
        """From the names of each asset."""
        place: dict[str, int] = {}
        links = [
            (row, place.setdefault(name.casefold(), len(place)))
            for row, several in enumerate(names)
            for name in dict.fromkeys(several)
        ]
        having: dict[str, list[int]] = {}
        for name, number in place.items():
            for gram in n_grams(name):
                having.setdefault(gram, []).append(number)
        grams = tuple(sorted(having))
        starts = np.cumsum([0, *(len(having[gram]) for gram in grams)])
        postings = np.array([number for gram in grams for number in having[gram]], np.int32)
        idf = np.repeat(np.log(max(len(place), 2) / np.diff(starts)), np.diff(starts))
        weight = np.bincount(postings, idf, minlength=len(place)).astype(np.float32)
        pairs = np.array(links, dtype=np.int32).reshape(-1, 2)
        return cls(grams, starts, postings, weight, pairs[:, 0], pairs[:, 1], len(names))

    def likeness(self, text: str) -> tuple[Array, Array]:
        """``alike`` and ``contained`` ``[N]`` in [0, 1] of each asset: the best of its names."""
        wanted = n_grams(text)
        found = [number for gram in wanted if (number := self._place.get(gram)) is not None]
        total = len(self.weight)
        idf = [float(np.log(max(total, 2) / (self.starts[g + 1] - self.starts[g]))) for g in found]
        shared = np.zeros(total)
        for gram, value in zip(found, idf, strict=True):
            shared[self.names[self.starts[gram] : self.starts[gram + 1]]] += value
        own = sum(idf) + (len(wanted) - len(found)) * float(np.log(max(total, 2)))
        alike = 2.0 * shared / np.maximum(own + self.weight, 1e-9)
        return self._of_assets(alike), self._of_assets(shared / np.maximum(self.weight, 1e-9))

    def _of_assets(self, values: Array) -> Array:
        result = np.zeros(self.count)
        if len(self.rows):
            starts = np.flatnonzero(np.diff(self.rows, prepend=-1))
            result[self.rows[starts]] = np.maximum.reduceat(values[self.row_names], starts)
        return result

    @property
    def _place(self) -> dict[str, int]:
        return _numbered(self.grams)


@lru_cache(maxsize=8)
def _numbered(grams: tuple[str, ...]) -> dict[str, int]:
    return {gram: number for number, gram in enumerate(grams)}
