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

from uni4d.video.lexicon import Modifier, VerbMatch, scan
from uni4d.video.verbs import OPPOSITES, words

__all__ = ["Clause", "beginnings", "names_a_part", "part_named", "read_clauses"]

_SUCCESSIONS = frozenset(
    {
        *((first, then) for then, first in OPPOSITES.items()),
        *(("rise", "fall"), ("stretch", "squash"), ("squash", "stretch"), ("drop", "bounce")),
        *(("fall", "bounce"), ("wobble", "fall"), ("jump", "fall"), ("close", "open"), ("bounce", "fall")),
        *(("blink", "fade"), ("glow", "fade"), ("pulse", "fade")),  # what has gone out does not flicker
    }
)
"""Pairs that happen in turn though only “and” or a comma joins them."""

_PART_WORDS = {
    "wheels": words("wheel, wheels, tyre, tyres, tire, tires"),
    "blades": words("blade, blades, rotor, rotors, propeller, propellers, sails, vane, vanes"),
    "door": words("door, doors, gate, gates, hatch, shutters"),
    "lid": words("lid, cover, flap, top"),
    "drawer": words("drawer, drawers"),
    "head": words("head, heads"),
}
"""Part → the nouns for it."""

_MOVED = {
    "wheels": frozenset({"spin", "roll", "orbit", "circle", "wobble"}),
    "blades": frozenset({"spin", "orbit", "circle", "shake"}),
    "door": frozenset({"open", "close", "swing", "slide"}),
    "lid": frozenset({"open", "close", "spin", "rise", "leave"}),
    "drawer": frozenset({"open", "close", "slide"}),
    "head": frozenset({"spin", "light_up", "blink", "glow", "fade"}),
}
"""Part → the verbs that it can be the subject or the object of."""

_JOINTS = re.compile(
    r"[,;]?\s*\b(and then|then|before|after that|afterwards|after|while|whilst|as|with|and|but|until|"
    r"finally)\b|[,;]"
)
_IN_TURN = re.compile(r"\b(then|before|afterwards|after that|until|finally)\b")
_NOUN_MARKS = frozenset(
    words("the, a, an, its, his, her, their, on, in, of, at, from, over, under, through, into, onto")
)
_MANNERS = frozenset(words("pace, crawl, speed, rate, tempo"))
"""How fast, after “at”, and no motion: “at a leisurely pace”."""
_LIGHT_VERBS = frozenset(
    words(
        "do, does, doing, did, make, makes, making, made, take, takes, taking, give, gives, giving, "
        "perform, performs, performing, have, has, having"
    )
)


@frozen
class Clause:
    """One verb with what is said about it."""

    match: VerbMatch
    modifiers: tuple[Modifier, ...]
    follows: bool
    """Whether it happens after the clause before it, not at the same time."""
    part: str = "whole"
    """What the words say it moves, of :data:`uni4d_shared.motions.PARTS`."""

    @property
    def verb(self) -> str:
        """Its verb's name."""
        return self.match.verb


def read_clauses(text: str) -> list[Clause]:
    """The clauses of ``text`` in the order in which they happen."""
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
    clauses = []
    for index, match in enumerate(matches):
        stop = cuts[index + 1] if index + 1 < len(cuts) else len(text)
        mine = tuple(m for m in modifiers if cuts[index] <= m.start < stop)
        part = part_named(text[cuts[index] : stop], match.verb)
        clauses.append(Clause(match, mine, turns[index], part))
    return _in_order(_inherited(_merged(clauses), text), text)


def beginnings(text: str) -> list[int]:
    """Offsets at which a clause of ``text`` begins."""
    return [0, *(found.end() for found in _JOINTS.finditer(text.lower()))]


def part_named(text: str, verb: str) -> str:
    """The part that ``text`` names and ``verb`` can move; ``whole`` without one."""
    found = set(re.findall(r"[a-z]+", text.lower()))
    for part, nouns in _PART_WORDS.items():
        if verb in _MOVED[part] and found & set(nouns):
            return part
    return "whole"


def names_a_part(word: str) -> bool:
    """Whether a word is the name of a part, though it may be a verb too (“wheels”)."""
    return any(word.lower() in nouns for nouns in _PART_WORDS.values())


def _verbs_only(matches: list[VerbMatch], text: str) -> list[VerbMatch]:
    """Without nouns that look like verbs (“on the waves”), and “swings open” as the one verb that it is."""
    verbs = [match for match in matches if not _is_noun(match, text)] or matches
    kept: list[VerbMatch] = []
    for match in verbs:
        gap = text[kept[-1].stop : match.start] if kept else "-"
        resultative = match.verb in ("open", "close") and not gap.strip()
        kept.append(evolve(match, start=kept.pop().start) if resultative else match)
    return kept


def _is_noun(match: VerbMatch, text: str) -> bool:
    """Whether an article, a possessive or a preposition stands before it; “does a flip” is a motion all the
    same."""
    before = re.findall(r"[a-z]+", text[: match.start].lower())
    if match.phrase.lower() in _MANNERS and "at" in before[-4:]:
        return True
    if not before or " " in match.phrase or match.phrase.lower().endswith("ing"):
        return False
    done = len(before) > 1 and before[-1] in ("a", "an", "the") and before[-2] in _LIGHT_VERBS
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
        again = next((i for i in group if kept[i].verb == clause.verb), None)
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
        together = re.search(r"\b((?<!for a )while|whilst|as|with)\b", gap)
        if re.search(r"\bafter\b(?! that)", gap):
            ordered[-1:] = [evolve(clause, follows=before.follows), evolve(before, follows=True)]
            continue
        in_turn = (before.verb, clause.verb) in _SUCCESSIONS and not together
        ordered.append(evolve(clause, follows=clause.follows or in_turn))
    return ordered
