"""From the words of a sentence to verbs and modifiers, by table: no model, no guessing.

Words are reduced to base forms by inflecting the table (not by stripping endings from the text), so
``"flies"``, ``"flying"`` and ``"flew"`` all read ``fly``. Articles, possessives and auxiliaries are
skipped, and the longest phrase wins: ``"flies in circles"`` is ``circle``, ``"shakes its head"`` is ``look``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache

from attrs import frozen

from uni4d.video.modifiers import IMPLIED, MODIFIERS, NUMBERS, Effect, Kind, Value
from uni4d.video.thesaurus import MORE_WORDS
from uni4d.video.verbs import VERBS, words

__all__ = [
    "LIGHT_VERBS",
    "Modifier",
    "VerbMatch",
    "find_modifiers",
    "find_verbs",
    "gerund",
    "motion_words",
    "scan",
    "unknown_motions",
]


@frozen
class VerbMatch:
    """A verb that stands in a text."""

    verb: str
    phrase: str
    """The words that named it, as written."""
    start: int
    stop: int
    """Its span in characters of the text."""


@frozen
class Modifier:
    """What a word like *slowly* does to the tracks; see :mod:`uni4d.video.modifiers`."""

    kind: Kind
    value: Value
    phrase: str
    start: int = 0
    stop: int = 0
    """Its span in characters of the text."""


_SKIPPED = frozenset(
    words(
        "a, an, the, its, it, his, her, their, is, are, was, be, being, been, and, then, while, as, "
        "with, very, really, happily, sadly, my, your, our, that, which, who, own, itself, himself, herself, "
        "themselves, all, way, both, first"
    )
)
"""Words that say nothing about the motion; phrases are compared without them."""

_IRREGULAR = {
    "fly": "flies flew flown flying",
    "run": "ran running",
    "swing": "swung swinging",
    "spin": "spun span spinning",
    "shake": "shook shaken shaking",
    "rise": "rose risen rising",
    "fall": "fell fallen falling",
    "swim": "swam swum swimming",
    "bend": "bent bending",
    "grow": "grew grown growing",
    "shrink": "shrank shrunk shrinking",
    "sink": "sank sunk sinking",
    "light": "lit lights lighting lighted",
    "go": "goes went gone going",
    "come": "came coming comes",
    "take": "took taken taking",
    "drive": "drove driven driving",
    "ride": "rode ridden riding",
    "leave": "left leaving leaves",
    "sleep": "slept sleeping",
    "wake": "woke woken waking",
    "leap": "leapt leaping",
    "hang": "hung hanging",
    "freeze": "froze frozen freezing",
    "lean": "leant leaning",
    "get": "got getting",
    "become": "became becoming",
    "beat": "beaten beating",
    "wring": "wrung wringing",
    "shut": "shutting",
    "shoot": "shot shooting",
    "halve": "halves halved halving",
    "step": "steps stepped stepping",
    "creep": "crept creeping",
    "catch": "caught catching",
    "burst": "bursting",
    "lie": "lay lying",
    "sit": "sat sitting",
    "do": "does did doing done",
    "breath": "breaths",
    "blow": "blew blown blowing",
    "slide": "slid sliding",
    "spring": "sprang sprung springing",
    "wing": "wings",
    "circle": "circles circling circled",
    "shine": "shone shining",
    "bob": "bobs bobbing bobbed",
}
_NO_DOUBLING = frozenset(
    words(
        "open, wander, orbit, barrel, flutter, shiver, quiver, flicker, shimmer, glimmer, glitter, "
        "hover, totter"
    )
)
_VOWELS = "aeiou"


@cache
def _bases() -> dict[str, str]:
    """Every inflected form of every word in the tables → its base form."""
    vocabulary = {word for phrase in (*_phrases(), *_effects()) for word in phrase.split()}
    forms: dict[str, str] = {}
    for word in sorted(vocabulary):
        # "left" is a direction before it is the past of "leave"; a table's own word always reads as itself.
        for form in _inflections(word):
            forms.setdefault(form, word)
    forms.update({word: word for word in vocabulary})
    return forms


def _inflections(word: str) -> set[str]:
    if word in _IRREGULAR:
        return {word, word + ("es" if word.endswith("ch") else "s"), *_IRREGULAR[word].split()}
    doubled = (
        len(word) >= 3
        and word[-1] not in "aeiouwxy"
        and word[-2] in _VOWELS
        and word[-3] not in _VOWELS
        and word not in _NO_DOUBLING
    )
    stem = word + word[-1] if doubled else word
    if word.endswith("y") and word[-2] not in _VOWELS:
        return {word, word[:-1] + "ies", word[:-1] + "ied", word + "ing"}
    if word.endswith("ie"):
        return {word, word + "s", word + "d", word[:-2] + "ying"}
    if word.endswith("e"):
        return {word, word + "s", word + "d", (word if word.endswith("ee") else word[:-1]) + "ing"}
    plural = word + ("es" if word.endswith(("s", "sh", "ch", "x", "z")) else "s")
    return {word, plural, stem + "ed", stem + "ing", word + "ed", word + "ing"}


def _without_skipped(phrase: str) -> str:
    return " ".join(word for word in phrase.split() if word not in _SKIPPED)


@cache
def _effects() -> dict[str, tuple[Effect, ...]]:
    """The modifiers by phrase, skipped words left out."""
    return {_without_skipped(phrase): effects for phrases, effects in MODIFIERS for phrase in words(phrases)}


@cache
def _phrases() -> dict[str, str]:
    """Every verb phrase in base forms → the verb's name."""
    table: dict[str, str] = {}
    for verb in VERBS.values():
        for spoken in (verb.name.replace("_", " "), *verb.synonyms):
            phrase = _without_skipped(spoken)
            if table.get(phrase, verb.name) != verb.name:
                raise ValueError(f"“{spoken}” stands for both {table[phrase]} and {verb.name}")
            table[phrase] = verb.name
    for name, more in MORE_WORDS.items():
        for spoken in words(more):
            table.setdefault(_without_skipped(spoken), name)
    return table


