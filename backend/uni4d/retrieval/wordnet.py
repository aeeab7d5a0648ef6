"""WordNet's nouns for physical things: what words mean, and how the things that they name are related.

From WordNet 3.0 (Miller 1995; Princeton University, licence in ``data/WORDNET-LICENSE``), compiled by
:mod:`uni4d.retrieval.wordnet_compiler` into one file of 1.5 MB that loads in a fraction of a second. Named
individuals (cities, people, books) are left out, and so are senses that no mesh can show, unless they lie
above one that can.

A *sense* is WordNet's synset: one thing with all its names. Senses are numbered from 0; the numbers are
positions in the file and mean nothing outside it.
"""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left
from collections import defaultdict
from functools import cache, cached_property
from pathlib import Path

from attrs import frozen

from uni4d_shared.errors import Uni4DError

__all__ = ["DATA", "Sense", "WordNet", "wordnet"]

DATA = Path(__file__).parent / "data" / "nouns.tsv.gz"

_ENDINGS = (
    ("men", "man"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("xes", "x"),
    ("zes", "z"),
    ("ses", "s"),
    ("ies", "y"),
    ("ves", "f"),
    ("ves", "fe"),
    ("s", ""),
)
"""Plural endings and what stands there in the singular (WordNet's rules of detachment)."""


@frozen
class Sense:
    """One thing."""

    number: int
    kind: str
    """WordNet's lexicographer file, e.g. ``artifact``, ``animal``, ``food``."""
    lemmas: tuple[str, ...]
    """Its names, the commonest first."""
    ranks: tuple[int, ...]
    """For each name: 1 when this is the name's commonest noun sense, 2 for the next …"""
    counts: tuple[int, ...]
    """For each name: how often it had this sense in WordNet's tagged texts."""
    hypernyms: tuple[int, ...]
    """Senses of which this is a kind."""
    parts: tuple[int, ...]
    """Senses that are parts of this one, or that it is made of."""
    gloss: str
    """The definition, without examples."""

    @property
    def name(self) -> str:
        return self.lemmas[0]


class WordNet:
    """All senses of one file."""

    def __init__(self, path: Path = DATA) -> None:
        try:
            text = gzip.decompress(path.read_bytes()).decode("utf-8")
        except (OSError, EOFError, UnicodeDecodeError) as error:
            raise Uni4DError(
                "wordnet-missing", f"{path} cannot be read: {error}.", "Install the uni4d package again."
            ) from error
        exceptions, _, rest = text.partition("\n\n")
        names, _, rows = rest.partition("\n\n")
        self._names = names.split("\n")  # sorted: looked up by bisection, which needs no dictionary at start
        self._rows = rows.splitlines()
        self._singular: dict[str, str] = dict(
            pair.split("\t")
            for pair in exceptions.splitlines()  # type: ignore[misc]
        )
        self._parsed: dict[int, Sense] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def sense(self, number: int) -> Sense:
        if number not in self._parsed:
            kind, lemmas, hypernyms, parts, gloss = self._rows[number].split("\t")
            names = [lemma.split(":") for lemma in lemmas.split("|")]
            self._parsed[number] = Sense(
                number,
                kind,
                tuple(name for name, _, _ in names),
                tuple(int(rank) for _, rank, _ in names),
                tuple(int(count) for _, _, count in names),
                _numbers(hypernyms),
                _numbers(parts),
                gloss,
            )
        return self._parsed[number]

    def senses(self, lemma: str) -> list[Sense]:
        """The senses of a name in the singular, the commonest first; none for an unknown one."""
        return [self.sense(number) for number in self._numbers(lemma.lower())]

    def singulars(self, word: str) -> list[str]:
        """Known names of which ``word`` (one or several words) is a form: itself, or its singular."""
        word = word.lower()
        candidates = [word]
        if word in self._singular:
            candidates.append(self._singular[word])
        candidates += [word[: -len(end)] + new for end, new in _ENDINGS if word.endswith(end)]
        return [name for name in dict.fromkeys(candidates) if self._numbers(name)]

    @cached_property
    def words(self) -> frozenset[str]:
        """Every word of a name, a plural or a definition, in lower case."""
        return frozenset(re.findall(r"[^\W\d_]+", "\n".join(self._rows).lower())) | self._singular.keys()

    def ancestors(self, number: int) -> dict[int, int]:
        """Everything of which a sense is a kind, nearest first, with the number of steps up."""
        steps = {number: 0}
        front = [number]
        while front:
            above = [up for down in front for up in self.sense(down).hypernyms if up not in steps]
            steps.update(dict.fromkeys(above, steps[front[0]] + 1))
            front = list(dict.fromkeys(above))
        del steps[number]
        return steps

    def hyponyms(self, number: int) -> tuple[int, ...]:
        """Senses that are directly a kind of this one."""
        return tuple(self._below.get(number, ()))

    def descendants(self, number: int) -> list[int]:
        """Everything that is a kind of this one, nearest first."""
        seen: dict[int, None] = {}
        front = [number]
        while front:
            below = [down for up in front for down in self.hyponyms(up) if down not in seen]
            seen.update(dict.fromkeys(below))
            front = list(dict.fromkeys(below))
        return list(seen)

    def _numbers(self, name: str) -> tuple[int, ...]:
        """The senses of a name in lower case."""
        line = f"{name}\t"
        place = bisect_left(self._names, line)
        if place < len(self._names) and self._names[place].startswith(line):
            return _numbers(self._names[place][len(line) :])
        return ()

    @cached_property
    def _below(self) -> dict[int, list[int]]:
        below: dict[int, list[int]] = defaultdict(list)
        for number, row in enumerate(self._rows):
            for up in _numbers(row.split("\t", 3)[2]):
                below[up].append(number)
        return below


@cache
def wordnet() -> WordNet:
    """The WordNet that comes with the package, read once."""
    return WordNet()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",")) if text else ()
