"""Names by their letters: other languages, other spellings, slips of the pen.

A text becomes the set of its character n-grams (two and three letters, with the borders of words; one and two
for scripts without spaces), after accents and case are folded. Two likenesses of a text q and a name n, with
every n-gram g weighted by its rarity idf(g) = log(N / N_g):

    alike = 2 Σ_{q∩n} idf / (Σ_q idf + Σ_n idf),      contained = Σ_{q∩n} idf / Σ_n idf.

The first finds other forms of a name; the second finds "ours en peluche" in "un ours en peluche qui danse".
The names most alike are then compared letter by letter (Ratcliff & Obershelp 1988), which finds "bycicle".
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

__all__ = ["Spellings", "n_grams"]

Array = NDArray[Any]

_COMPARED = 150
"""Names that are compared letter by letter."""
_CHANCE_LETTERS, _ALIKE_LETTERS = 0.5, 0.75
"""Share of common letters up to which it is chance, and from which names are looked at."""


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

    spelled: tuple[str, ...]
    """``[U]`` the names themselves, folded."""
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
    _place: dict[str, int] = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_place", {gram: number for number, gram in enumerate(self.grams)})

    @classmethod
    def of(cls, names: Sequence[Iterable[str]]) -> Spellings:
        """From the names of each asset."""
        place: dict[str, int] = {}
        links = [
            (row, place.setdefault(_folded(name), len(place)))
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
        return cls(tuple(place), grams, starts, postings, weight, pairs[:, 0], pairs[:, 1], len(names))

    def likeness(self, text: str, *, letters: bool = False) -> tuple[Array, Array]:
        """``alike`` and ``contained`` ``[N]`` in [0, 1] of each asset: the best of its names.

        ``letters``: also compare the likeliest names letter by letter, which costs some milliseconds.
        """
        wanted = n_grams(text)
        found = [number for gram in wanted if (number := self._place.get(gram)) is not None]
        rarest = float(np.log(max(len(self.weight), 2)))
        idf = rarest - np.log(self.starts[np.array(found, int) + 1] - self.starts[found]) if found else []
        shared = np.zeros(len(self.weight))
        for gram, value in zip(found, idf, strict=True):
            shared[self.names[self.starts[gram] : self.starts[gram + 1]]] += value
        own = float(np.sum(idf)) + (len(wanted) - len(found)) * rarest
        alike = 2.0 * shared / np.maximum(own + self.weight, 1e-9)
        if letters:
            self._compare_letters(_folded(text), alike)
        return self._of_assets(alike), self._of_assets(shared / np.maximum(self.weight, 1e-9))

    def _compare_letters(self, text: str, alike: Array) -> None:
        """Raise ``alike`` ``[U]``, of the names that are most alike, to what their letters say."""
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(text.strip())
        for name in np.argsort(-alike, kind="stable")[:_COMPARED]:
            if alike[name] <= 0.0:
                break
            matcher.set_seq1(self.spelled[name].strip())
            same = matcher.quick_ratio()  # letters in common, in whatever order: people swap letters
            if same >= _ALIKE_LETTERS:
                ratio = 0.5 * (same + matcher.ratio())
                alike[name] = max(alike[name], (ratio - _CHANCE_LETTERS) / (1.0 - _CHANCE_LETTERS))

    def _of_assets(self, values: Array) -> Array:
        result = np.zeros(self.count)
        if len(self.rows):
            starts = np.flatnonzero(np.diff(self.rows, prepend=-1))
            result[self.rows[starts]] = np.maximum.reduceat(values[self.row_names], starts)
        return result
