"""A prompt taken apart: what the object is (the paper's *hot text*), and what it does.

"A red bag of potato chips is spinning" → "A red bag of potato chips" + "spinning" (Uni4D §3.4).

In four steps: take off the request or question (:mod:`~uni4d.retrieval.leads`); set aside what stands
before the object; find where the predicate begins (:mod:`~uni4d.retrieval.clauses`); sort both sides, for a
predicate may describe ("is red") and an attribute may act ("a dancing bear").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import evolve

from uni4d.retrieval.clauses import is_auxiliary, predicate_start, state_length
from uni4d.retrieval.leads import fronted, request
from uni4d.retrieval.motion_verbs import names_purposes
from uni4d.retrieval.phrases import (
    DESCRIPTIVE,
    DETERMINERS,
    DIRECTIONS,
    OBJECT_WORDS,
    POSTURES,
    PRONOUNS,
    RELATIVES,
    STATIVES,
    is_compound,
)
from uni4d.retrieval.tagging import Word, join, lowered, spaced, tag
from uni4d.retrieval.wordnet import wordnet
from uni4d.video.lexicon import find_modifiers
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

__all__ = ["parse"]

_MAX_LENGTH = 1000
"""Characters of a prompt that are read; a prompt is a sentence."""

_AND = Word("and", "CCONJ", "CC", " ")
_COMMA = Word(",", "PUNCT", ",", " ")

_Parts = tuple[list[Word], list[Word]]
"""Words of the object, words of the motion."""


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
    asked = request(text)
    words = tag(asked.text)
    parts = _split(words, asked.bare_verbs) if words else ([], [])
    object_text, motion_text = join(parts[0]), join(parts[1])
    if not motion_text and len(words) == 1 and words[0].is_gerund:
        motion_text = object_text  # only a motion was said ("dancing"); it is all there is to search for
    return Query(prompt=prompt, object_text=object_text or text, motion_text=motion_text)


def _split(words: list[Word], bare_verbs: bool) -> _Parts:
    count = fronted(words)
    if _is_order(words, 0) or _is_order(words, count):
        return _order(words)
    before, rest = words[:count], words[count:]
    while rest and rest[0].text == "," and len(rest) > 1:
        rest = rest[1:]
    boundary = predicate_start(rest, bare_verbs)
    description, motion = _sorted_predicate(rest[boundary:])
    acting, described = _attributes_that_act([*rest[:boundary], *description])
    while described and described[-1].part == "ADV" and motion:
        motion.insert(0, described.pop())
    if acting:
        described = _with_fitting_article(described)
    if acting and motion:
        acting.append(_AND)
    motion = [*spaced(acting), *motion]
    if before and motion:
        motion = [*spaced(motion), *lowered(before)]
    elif before:
        described = [*spaced(described), *lowered(before)]
    return described, motion


def _is_order(words: Sequence[Word], start: int) -> bool:
    """ "Spin a grand piano", "open and close the drawer": base forms before an article."""
    index = start
    while index + 1 < len(words):
        word, following = words[index], words[index + 1]
        base = word.moves or (word.verb is not None and word.verb.form == "base")
        if not base or word.lower.endswith(("ing", "ed")) or word.lower in DETERMINERS:
            return False
        if following.lower not in ("and", "or", ","):
            return following.lower in DETERMINERS
        index += 2
    return False


def _order(words: Sequence[Word]) -> _Parts:
    """The object runs from the article to the first adverb, direction or modifier of motion."""
    start = next(index for index, word in enumerate(words) if word.lower in DETERMINERS)
    stop = start + 1
    while stop < len(words) and not _ends_ordered_object(words, stop):
        stop += 1
    return list(words[start:stop]), [*spaced(words[:start]), *words[stop:]]


def _ends_ordered_object(words: Sequence[Word], index: int) -> bool:
    word = words[index]
    if word.part in ("NOUN", "ADJ", "DET"):
        return False
    if word.part == "ADV" or word.lower in DIRECTIONS:
        return True
    rest = "".join(other.text + other.space for other in words[index:])
    return any(rest.startswith(modifier.phrase) for modifier in find_modifiers(rest))


def _sorted_predicate(words: Sequence[Word]) -> _Parts:
    """A predicate is a description of the object ("has three legs", "is red") or, bare, a motion."""
    start, linked, progressive = 0, False, False
    while start < len(words) and _says_nothing(words[start]):
        if words[start].lower in STATIVES and not _is_perfect(words, start):
            break
        linked = linked or is_auxiliary(words[start])
        progressive = progressive or words[start].lower == "being"
        start += 1
    rest = list(words[start:])
    if not rest:
        return [word for word in words if word.part == "ADJ"], []
    head = next((word for word in rest if word.part not in ("ADV", "PART")), rest[0])
    if state_length(rest, 0):
        return [], rest
    if head.lower in STATIVES:
        return list(words), []
    if head.tag == "VBN" and linked and not progressive and not head.moves and _describes(rest, head):
        return [_COMMA, *rest], []
    if linked and not _acts(rest, head):
        return ([_COMMA, *rest] if rest[0].part == "ADJ" else rest), []
    return [], _without_inner_auxiliary(rest, words)


def _says_nothing(word: Word) -> bool:
    empty = RELATIVES | PRONOUNS | {"to", ",", "so"}
    return is_auxiliary(word) or word.lower in empty


def _is_perfect(words: Sequence[Word], index: int) -> bool:
    """ "has been opened", "has to dance", and not "has three legs"."""
    following = words[index + 1] if index + 1 < len(words) else None
    return following is not None and (following.tag == "VBN" or following.lower == "to")


def _describes(words: Sequence[Word], participle: Word) -> bool:
    """ "made of wood", "covered in snow": the outcome, not what happens."""
    following = words[words.index(participle) + 1 :]
    return participle.lower in DESCRIPTIVE or any(
        word.lower in ("of", "in", "with") for word in following[:1]
    )


def _acts(words: Sequence[Word], head: Word) -> bool:
    """Whether a predicate after "is" is an act: its head, or a verb somewhere in it."""
    if head.part == "VERB" or head.moves:
        return True
    return any(word.moves or (word.part == "VERB" and word.tag != "VBN") for word in words)


def _without_inner_auxiliary(rest: list[Word], words: Sequence[Word]) -> list[Word]:
    """ "whose wings are flapping" → "wings flapping"."""
    if not any(word.lower == "whose" for word in words[:2]):
        return rest
    return [word for word in rest if not is_auxiliary(word)]


def _attributes_that_act(described: Sequence[Word]) -> _Parts:
    """Split "a dancing teddy bear" into the act and the rest; "a rocking horse" stays whole."""
    acting: list[Word] = []
    kept: list[Word] = []
    for index, word in enumerate(described):
        nouns_before = any(other.is_noun for other in kept)
        acts = not nouns_before and _is_acting_attribute(described, index)
        (acting if acts else kept).append(word)
    if acting:  # the adverb of an act goes with it: "a slowly spinning globe"
        adverbs = [word for word in kept if word.part == "ADV"]
        kept = [word for word in kept if word.part != "ADV"]
        acting = [*adverbs, *acting]
    return acting, kept


def _with_fitting_article(words: list[Word]) -> list[Word]:
    """ "a dancing elephant" without its act is "an elephant"."""
    if len(words) < 2 or words[0].lower not in ("a", "an"):
        return words
    article = "an" if words[1].lower[0] in "aeiou" else "a"
    article = article.capitalize() if words[0].text[0].isupper() else article
    return [evolve(words[0], text=article), *words[1:]]


def _is_acting_attribute(described: Sequence[Word], index: int) -> bool:
    """Whether a word in -ing before a noun is what the thing does: "dripping" in "a dripping tap".

    Verbs of the kinematic lexicon act unless they make a name with the noun. Others only where things move
    or sound of themselves; before nouns like "board" they tell the purpose ("a chopping board").
    """
    word = described[index]
    if not word.is_gerund or word.lower in POSTURES | OBJECT_WORDS or index + 1 == len(described):
        return False
    nouns = described[index + 1 :]
    if nouns[0].part not in ("NOUN", "PROPN", "ADJ", "VERB", "DET"):
        return False
    if any(is_compound(word.text, noun.text) for noun in nouns[:2]):
        return False
    if word.moves:
        return True
    verb = word.verb.verb if word.verb else None
    head = next((noun for place, noun in enumerate(nouns) if not _is_noun_at(nouns, place + 1)), nouns[-1])
    if verb is None or not (verb.by_things or verb.by_persons) or names_purposes(head.text):
        return False
    return bool(set("mbcws") & set(verb.kinds[:2])) or ("l" in verb.kinds and _has_a_voice(head.lower))


def _has_a_voice(noun: str) -> bool:
    """Whether it is somebody or an animal: "a barking dog" barks, "a warning sign" is for warning."""
    senses = [sense for name in wordnet().singulars(noun) for sense in wordnet().senses(name)[:1]]
    return any(sense.kind in ("animal", "person") for sense in senses)


def _is_noun_at(words: Sequence[Word], index: int) -> bool:
    return index < len(words) and (words[index].is_noun or words[index].part in ("ADJ", "VERB"))
