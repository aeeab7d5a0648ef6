"""What kinds of things the assets of a library are.

An asset's name and tags are looked up in the lexicon (:mod:`uni4d.retrieval.things`); a kind that it does not
know is taken from WordNet. Either way it becomes a :class:`~uni4d.retrieval.things.Thing` with names,
descriptions and words, here called a *concept*, and the asset is linked to it with a distance: 0 when the
name says just that, more when only its noun does ("desk lamp" is a lamp), or only a tag.

A word has several senses ("bat", "crane"). The one meant is the one whose definition is nearest to what else
is known (the lexicon's lines, or the asset's tags and category) in the text encoder's space, with a bias
towards common senses and towards kinds of things that have meshes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from uni4d.library.sources import Entry
from uni4d.retrieval.nouns import head_words, match_head
from uni4d.retrieval.things import Thing, everyday_things
from uni4d.retrieval.wordnet import Sense, WordNet, wordnet

__all__ = ["Embed", "Link", "Vocabulary", "link_assets"]

Array = NDArray[Any]
Embed = Callable[[Sequence[str]], Array]
"""Texts to unit vectors ``[N, D]``."""

_PART_OF_NAME, _GENERIC, _TAG, _TAGS_ALONE, _OTHER_SENSE = 0.02, 0.08, 0.06, 0.02, 0.04
"""Distances of a link: a phrase of the name that ends in its noun; less of a name that is known as a whole; a
tag; a tag of an asset whose name is not known; for each further sense of a word."""
_SENSES_KEPT = 2
_NEAR = 0.10
"""How much less likely than the likeliest a sense may be and still count."""
_TRUSTED = 0.28
"""Likeliness of a sense from which its definition is added to a thing of the lexicon."""

_KIND_BIAS = {
    "object": -0.05,
    "body": -0.12,
    "substance": -0.08,
    "person": -0.10,
    "shape": -0.12,
    "phenomenon": -0.15,
    "communication": -0.12,
    "group": -0.20,
    "possession": -0.12,
    "location": -0.15,
    "top": -0.10,
    "other": -0.30,
}
"""Kinds of senses that meshes are seldom of; artifacts, food, animals and plants have no bias."""
_RANK_BIAS, _COUNT_BIAS = -0.06, 0.015
_GENERAL_STEPS = 3
"""How far up a sense's more general names are taken for its words."""


@frozen
class Link:
    """One asset is one kind of thing."""

    concept: int
    distance: float


@frozen
class Vocabulary:
    """The kinds of things in a library."""

    concepts: tuple[Thing, ...]
    links: tuple[tuple[Link, ...], ...]
    """For each asset, nearest first; empty for one that nothing is known about."""


def link_assets(entries: Sequence[Entry], embed: Embed) -> Vocabulary:
    """The vocabulary of ``entries``; equal names with equal tags are linked alike."""
    distinct = {entry.texts: entry for entry in entries}
    asked: dict[str, None] = {}

    def note(texts: Sequence[str]) -> Array:
        asked.update(dict.fromkeys(texts))
        return np.zeros((len(texts), 1))

    rehearsal = _Linker(note)  # what is asked for does not depend on the answers
    for entry in distinct.values():
        rehearsal.link(entry)
    answers = dict(zip(asked, embed(list(asked)), strict=True))  # one large batch is far cheaper
    linker = _Linker(lambda texts: np.stack([answers[text] for text in texts]))
    links = {texts: linker.link(entry) for texts, entry in distinct.items()}
    return Vocabulary(linker.concepts(), tuple(links[entry.texts] for entry in entries))


