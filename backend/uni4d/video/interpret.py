"""From a query to a motion program, and honest notes about what was not understood."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from uni4d.video.clauses import Clause, beginnings, read_clauses
from uni4d.video.lexicon import Modifier, VerbMatch, find_modifiers, gerund, unknown_motions
from uni4d.video.modifiers import Kind
from uni4d.video.named_parts import LIMB_VERBS, LIT, names_a_part, part_named, played_by
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import DEFAULT_VERB, OPPOSITES, VERBS, Verb, words
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query

__all__ = ["EmbedText", "interpret", "nearest_verb"]

EmbedText = Callable[[str], ArrayLike]
"""A sentence → its embedding ``[D]``."""

_WINGED = frozenset(
    words(
        "bird, eagle, owl, parrot, gull, seagull, pigeon, duck, goose, butterfly, bee, dragon, bat, "
        "crow, swan"
    )
)
"""Objects whose wings beat when they fly, though the prompt does not say so."""

_LAMPS = frozenset(words("lamp, light, lantern, candle, torch, bulb, lamppost, chandelier, streetlight"))
"""Objects that light up at the head, not all over."""

_OWNERS = {
    "drawer": frozenset(words("drawer, drawers, dresser, nightstand")),
    "door": frozenset(
        words(
            "door, cupboard, wardrobe, cabinet, fridge, refrigerator, oven, safe, locker, closet, armoire, "
            "microwave, gate, sideboard, freezer, bookcase, dishwasher, dryer, stove, cage"
        )
    ),
    "lid": frozenset(
        words(
            "chest, box, crate, carton, bin, dustbin, trunk, laptop, notebook, pot, jar, toilet, coffin, "
            "suitcase, toolbox, casket"
        )
    ),
}
"""Part → the things that open by it."""

_BLADED = frozenset(words("fan, windmill, turbine, propeller, ventilator"))
"""Things whose blades turn when they do."""

_GROUNDED = frozenset({"walk", "run", "drive", "swim", "slide", "hover"})
"""Verbs that “in circles” leads along a level circle, upright."""

_FULL_TURNS = frozenset({"spin", "roll", "barrel_roll", "tumble"})
"""Verbs whose amplitude is a whole turn, whatever “wildly” says: half a turn more would not loop."""


def interpret(
    query: Query,
    *,
    duration: float,
    speed: float = 1.0,
    amplitude: float = 1.0,
    embed_text: EmbedText | None = None,
) -> MotionProgram:
    """The program of ``query.motion_text`` for a clip of ``duration`` seconds.

    ``speed`` and ``amplitude`` multiply what the words say. A motion that the lexicon does not know becomes
    the verb that is nearest by text embedding; no motion at all becomes a gentle default. Both are noted.
    """
    text = query.motion_text.strip()
    notes: list[str] = []
    clauses = read_clauses(text, query.object_text)
    if not clauses:
        clauses = [_stand_in(text, query.object_text, embed_text, notes)]
    elif unknown := [w for w in unknown_motions(text, beginnings(text)) if not names_a_part(w)]:
        notes.append(_left_out(unknown, embed_text))
    groups = _groups(_with_company(clauses, query.object_text))
    spans = _spans([max(_seconds(told) for told in group) for group in groups])
    tracks = [
        _track(told, query.object_text, duration, span, speed, amplitude, notes)
        for group, span in zip(groups, spans, strict=True)
        for told in group
    ]
    return MotionProgram(tuple(tracks), duration, query.motion_text, tuple(dict.fromkeys(notes)))


@frozen
class _Told:
    """A verb and what was said about it."""

    verb: Verb
    modifiers: tuple[Modifier, ...]
    part: str
    follows: bool

    def all(self, kind: Kind) -> list[Any]:
        """The values of one kind of modifier."""
        return [modifier.value for modifier in self.modifiers if modifier.kind == kind]


def _stand_in(text: str, thing: str, embed_text: EmbedText | None, notes: list[str]) -> Clause:
    """What stands for a text without a verb of the lexicon."""
    modifiers = tuple(find_modifiers(text))
    named = part_named(_up_to_a_verb(text), "", text, thing)
    if not re.search(r"[^\W\d_]", text):
        name = DEFAULT_VERB
        notes.append(f"The prompt names no motion; it is {gerund(name)} gently.")
    elif any(modifier.value == "circle" for modifier in modifiers):
        name = "orbit"
    else:
        name, cosine = nearest_verb(text, embed_text)
        notes.append(f"Unknown motion “{text}”; the nearest verb is “{gerund(name)}” (cosine {cosine:.2f}).")
    return Clause(VerbMatch(name, text, 0, len(text)), modifiers, follows=False, part=named.part)


def _up_to_a_verb(text: str) -> str:
    """What stands before the first word in -s or -ing that is no part's name: the subject of a verb that the
    lexicon lacks."""
    for found in re.finditer(r"[a-z]+", text.lower()):
        word = found.group()
        if word.endswith(("s", "ing")) and word not in ("its", "his") and not names_a_part(word):
            return text[: found.start()]
    return text


def _left_out(unknown: list[str], embed_text: EmbedText | None) -> str:
    """What was not understood beside what was, each with the verb that comes nearest to it."""
    said = []
    for word in unknown:
        nearest = f" (nearest verb: “{gerund(nearest_verb(word, embed_text)[0])}”)" if embed_text else ""
        said.append(word + nearest)
    return f"Left out, because the lexicon does not know it: {', '.join(said)}."


def nearest_verb(text: str, embed_text: EmbedText | None) -> tuple[str, float]:
    """The verb whose gerund is nearest to ``text`` by cosine of their embeddings, and that cosine."""
    if embed_text is None:
        raise Uni4DError(
            "motion-unknown",
            f"“{text}” is not a motion of the lexicon, and there is no text encoder to compare it with.",
            f"Use one of: {', '.join(sorted(VERBS))}.",
        )
    wanted = _unit(embed_text(text))
    best, best_cosine = DEFAULT_VERB, -math.inf
    for verb in VERBS.values():
        cosine = float(wanted @ _unit(embed_text(f"is {gerund(verb.name)}")))
        if cosine > best_cosine:
            best, best_cosine = verb.name, cosine
    return best, best_cosine


def _unit(vector: ArrayLike) -> np.ndarray:
    array = np.asarray(vector, dtype=np.float64).reshape(-1)
    return array / max(float(np.linalg.norm(array)), 1e-12)


def _with_company(clauses: list[Clause], object_text: str) -> list[_Told]:
    """Verbs as they are played: a gait that is told where to go travels there, wings beat in flight, a wheel
    that goes round spins."""
    told: list[_Told] = []
    names = {clause.verb for clause in clauses}
    for clause in clauses:
        paths = {modifier.value for modifier in clause.modifiers if modifier.kind == "path"}
        led = any(modifier.kind == "direction" for modifier in clause.modifiers)
        played = _played(clause, paths)
        told += [_Told(VERBS[name], clause.modifiers, clause.part, clause.follows) for name in played[:1]]
        travels = any(VERBS[name].layer == "path" for name in (*names, *played))
        if clause.verb in ("walk", "run") and led and not travels:
            played.append("drive" if "return" in paths else "approach")
        if {"fly", "circle"} & set(played) and "flap" not in names and _WINGED & set(_words(object_text)):
            told.append(_Told(VERBS["flap"], (), "whole", follows=False))
        told += [_Told(VERBS[name], clause.modifiers, clause.part, follows=False) for name in played[1:]]
        if "return" in paths and clause.verb in _UNDONE_BY and _UNDONE_BY[clause.verb] not in names:
            told.append(_Told(VERBS[_UNDONE_BY[clause.verb]], clause.modifiers, clause.part, follows=True))
    if "rise" in names:  # what goes up comes down, and does not topple
        told = [evolve(one, verb=VERBS["drop"]) if one.verb.name == "fall" else one for one in told]
    return told


_UNDONE_BY = {
    "open": "close",
    "grow": "shrink",
    "rise": "drop",
    "drop": "rise",
    "approach": "leave",
    "light_up": "fade",
}
"""Verb → the one that brings it back again: “opens and back”."""

_DEPARTING = frozenset({"walk", "run", "drive", "fly", "slide", "roll", "swim", "jump", "bounce"})
"""Verbs that “away” or “towards us” leads there."""


def _played(clause: Clause, paths: set[Any]) -> list[str]:
    """The clause's verb as the words about it make it, and the path that it takes with it."""
    verb = clause.verb
    if clause.part != "whole":
        turns = "circle" in paths and VERBS[verb].layer != "light"
        return ["spin" if turns and clause.part != "head" else played_by(clause.part, verb)]
    if "around" in paths and verb in ("spin", "slide", "hover"):
        return ["orbit"]  # "revolves around the earth"
    if "circle" in paths and verb == "fly":
        return ["circle"]
    if "circle" in paths and verb in _GROUNDED:
        return ["orbit"] if VERBS[verb].layer == "path" else [verb, "orbit"]
    if verb in ("hover", "fly") and {"up", "down"} & paths:
        return ["rise" if "up" in paths else "drop"]
    for word, path in (("away", "leave"), ("toward", "approach")):
        if word in paths and verb in _DEPARTING:
            return [path] if verb in ("drive", "fly", "slide") else [verb, path]
    return [verb]


