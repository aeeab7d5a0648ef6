"""Which words of a motion text belong together: its clauses, and in what order they happen.

"Jumps quickly and spins slowly" has two clauses that happen together, each with a speed of its own; in "first
waves, then jumps twice" one follows the other. "Opens and shuts" says nothing about order, and yet nothing
opens and shuts at once: a verb that takes back what another did comes after it.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from attrs import evolve, frozen

from uni4d.video.lexicon import LIGHT_VERBS, Modifier, VerbMatch, scan
from uni4d.video.named_parts import Named, names_a_part, part_named
from uni4d.video.verbs import OPPOSITES, words

__all__ = ["Clause", "beginnings", "read_clauses"]

_SUCCESSIONS = frozenset(
    {
        *((first, then) for then, first in OPPOSITES.items()),
        *(("rise", "fall"), ("stretch", "squash"), ("squash", "stretch"), ("drop", "bounce")),
        *(("fall", "bounce"), ("wobble", "fall"), ("jump", "fall"), ("close", "open"), ("bounce", "fall")),
        *(("blink", "fade"), ("glow", "fade"), ("pulse", "fade")),  # what has gone out does not flicker
        *((verb, "fall") for verb in ("tilt", "rock", "sway", "shake", "spin", "swing", "walk", "run")),
    }
)
"""Pairs that happen in turn though only “and” or a comma joins them."""

_JOINTS = re.compile(
    r"[,;]?\s*\b(and then|then|before|after that|afterwards|after|while|whilst|as|with|and|but|until|"
    r"finally)\b|[,;]"
)
_IN_TURN = re.compile(r"\b(then|before|afterwards|after that|until|finally)\b")
_TOGETHER = re.compile(r"\b((?<!for a )while|whilst|as|with)\b")
_NOUN_MARKS = frozenset(
    words(
        "the, a, an, its, his, her, their, on, in, of, at, from, over, under, through, into, onto, with, "
        "by, like"
    )
)
_MANNERS = frozenset(words("pace, crawl, speed, rate, tempo"))
"""How fast, after “at”, and no motion: “at a leisurely pace”."""


@frozen
class Clause:
    """One verb with what is said about it."""

    match: VerbMatch
    modifiers: tuple[Modifier, ...]
    follows: bool
    """Whether it happens after the clause before it, not at the same time."""
    part: str = "whole"
    """What the words say it moves: of :data:`uni4d_shared.motions.PARTS`, or another noun."""

    @property
    def verb(self) -> str:
        """Its verb's name."""
        return self.match.verb


def read_clauses(text: str, thing: str = "") -> list[Clause]:
    """The clauses of ``text``, said of ``thing``, in the order in which they happen."""
    matches, modifiers = scan(text)
    matches = _verbs_only(matches, text)
    if not matches:
        return []
    spans = [(modifier.start, modifier.stop) for modifier in modifiers]
    cuts, turns = [0], [False]
    for before, after in pairwise(matches):
        joint = _joint(text, before.stop, after.start, spans)
        cuts.append(before.stop if joint is None else joint.start())
        turns.append(bool(_IN_TURN.search(text[before.stop : after.start].lower())))
    if len(turns) > 1 and re.match(r"\W*(after|once)\b", text.lower()):
        turns[1] = True
    turns = _listed(turns, text, matches)
    clauses, last = [], Named()
    for index, match in enumerate(matches):
        stop = cuts[index + 1] if index + 1 < len(cuts) else len(text)
        mine = tuple(m for m in modifiers if cuts[index] <= m.start < stop)
        named = part_named(text[cuts[index] : match.start], match.phrase, text[match.stop : stop], thing)
        if named.part == "whole" and not named.changes and last.subject:
            named = last  # "the lid rattles and lifts off"
        clauses.append(Clause(match, mine, turns[index], named.part))
        last = named
    return _in_order(_inherited(_merged(_without_landings(clauses)), text), text)


def _listed(turns: list[bool], text: str, matches: list[VerbMatch]) -> list[bool]:
    """“Takes off, hovers and then lands”: in a list whose last comes then, each waits for the one before."""
    listed = list(turns)
    for index in range(len(turns) - 2, 0, -1):
        gap = text[matches[index - 1].stop : matches[index].start].lower()
        if listed[index + 1] and "," in gap and not _TOGETHER.search(gap):
            listed[index] = True
    return listed


def _without_landings(clauses: list[Clause]) -> list[Clause]:
    """“Jumps over a car and lands”: that is the end of the jump, no fall of its own."""
    kept = clauses[:1]
    for before, clause in pairwise(clauses):
        landing = re.match(r"(land|touch|come|came)", clause.match.phrase.lower())
        if not (landing and clause.verb == "drop" and before.verb in ("jump", "tumble", "bounce")):
            kept.append(clause)
    return kept


def beginnings(text: str) -> list[int]:
    """Offsets at which a clause of ``text`` begins."""
    return [0, *(found.end() for found in _JOINTS.finditer(text.lower()))]


