"""Where the object of a sentence ends and its predicate begins.

The words are scanned from the left. The object runs to the first word after a complete noun phrase that is an
auxiliary, a relative pronoun, a state ("on fire") or a verb. Whether a word is a verb is a sum of evidence:
spaCy's tag, how much WordNet saw the word used as a verb, the kinematic lexicon, what follows it, and above
all whether it agrees with the noun phrase: after "a teddy bear" only "bounces" can be a verb, and "bounce"
only a noun. No single witness is good enough: the tagger mistags "bounce", the lexicons know the verbs but
not that "swing" in "a porch swing" is a thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from uni4d.retrieval.motion_verbs import Verb, names_purposes
from uni4d.retrieval.phrases import (
    AUXILIARIES,
    DESCRIPTIVE,
    DETERMINERS,
    DIRECTIONS,
    LINKS,
    NOUNS_IN_ING,
    OBJECT_WORDS,
    PHASES,
    PLACE_WORDS,
    RELATIVES,
    STATES,
    is_compound,
)
from uni4d.retrieval.tagging import Word
from uni4d.retrieval.wordnet import wordnet

__all__ = ["is_auxiliary", "predicate_start", "state_length"]

Number = Literal["one", "singular", "plural", "bare"]

_ONE = frozenset({"a", "an", "one", "each", "every", "another"})
_AGREEMENT: dict[Number, dict[str, float]] = {
    "one": {"s": 3.0, "base": -9.0, "past": 0.0},
    "singular": {"s": 1.0, "base": -6.0, "past": 0.0},
    "plural": {"s": -6.0, "base": 2.0, "past": 0.0},
    "bare": {"s": 0.5, "base": 0.0, "past": -0.5},
}
"""Number of the noun phrase → form of the verb → evidence that it is one."""
_STRONG = 2.0
"""Evidence that makes a verb the main one although a participle stood before it."""


def predicate_start(words: Sequence[Word], bare_verbs: bool) -> int:
    """The index of the word that starts the predicate; ``len(words)`` when there is none."""
    complete = False  # a noun was seen that can end the object
    for index, word in enumerate(words):
        if complete and _starts(words, index, bare_verbs):
            return _after_attributes(words, index)
        if index and (_is_final_gerund(words, index) or _is_gerund_on_its_way(words, index)):
            return _after_attributes(words, index)
        names_act = word.is_gerund and word.lower not in NOUNS_IN_ING
        if word.lower in LINKS or (names_act and index and words[index - 1].lower in DETERMINERS):
            complete = False  # "a blooming rose": the noun is yet to come
        elif word.is_noun or word.part == "PRON" or word.lower in OBJECT_WORDS:
            complete = True
        elif word.part == "VERB" and index and not _modifies_next(words, index):
            complete = True  # a noun that the tagger took for a verb
    return len(words)


def is_auxiliary(word: Word) -> bool:
    """Not the possessive 's, and not a noun spelled like an auxiliary ("can")."""
    verbal = word.part in ("AUX", "VERB", "PART") or word.lower in ("is", "are", "being")
    return word.lower in AUXILIARIES and word.tag != "POS" and verbal


def state_length(words: Sequence[Word], index: int) -> int:
    """How many words from ``index`` on name a state of motion ("on fire"); 0 when they do not."""
    for state in STATES:
        if tuple(word.lower for word in words[index : index + len(state)]) == state:
            return len(state)
    return 0


def _starts(words: Sequence[Word], index: int, bare_verbs: bool) -> bool:
    """Whether the predicate starts at this word, which stands after a complete noun phrase."""
    word = words[index]
    if is_auxiliary(word):
        return word.lower != "being" or (index + 1 < len(words) and words[index + 1].tag == "VBN")
    if word.lower in RELATIVES:
        return index + 1 < len(words)
    if state_length(words, index):
        return True
    if word.lower == "with":
        return _is_absolute(words, index)
    if word.part not in ("VERB", "NOUN", "PROPN", "ADJ", "ADP", "ADV", "X", "AUX"):
        return False
    if word.is_gerund or (word.lower.endswith("ing") and index + 1 == len(words)):
        return _is_acting_gerund(words, index)
    if _is_reduced_passive(words, index):
        return True
    return _evidence(words, index, bare_verbs) > 0.0