def _groups(told: list[_Told]) -> list[list[_Told]]:
    """What happens together, group after group; a verb once a group."""
    groups: list[list[_Told]] = []
    for one in told:
        if one.follows or not groups:
            groups.append([])
        if not any(_again(one, other) for other in groups[-1]):
            groups[-1].append(one)
    return groups


def _again(one: _Told, other: _Told) -> bool:
    """Whether it is the same motion: of one part, or of a limb that its verb finds (“lifts a paw, waves”)."""
    parts = {one.part, other.part}
    limb = "whole" in parts and any(one.verb.name in LIMB_VERBS.get(part, ()) for part in parts)
    return one.verb == other.verb and (len(parts) == 1 or limb)


def _seconds(told: _Told) -> float:
    """How long a verb would like to take."""
    counts = told.all("count") or [1.0]
    return float(told.verb.period * counts[0] / math.prod(told.all("speed") or [1.0]))


def _spans(seconds: list[float]) -> list[tuple[float, float]]:
    """The shares of the clip from start to stop in which groups that would like ``seconds`` happen."""
    ends = [sum(seconds[: index + 1]) / sum(seconds) for index in range(len(seconds))]
    return list(zip([0.0, *ends[:-1]], [*ends[:-1], 1.0], strict=True))


def _words(text: str) -> list[str]:
    """Lower-case words, with their singulars by the plain rule."""
    found = re.findall(r"[a-z]+", text.lower())
    return [*found, *(word[:-1] for word in found if word.endswith("s"))]