@frozen
class _Token:
    base: str
    start: int
    stop: int


def _tokens(text: str) -> list[_Token]:
    bases = _bases()
    tokens = []
    for match in re.finditer(r"[a-z]+|\d+", text.lower()):
        word = match.group()
        if word in _SKIPPED or _only_again(text.lower(), match):
            continue
        tokens.append(_Token(bases.get(word, word), match.start(), match.end()))
    return tokens


_AGAIN = re.compile(
    r"back (?:again |all the way |right )?(?:up|down|in|inside|out|on|off|over|open|shut)\b(?! and)"
)
_BEFORE_AGAIN = re.compile(r"(\w+) +$")
_BY_ITSELF = frozenset(words("and, then, it, to, lean, leans, leaning"))


def _only_again(text: str, match: re.Match[str]) -> bool:
    """Whether the word is *back* between a verb and its particle: “climbs back up” climbs up."""
    before = _BEFORE_AGAIN.search(text[: match.start()])
    return bool(
        match.group() == "back"
        and before
        and before.group(1) not in _BY_ITSELF
        and _AGAIN.match(text, match.start())
    )


_LONGEST = 5
"""Words of the longest phrase that is looked for."""


def _longest_matches(tokens: list[_Token], phrases: frozenset[str]) -> list[tuple[str, int, int]]:
    """Non-overlapping ``(phrase, first, last + 1)`` of token indices, left to right, longest first."""
    longest = _LONGEST
    found, index = [], 0
    while index < len(tokens):
        for length in range(min(longest, len(tokens) - index), 0, -1):
            phrase = " ".join(token.base for token in tokens[index : index + length])
            if phrase in phrases:
                found.append((phrase, index, index + length))
                index += length
                break
        else:
            index += 1
    return found


def scan(text: str) -> tuple[list[VerbMatch], list[Modifier]]:
    """Verbs and modifiers in one pass, so that “light up” is not also the modifier “up”."""
    tokens = _tokens(text)
    verbs: list[VerbMatch] = []
    modifiers: list[Modifier] = []

    def note(effects: tuple[Effect, ...], start: int, stop: int) -> None:
        modifiers.extend(Modifier(kind, value, text[start:stop], start, stop) for kind, value in effects)

    for phrase, first, last in _longest_matches(tokens, _known()):
        start, stop = tokens[first].start, tokens[last - 1].stop
        if phrase not in _phrases():
            if not _is_another_word(phrase, text[:start].lower(), text[stop:].lower()):
                note(_effects()[phrase], start, stop)
            if phrase in ("around", "round") and _AROUND.match(text[stop:].lower()):
                note((("path", "around"),), start, stop)
            continue
        if (
            phrase == "back up"
            and verbs
            and verbs[-1].verb in ("drop", "squash")
            and "back up" in text.lower()
        ):
            note((("path", "return"),), start, stop)
            continue
        verbs.append(VerbMatch(_phrases()[phrase], text[start:stop], start, stop))
        note(IMPLIED.get(phrase, ()), start, stop)
        if first and (number := NUMBERS.get(tokens[first - 1].base)):  # "three somersaults"
            times = math.ceil(number / 2) if phrase == "step" else number  # two steps are one cycle of a walk
            note((("count", float(times)),), tokens[first - 1].start, stop)
    return verbs, modifiers


_AROUND = re.compile(
    r" +(?:the|a|an|its|his|her|their|us|me|you)\b(?! (?:own |vertical )?(?:axis|corner|middle|spot))"
)
"""Around something, which is not itself."""