def _after_attributes(words: Sequence[Word], index: int) -> int:
    """The main verb's index where what starts at ``index`` only describes the object, else ``index``.

    "a truck carrying logs drives past": participle and object are an attribute when a verb follows that
    certainly is one.
    """
    if not words[index].lower.endswith("ing") and words[index].lower not in RELATIVES:
        return index
    noun_seen = False
    for later in range(index + 1, len(words)):
        word = words[later]
        if word.text == "," or word.part in ("CCONJ", "SCONJ") or word.lower in RELATIVES:
            return index
        finite = word.verb is not None and word.verb.form == "s" and word.tag != "POS"
        if noun_seen and finite and _evidence([*words[:index], *words[later:]], index, False) > _STRONG:
            return later
        noun_seen = noun_seen or word.is_noun
    return index


def _is_final_gerund(words: Sequence[Word], index: int) -> bool:
    """A motion's participle that ends the prompt, whatever the tagger makes of the words before it."""
    word, previous = words[index], words[index - 1]
    return (
        index + 1 == len(words)
        and word.lower.endswith("ing")
        and (word.moves or (word.verb is not None and word.verb.verb.moves))
        and word.lower not in NOUNS_IN_ING | OBJECT_WORDS
        and previous.lower not in DETERMINERS | LINKS | {"-"}
    )


def _is_gerund_on_its_way(words: Sequence[Word], index: int) -> bool:
    """A motion's participle before a place or an adverb, after whatever the tagger made of its subject."""
    word, previous = words[index], words[index - 1]
    following = words[index + 1] if index + 1 < len(words) else None
    return (
        word.is_gerund
        and word.tag == "VBG"
        and following is not None
        and following.lower in (PLACE_WORDS | DIRECTIONS)
        and previous.part not in ("ADV", "DET", "PUNCT", "CCONJ")
        and previous.lower not in DETERMINERS | LINKS
    )


def _is_absolute(words: Sequence[Word], index: int) -> bool:
    """ "with its head turning": the object's own part and what it does."""
    rest = words[index + 1 :]
    if len(rest) < 3 or rest[0].lower not in ("its", "his", "her", "their"):
        return False
    gerunds = [place for place, word in enumerate(rest) if place > 1 and word.is_gerund]
    return bool(gerunds) and all(word.is_noun or word.part == "ADJ" for word in rest[1 : gerunds[0]])


def _is_acting_gerund(words: Sequence[Word], index: int) -> bool:
    """Whether a word in -ing after a noun is what the noun does.

    It is not when it makes a name with the word before it ("oil painting") or after it ("a dog walking
    stick"); a bare noun straight after a verb without motion makes it a compound too ("a coffee making
    machine"), unless somebody acts there ("a dragon breathing fire").
    """
    word = words[index]
    following = words[index + 1] if index + 1 < len(words) else None
    if following is not None and is_compound(word.text, following.text):
        return False
    if words[index - 1].text == "-" or (following is not None and is_auxiliary(following)):
        return False
    if word.lower in NOUNS_IN_ING:
        bare = following is None and _number(words[:index]) == "bare"
        moves = word.moves or (word.verb is not None and word.verb.verb.kinds.startswith("m"))
        led = following is not None and following.lower in (PLACE_WORDS | DETERMINERS) - {"by"}
        return (word.part == "VERB" and following is not None) or (moves and (bare or led))
    if word.moves or following is None or not following.is_noun or following.tag in ("NNS", "NNPS"):
        return True
    return not names_purposes(words[-1].text)


def _is_reduced_passive(words: Sequence[Word], index: int) -> bool:
    """ "a puppet pulled by strings", "leaves blown away": done to it, and it moves."""
    word = words[index]
    following = words[index + 1].lower if index + 1 < len(words) else ""
    if word.verb is None or word.verb.form != "past" or word.lower in DESCRIPTIVE:
        return False
    moves = word.moves or bool(set("mt") & set(word.verb.verb.kinds))
    return moves and following in ("by", "away", "around", "along", "through", "across", "down", "up")