def _track(
    told: _Told,
    object_text: str,
    duration: float,
    span: tuple[float, float],
    speed: float,
    amplitude: float,
    notes: list[str],
) -> Track:
    verb, (start, stop), part = told.verb, span, _part(told, object_text)
    speed *= math.prod(told.all("speed"))
    seconds = duration * (stop - start)
    if not verb.cyclic or told.all("angle"):
        stop = start + (stop - start) * min(_once(verb, seconds) / speed / seconds, 1.0)
    track = Track(
        verb=verb.name,
        cycles=1.0 if told.all("angle") else _cycles(told, seconds, speed, notes),
        amplitude=_amplitude(told, part, amplitude),
        axis=verb.axis,
        part=part,
        start=start,
        stop=stop,
    )
    for turning in told.all("turning"):
        if verb.axis == (0.0, 0.0, 1.0):
            track = evolve(track, axis=(0.0, 0.0, float(turning)))
    for direction in told.all("direction"):
        track = _directed(track, verb, direction)
    return track


def _once(verb: Verb, seconds: float) -> float:
    """Seconds that a verb takes which happens once in a span of ``seconds``: gravity does not wait, the
    others take their time."""
    return verb.period if verb.name in ("fall", "drop") else max(verb.period, 0.75 * seconds)


_DOOR = math.radians(100.0)
"""How far a door opens."""


def _amplitude(told: _Told, part: str, amplitude: float) -> float:
    verb = told.verb
    if angles := told.all("angle"):
        return float(angles[0]) if verb.unit == "radians" else verb.amplitude
    if verb.name in ("open", "close") and part == "door":
        return _DOOR * amplitude
    if verb.name in ("grow", "shrink") and (sizes := told.all("size")):
        return abs(float(sizes[0]) - 1.0)
    if verb.name in _FULL_TURNS:
        return verb.amplitude
    return float(verb.amplitude * amplitude * math.prod(told.all("amplitude")))


def _part(told: _Told, object_text: str) -> str:
    """The part that was named, or the one that a thing of this name has for this verb."""
    shines = told.verb.layer == "light" and told.part in LIT
    if told.part != "whole" and not shines:
        return told.part
    things = set(_words(object_text))
    if told.verb.layer == "light" and _LAMPS & things:
        return "head"
    if told.verb.name in ("open", "close"):
        return next((part for part, owners in _OWNERS.items() if owners & things), "whole")
    if told.verb.name == "spin" and _BLADED & things and not told.all("angle"):
        return "blades"
    return "whole"


def _cycles(told: _Told, seconds: float, speed: float, notes: list[str]) -> float:
    """Whole cycles for a verb that repeats, so that the clip loops; one course for a verb that does not."""
    if not told.verb.cyclic:
        return 1.0
    if counts := told.all("count"):
        return float(counts[0])
    periods = told.all("period")
    wanted = seconds / float(periods[0]) if periods else seconds * speed / told.verb.period
    cycles = max(1.0, float(round(wanted)))
    if wanted < 0.75 and not (told.follows and told.verb.name in OPPOSITES):
        name = gerund(told.verb.name)
        notes.append(f"One cycle of “{name}” is the least that loops in {seconds:g} s.")
    return cycles


def _directed(track: Track, verb: Verb, direction: tuple[float, float, float]) -> Track:
    """Towards ``direction``: paths go along it, leaning and falling verbs turn about the axis across it."""
    if verb.name in {"fall", "tilt", "bend", "roll", "tumble", "rock", "swing", "sway"}:
        x, y, z = direction
        return track if z else evolve(track, axis=(-y, x, 0.0))  # up × direction
    if verb.name in {"slide", "drive", "approach", "leave", "shake", "fly", "rise", "hover"}:
        return evolve(track, axis=direction)
    if verb.name == "spin" and direction[0]:
        return evolve(track, axis=(0.0, 0.0, direction[0]))  # to its left is counter-clockwise from above
    return track