def _verbs_only(matches: list[VerbMatch], text: str) -> list[VerbMatch]:
    """Without nouns that look like verbs (“on the waves”), and “swings open” as the one verb that it is."""
    subjects = [one for one, after in pairwise(matches) if _is_subject(one, after, text)]
    verbs = [one for one in matches if one not in subjects and not _is_noun(one, text)] or matches
    kept: list[VerbMatch] = []
    for match in verbs:
        gap = text[kept[-1].stop : match.start] if kept else "-"
        resultative = match.verb in ("open", "close") and not gap.strip()
        kept.append(evolve(match, start=kept.pop().start) if resultative else match)
    return kept


def _is_subject(match: VerbMatch, after: VerbMatch, text: str) -> bool:
    """Whether it is the plural noun of which a verb right after it is said: “leaves shaking”, “arms wave”."""
    gap, noun = text[match.stop : after.start].lower(), match.phrase.lower()
    plural = noun.endswith("s") and re.fullmatch(r"\s+(are\s+)?(\w+ly\s+)?", gap)
    said = after.phrase.lower().split()[0]
    led = match.verb in ("approach", "leave") and not names_a_part(noun)  # "comes flying", "goes swimming"
    resultative = after.verb in ("open", "close") and not said.endswith("ing") and not names_a_part(noun)
    return bool(plural) and not led and not resultative and (said.endswith("ing") or not said.endswith("s"))


def _is_noun(match: VerbMatch, text: str) -> bool:
    """Whether an article, a possessive or a preposition stands before it; “does a flip” is a motion all the
    same."""
    before = re.findall(r"[a-z]+", text[: match.start].lower())
    if match.phrase.lower() in _MANNERS and "at" in before[-4:]:
        return True
    if not before or " " in match.phrase or match.phrase.lower().endswith("ing"):
        return False
    if re.search(r"\bwith (a|an) \w+\W*$", text[: match.start].lower()):
        return True  # "with a blue light"
    done = len(before) > 1 and before[-1] in ("a", "an", "the") and before[-2] in LIGHT_VERBS
    return before[-1] in _NOUN_MARKS and not done


def _joint(text: str, start: int, stop: int, spans: list[tuple[int, int]]) -> re.Match[str] | None:
    """The first connective between two verbs that is no part of a modifier (“back and forth”)."""
    for found in _joints(text):
        inside = any(low <= found.start() < high for low, high in spans)
        if start <= found.start() < stop and not inside:
            return found
    return None


@cache
def _joints(text: str) -> tuple[re.Match[str], ...]:
    return tuple(_JOINTS.finditer(text.lower()))


def _merged(clauses: list[Clause]) -> list[Clause]:
    """A verb that is said again at the same time ("dances the tango") is one, with all its modifiers."""
    kept: list[Clause] = []
    for clause in clauses:
        group = _current(kept)
        again = next((i for i in group if _same(kept[i], clause)), None)
        if again is None or clause.follows:
            kept.append(clause)
            continue
        part = kept[again].part if kept[again].part != "whole" else clause.part
        kept[again] = evolve(
            kept[again],
            modifiers=tuple(dict.fromkeys((*kept[again].modifiers, *clause.modifiers))),
            part=part,
        )
    return kept


def _same(one: Clause, other: Clause) -> bool:
    apart = "whole" not in (one.part, other.part) and one.part != other.part
    return one.verb == other.verb and not apart


def _current(clauses: list[Clause]) -> range:
    """Indices of the clauses that happen together with the last one."""
    first = len(clauses)
    while first > 0:
        first -= 1
        if clauses[first].follows:
            break
    return range(first, len(clauses))


def _inherited(clauses: list[Clause], text: str) -> list[Clause]:
    """“Slowly rises and spins”: an adverb before the first verb holds for those after it without one."""
    leading = [
        modifier
        for modifier in clauses[0].modifiers
        if modifier.stop <= clauses[0].match.start and modifier.kind in ("speed", "amplitude")
    ]
    told = {modifier.kind for modifier in leading}
    shared = [clauses[0]]
    for before, clause in pairwise(clauses):
        gap = text[before.match.stop : clause.match.start].lower()
        if clause.follows or not re.search(r"\band\b", gap) or "," in gap:
            leading = []
        lent = [] if told & {modifier.kind for modifier in clause.modifiers} else leading
        shared.append(evolve(clause, modifiers=(*clause.modifiers, *lent)))
    return shared


def _in_order(clauses: list[Clause], text: str) -> list[Clause]:
    """In the order in which they happen: “after” turns two round, and opposites happen in turn."""
    ordered = clauses[:1]
    for clause in clauses[1:]:
        before = ordered[-1]
        gap = text[before.match.stop : clause.match.start].lower()
        together = _TOGETHER.search(gap)
        if re.search(r"\bafter\b(?! that)", gap):
            ordered[-1:] = [evolve(clause, follows=before.follows), evolve(before, follows=True)]
            continue
        in_turn = (before.verb, clause.verb) in _SUCCESSIONS and not together
        ordered.append(evolve(clause, follows=clause.follows or in_turn))
    return ordered