def _is_another_word(phrase: str, before: str, after: str) -> bool:
    """Whether *off* only tells from where (“jumps off the worktop” does not go away), *down* where (“down
    the river”), and *back* is a body's."""
    if phrase in ("off", "up", "down"):
        return re.match(r" +(of |the|a|an|its|his|her|their)\b", after) is not None
    return phrase == "back" and re.search(r"\b(the|its|his|her|their) +$", before) is not None


@cache
def _known() -> frozenset[str]:
    return frozenset((*_phrases(), *_effects()))


def find_verbs(text: str) -> list[VerbMatch]:
    """The motion verbs in ``text``, in order, with their spans."""
    return scan(text)[0]


def find_modifiers(text: str) -> list[Modifier]:
    """The modifiers in ``text``, in order."""
    return scan(text)[1]


def unknown_motions(text: str, beginnings: Sequence[int] = (0,)) -> list[str]:
    """Words that read like a motion and that the tables do not know: those in *-ing*, verbs of motion with
    which a clause begins (at one of the offsets ``beginnings``), and any verb in *-s* where one must stand:
    at the very beginning and after *then*, unless it is the subject of a known verb (“arms wave”)."""
    from uni4d.retrieval.motion_verbs import verb_form

    found = []
    for match in re.finditer(r"[a-z]+", text.lower()):
        word = match.group()
        if word in _bases() or word in _SKIPPED or word in LIGHT_VERBS or word in _ENDS:
            continue
        begins = [
            start for start in beginnings if start <= match.start() and not _says(text[start : match.start()])
        ]
        form = verb_form(word)
        moves = form is not None and form.verb.moves
        led = _LED.search(text[: match.start()].lower())  # "the smoke rises"
        said = bool(begins) and not led and (moves or _must_be_a_verb(text, match, begins))
        if said or (len(word) > 4 and word.endswith("ing") and word not in _THINGS_IN_ING):
            found.append(text[match.start() : match.end()])
    return found


LIGHT_VERBS = frozenset(
    words(
        "do, does, doing, did, make, makes, making, made, take, takes, taking, give, gives, giving, "
        "perform, performs, performing, have, has, having"
    )
)
"""Verbs whose noun is the motion: “gives a wave”."""

_LED = re.compile(r"\b(the|a|an|its|his|her|their)\s+$")
_ENDS = frozenset(
    words("stops, stop, stopping, halts, halt, halting, pauses, pause, pausing, waits, wait, waiting")
)
"""What every motion does in the end."""

_THINGS_IN_ING = frozenset(
    words("morning, evening, ceiling, spring, string, king, thing, something, everything, railing, building")
)


_PARALLEL = re.compile(r"(?:(\w+)\W+)?\b(?:and|then|while|but)\W*(?:then\W*)?$")


def _must_be_a_verb(text: str, match: re.Match[str], begins: Sequence[int]) -> bool:
    """In *-s* where a verb must stand: at the very beginning, after *then*, and after *and* when a verb or an
    adverb stands before that (“hovers and recites a poem”, not “its arms and ears”)."""
    after = re.match(r"\W*([a-z]+)", text[match.end() :].lower())
    if not match.group().endswith(("s", "ing")) or (after and after.group(1) in motion_words()):
        return False
    for start in begins:
        joined = _PARALLEL.search(text[:start].lower())
        before = joined.group(1) if joined else None
        spoken = before is not None and (before in _bases() or before in _SKIPPED or before.endswith("ly"))
        if start == 0 or spoken or re.search(r"\bthen\W*$", text[:start].lower()):
            return True
    return False


def _says(text: str) -> bool:
    """Whether anything but skipped words and adverbs stands there."""
    return any(
        word not in _SKIPPED and not word.endswith("ly") for word in re.findall(r"[a-z]+", text.lower())
    )


_RATHER_NOUNS = frozenset(words("bank, pitch, push, pull, zoom, shuffle, creep, screw, reverse, ski"))
"""Words that are motions in a motion text and mostly something else in a prompt: "a piggy bank"."""


@cache
def motion_words() -> frozenset[str]:
    """Every inflected form of every one-word verb: ``"fly"``, ``"flies"``, ``"flying"`` …"""
    spoken = {word for verb in VERBS.values() for word in (verb.name, *verb.synonyms)}
    single = {word for word in spoken if not set(" _") & set(word) and word not in _RATHER_NOUNS}
    return frozenset(form for word in single for form in _inflections(word))


def gerund(verb: str) -> str:
    """``"light_up"`` → ``"lighting up"``: how the verb reads in a sentence."""
    first, *rest = verb.split("_")
    forms = [form for form in _inflections(first) if form.endswith("ing")]
    # A doubled consonant makes the longest form ("running", not "runing").
    return " ".join([max(forms, key=lambda form: (len(form), form)), *rest])
