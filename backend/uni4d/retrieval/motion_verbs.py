"""Verbs that a picture can show, in all their forms: the parser's knowledge beyond the kinematic lexicon.

From WordNet 3.0 (Princeton University, licence in ``data/WORDNET-LICENSE``), compiled by
:mod:`uni4d.retrieval.motion_verbs_compiler`: verbs of motion, of the body, of contact, change, weather … with
how often each was a verb and a noun. So "pirouettes" and "judders" are known for motions although no motion
program exists for them, and "drawers" is known to be no verb at all.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from attrs import frozen

from uni4d_shared.errors import Uni4DError

__all__ = ["NAMES", "VERBS", "Verb", "VerbForm", "is_name", "names_purposes", "verb_form"]

VERBS = Path(__file__).parent / "data" / "motion_verbs.txt"
NAMES = Path(__file__).parent / "data" / "gerund_names.txt"

Form = Literal["base", "s", "ing", "past"]

_MISSING_IN_WORDNET = """
backflip m p 0 -1 backflipping backflipped
breakdance rm p 0 -1
handspring m p 0 -1
headbang b p 0 -1
levitate m tp 0 -1
moonwalk m p 0 0
parkour m p 0 -1
photobomb m p 0 -1
pogo m p 0 0
twerk b p 0 -1
unfurl c t 0 -1
"""
"""Verbs younger than WordNet 3.0, in the data file's format."""


@frozen
class Verb:
    """One verb."""

    base: str
    kinds: str
    """A letter for each of its commonest senses; see the compiler."""
    by_things: bool
    """Whether things do it of themselves: "the tap drips"."""
    by_persons: bool
    """Whether somebody does it without an object: "a child skips"."""
    verb_count: int
    noun_count: int
    """In tagged texts; −1 when the word is no noun."""

    @property
    def moves(self) -> bool:
        """Whether one of its common senses is a motion of a thing or a body."""
        return bool(set("mbw") & set(self.kinds))

    @property
    def as_verb(self) -> float:
        """How much of its use is as a verb, in [0, 1]; one half where nothing is known."""
        if self.noun_count < 0:
            return 1.0
        return (self.verb_count + 1.0) / (self.verb_count + self.noun_count + 2.0)


@frozen
class VerbForm:
    """A word read as a form of a verb."""

    verb: Verb
    form: Form


def verb_form(word: str) -> VerbForm | None:
    """The word as a verb; ``None`` for one that is none, or that no picture shows."""
    return _forms().get(word.lower())


def is_name(gerund: str, noun: str) -> bool:
    """Whether WordNet knows a thing of this name ("diving board"), in the singular or the plural."""
    return any(gerund.lower() in _names()[last][1] for last in _singulars(noun) if last in _names())


def names_purposes(noun: str) -> bool:
    """Whether words in -ing before this noun tell what it is for: *chopping*, *ironing*, *diving* "board".

    So it is with artifacts of whose names WordNet knows three or more that are formed so.
    """
    return any(
        _names()[last][0] and len(_names()[last][1]) >= 3 for last in _singulars(noun) if last in _names()
    )


def _singulars(noun: str) -> tuple[str, ...]:
    noun = noun.lower()
    endings = (("", ""), ("s", ""), ("es", ""), ("ies", "y"), ("ves", "f"), ("ves", "fe"))
    return tuple(noun.removesuffix(plural) + single for plural, single in endings if noun.endswith(plural))


@cache
def _names() -> dict[str, tuple[bool, frozenset[str]]]:
    """Last word of names → whether it is an artifact's, and the words in -ing before it."""
    rows = [line.split() for line in _read(NAMES)]
    return {last: (kind == "a", frozenset(firsts)) for last, kind, *firsts in rows}


def _read(path: Path) -> list[str]:
    """The lines of a data file without those that say what it is."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Uni4DError(
            "wordnet-missing", f"{path} cannot be read: {error}.", "Install the uni4d package again."
        ) from error
    return [line for line in lines if not line.startswith("#")]


@cache
def _forms() -> dict[str, VerbForm]:
    """Every form of every verb; where two verbs share a form, it is the commoner verb's."""
    rows = [line.split() for line in [*_read(VERBS), *_MISSING_IN_WORDNET.strip().splitlines()]]
    verbs = [
        (Verb(base, kinds, "t" in actors, "p" in actors, int(verbs), int(nouns)), irregular)
        for base, kinds, actors, verbs, nouns, *irregular in rows
    ]
    forms: dict[str, VerbForm] = {}
    for verb, irregular in sorted(verbs, key=lambda pair: -pair[0].verb_count):
        for word, form in _inflections(verb.base, irregular).items():
            forms.setdefault(word, VerbForm(verb, form))
    forms.update({verb.base: VerbForm(verb, "base") for verb, _ in verbs})
    return forms


def _inflections(base: str, irregular: list[str]) -> dict[str, Form]:
    """The verb's forms by rule, and those that the table gives for it instead."""
    soft = base.endswith("y") and base[-2:-1] not in "aeiou"
    if base.endswith(("s", "sh", "ch", "x", "z", "o")):
        third = base + "es"
    else:
        third = base[:-1] + "ies" if soft else base + "s"
    stem = base[:-1] if base.endswith("e") else base
    past = base[:-1] + "ied" if soft else stem + "ed"
    gerund = base[:-2] + "ying" if base.endswith("ie") else (base if base.endswith("ee") else stem) + "ing"
    forms: dict[str, Form] = {base: "base", third: "s"}
    odd: dict[str, Form] = {word: "ing" if word.endswith("ing") else "past" for word in irregular}
    odd = {word: "s" if word == base + "s" or word.endswith("oes") else form for word, form in odd.items()}
    for regular, form in ((past, "past"), (gerund, "ing")):
        if form not in odd.values():
            forms[regular] = form  # type: ignore[assignment]
    return {**odd, **forms}