class _Linker:
    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._wordnet = wordnet()
        self._things = everyday_things()
        self._by_name: dict[str, list[int]] = {}
        ranked = [
            (place, number, name)
            for number, thing in enumerate(self._things)
            for place, name in enumerate(thing.names)
        ]
        for _, number, name in sorted(ranked):
            self._by_name.setdefault(name, []).append(number)
        self._numbers: dict[tuple[str, int], int] = {}  # ("thing" or "sense", number) → concept
        self._concepts: list[Thing] = []

    def concepts(self) -> tuple[Thing, ...]:
        return tuple(self._concepts)

    def link(self, entry: Entry) -> tuple[Link, ...]:
        found: dict[int, float] = {}

        def add(concept: int, distance: float) -> None:
            found[concept] = min(distance, found.get(concept, distance))

        words = head_words(entry.name)
        exact = self._thing_numbers(" ".join(entry.name.lower().split()))
        things, whole = match_head(words, self._thing_numbers)
        for number in things:
            add(self._thing(number), 0.0 if whole and not exact else _PART_OF_NAME)
        for number in exact:
            add(self._thing(number), 0.0)
        for start in range(1, len(words)):
            for number in self._thing_numbers(" ".join(words[start:])):
                add(self._thing(number), _GENERIC)
        things = exact or things
        senses = [] if things else self._likely_senses(entry, words)
        for step, sense in enumerate(senses):
            add(self._sense(sense), _OTHER_SENSE * step)
        for tag in entry.tags:
            for number in self._thing_numbers(tag.lower()):
                add(self._thing(number), _TAG if things or senses else _TAGS_ALONE)
        return tuple(
            Link(concept, distance) for concept, distance in sorted(found.items(), key=lambda item: item[1])
        )

    def _thing_numbers(self, phrase: str) -> list[int]:
        """Lexicon lines with this name, or with its singular."""
        for form in (phrase, *self._wordnet.singulars(phrase)):
            if form in self._by_name:
                return self._by_name[form]
        return []

    def _likely_senses(self, entry: Entry, words: Sequence[str]) -> list[Sense]:
        """The senses of the name's noun that the asset's other texts allow, likeliest first."""
        forms, _ = match_head(words, self._wordnet.singulars)
        ranked = _ranked_senses(self._wordnet, forms, ", ".join(entry.texts), self._embed)
        return [sense for value, sense in ranked[:_SENSES_KEPT] if ranked[0][0] - value <= _NEAR]

    def _thing(self, number: int) -> int:
        """The concept of a lexicon line, with WordNet's definition of what it is about."""
        key = ("thing", number)
        if key not in self._numbers:
            thing = self._things[number]
            forms = [form for name in thing.names[:3] for form in self._wordnet.singulars(name)]
            ranked = _ranked_senses(self._wordnet, forms, thing.document, self._embed)
            if ranked and ranked[0][0] >= _TRUSTED:
                sense = ranked[0][1]
                thing = evolve(
                    thing,
                    descriptions=(*thing.descriptions, sense.gloss),
                    keywords=(*thing.keywords, *sense.lemmas),
                )
            self._numbers[key] = len(self._concepts)
            self._concepts.append(thing)
        return self._numbers[key]

    def _sense(self, sense: Sense) -> int:
        """The concept of a WordNet sense: its definition; more general names and parts are its words."""
        key = ("sense", sense.number)
        if key not in self._numbers:
            steps = self._wordnet.ancestors(sense.number)
            general = [self._wordnet.sense(up) for up, count in steps.items() if count <= _GENERAL_STEPS]
            parts = [self._wordnet.sense(part).name for part in sense.parts]
            names = [name for above in general if above.kind != "top" for name in above.lemmas[:2]]
            self._numbers[key] = len(self._concepts)
            self._concepts.append(
                Thing(tuple(lemma.lower() for lemma in sense.lemmas), (sense.gloss,), (*names, *parts))
            )
        return self._numbers[key]


def _ranked_senses(
    nouns: WordNet, forms: Sequence[str], context: str, embed: Embed
) -> list[tuple[float, Sense]]:
    """The senses of some names with their likeliness in a context, likeliest first."""
    candidates: dict[int, tuple[float, Sense]] = {}
    for form in forms:
        for sense in nouns.senses(form):
            place = [lemma.lower() for lemma in sense.lemmas].index(form.lower())
            prior = (
                _KIND_BIAS.get(sense.kind, 0.0)
                + _RANK_BIAS * float(np.log(min(sense.ranks[place], 20)))
                + _COUNT_BIAS * float(np.log1p(sense.counts[place]))
            )
            if sense.number not in candidates or prior > candidates[sense.number][0]:
                candidates[sense.number] = (prior, sense)
    if not candidates:
        return []
    priors, senses = zip(*candidates.values(), strict=True)
    vectors = embed([context, *(sense.gloss for sense in senses)])
    values = vectors[1:] @ vectors[0] + np.array(priors)
    order = np.argsort(-values, kind="stable")
    return [(float(values[place]), senses[place]) for place in order]