def _evidence(words: Sequence[Word], index: int, bare_verbs: bool) -> float:
    """How much speaks for a finite verb here; more than 0 makes it one."""
    word = words[index]
    following = words[index + 1] if index + 1 < len(words) else None
    reading = word.verb
    tagged = word.part in ("VERB", "AUX") and word.tag in ("VBZ", "VBP", "VBD", "VB")
    if reading is None and not word.moves and not tagged:
        return -10.0
    if word.lower in DESCRIPTIVE or (word.tag == "VBN" and not word.moves):
        return -10.0
    if following is not None and (is_auxiliary(following) or following.lower == "of"):
        return -10.0  # "the porch swing is …", "a set of …"
    form = reading.form if reading else "s" if word.tag == "VBZ" else "past" if word.tag == "VBD" else "base"
    evidence = 2.0 if tagged else -1.0
    evidence += 1.0 if word.moves else 0.0
    evidence += 4.0 * reading.verb.as_verb - 2.0 if reading else 0.0
    evidence -= 1.5 if word.lower in OBJECT_WORDS else 0.0
    if reading is not None and _named_after(words[:index], reading.verb):
        evidence += 3.0  # "a rocking chair rocks"
    if bare_verbs and form == "base" and (word.moves or tagged):
        evidence += 4.0 if following is None or not following.moves else -4.0
    else:
        evidence += _AGREEMENT[_number(words[:index])].get(form, 0.0)
    if _in_compound_after_link(words, index) or _is_known_name(words, index):
        evidence -= 3.0
    return evidence + _following(words, index)


def _following(words: Sequence[Word], index: int) -> float:
    """Evidence of what stands after a verb, or after a noun."""
    if index + 1 == len(words):
        return 0.5
    word = words[index + 1]
    if word.lower in DETERMINERS or word.part == "PRON":
        return 2.0
    if word.part in ("ADV", "INTJ") or word.tag == "RP":
        return 1.5
    if word.part == "ADP" or word.lower in PLACE_WORDS | DIRECTIONS:
        return 1.0
    if word.is_gerund and words[index].lower not in PHASES:
        return -3.0  # "wind chimes tinkling"
    if word.is_noun or word.part == "ADJ":
        last = index + 2 == len(words) and _number(words[:index]) == "one"
        return -1.0 if last or word.tag == "NNS" else -2.0
    if word.lower == "and" and index + 2 < len(words):
        first, second = words[index].verb, words[index + 2].verb
        return 1.5 if first and second and first.form == second.form else 0.0
    return 0.0


def _is_known_name(words: Sequence[Word], index: int) -> bool:
    """Whether a bare word ends a name that WordNet knows: "kitchen sink"."""
    if not index or words[index].lower.endswith("s"):
        return False
    return bool(wordnet().senses(f"{words[index - 1].lower} {words[index].lower}"))


def _named_after(words: Sequence[Word], verb: Verb) -> bool:
    """Whether the object is named after this verb: a rocking chair, a swing."""
    return any(
        word.verb is not None and word.verb.verb is verb and word.verb.form in ("base", "ing")
        for word in words
    )


def _number(words: Sequence[Word]) -> Number:
    """The number of a noun phrase: by its article and its head, the noun before the first preposition."""
    first = words[0].lower if words else ""
    links = [place for place, word in enumerate(words) if word.lower in LINKS - {"and", "or"}]
    head = words[: links[0]] if links else words  # "a bunch of flowers" is singular
    if any(word.lower == "and" for word in head):
        return "plural"
    if first in _ONE:
        return "one"
    if any(word.tag in ("NNS", "NNPS") for word in head[-1:]):
        return "plural"
    return "singular" if first in DETERMINERS else "bare"


def _in_compound_after_link(words: Sequence[Word], index: int) -> bool:
    """ "a bunch of garden *tools*": a plural at the end of a second noun phrase without an article."""
    if words[index].tag not in ("NNS", "NNPS"):
        return False
    for place in range(index - 1, 0, -1):
        if words[place].lower in DETERMINERS:
            return False
        if words[place].lower in LINKS:
            return words[index - 1].tag not in ("NNS", "NNPS")
    return False


def _modifies_next(words: Sequence[Word], index: int) -> bool:
    """Whether a verb form stands before a noun as its attribute."""
    following = words[index + 1] if index + 1 < len(words) else None
    return following is not None and following.part in ("NOUN", "PROPN", "ADJ", "VERB")
