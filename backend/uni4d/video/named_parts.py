"""The part of a thing that a clause of a motion text names: as its subject ("the pendulum swings"), as what
the verb moves ("wags its tail") or as what it is done with ("waving with a paw").

A part that the mesh may have is called by its name in :data:`uni4d_shared.motions.PARTS`; any other by the
noun that was written, and it is for the clip to say that the mesh has none of that name.
"""

from __future__ import annotations

import re

from attrs import frozen

from uni4d.video.lexicon import LIGHT_VERBS
from uni4d.video.verbs import words

__all__ = ["LIMB_VERBS", "LIT", "ON_THE_HEAD", "Named", "names_a_part", "part_named", "played_by"]

_PART_WORDS = {
    "wheels": words("wheel, wheels, tyre, tyres, tire, tires"),
    "blades": words("blade, blades, rotor, rotors, propeller, propellers, sails, vane, vanes"),
    "door": words("door, doors, gate, gates, hatch, shutter, shutters"),
    "lid": words("lid, lids, cover, flap, top"),
    "drawer": words("drawer, drawers"),
    "head": words("head, heads"),
}
"""Part that a mesh can have → the nouns for it."""

_OTHERS = frozenset(
    words(
        "tail, tails, paw, paws, arm, arms, hand, hands, finger, fingers, fist, fists, leg, legs, foot, "
        "feet, knee, knees, shoulder, shoulders, hip, hips, wing, wings, ear, ears, eye, eyes, eyelid, "
        "eyelids, mouth, jaw, jaws, beak, bill, snout, nose, trunk, tongue, neck, mane, hair, fur, "
        "whiskers, horn, horns, antlers, fin, fins, flipper, flippers, hoof, hooves, claw, claws, pincers, "
        "tentacle, tentacles, feeler, feelers, antenna, antennae, antennas, feather, feathers, crest, "
        "shell, petal, petals, leaf, leaves, branch, branches, twigs, stem, stalk, frond, fronds, flower, "
        "blossoms, flame, flames, wick, pendulum, needle, pointer, dial, clapper, bell, lever, handle, "
        "crank, pedal, pedals, keys, page, pages, button, buttons, screen, string, strings, chain, rope, "
        "hook, bucket, boom, jib, turret, barrel, cannon, mast, flag, sail, oars, oar, rudder, anchor, "
        "cabin, cockpit, bonnet, wipers, wiper, headlights, headlight, light, lights, lamp, lamps, bulb, "
        "bulbs, siren, shade, lampshade, pulley, gear, gears, cog, cogs, cogwheel, piston, pistons, skirt, "
        "cape, cloak, scarf, hat, ribbon, ribbons, tassel, hood, seat, backrest, legrest, footrest, "
        "curtain, curtains, turntable, platter, carriage, carriages, cuckoo, dancer, rider, passenger, "
        "lips, eyebrow, eyebrows, brows, chin, belly, tummy, chest, toes, toe, spout, nozzle, scales, "
        "spines, quills, mandibles, stinger, sting, pouch"
    )
)
"""Nouns for other parts, which a clause may also have as its object."""

_SURROUNDINGS = frozenset(
    words(
        "wind, breeze, air, sun, music, rain, storm, ground, floor, sky, time, water, waves, earth, world, "
        "day, night, clock, crowd, audience, camera, viewer, body, whole, thing, toy, object, everything, "
        "rest, it, he, she, they, we, you, i, one, self, snow, tide, current, moment, while, second, "
        "seconds, beat, morning, evening, left, right, side"
    )
)
"""Subjects that are no parts: what is about the thing, and the thing itself."""

_ARMS = frozenset(words("arm, arms, hand, hands, paw, paws, fist, fists, flipper, flippers"))
_WINGS = frozenset(words("wing, wings, feathers"))
_LEGS = frozenset(words("leg, legs, foot, feet"))

LIMB_VERBS: dict[str, frozenset[str]] = {
    "head": frozenset({"nod", "look"}),
    **dict.fromkeys(("tail", "tails"), frozenset({"wag"})),
    **dict.fromkeys(_ARMS, frozenset({"wave"})),
    **dict.fromkeys(_WINGS, frozenset({"flap"})),
    **dict.fromkeys(_LEGS, frozenset({"walk", "run"})),
    **dict.fromkeys(("hips", "knees"), frozenset({"dance", "squash"})),
    **dict.fromkeys(("chest", "belly"), frozenset({"breathe"})),
}
"""Part → the verbs that find it in the mesh by themselves, and move nothing else."""

ON_THE_HEAD = frozenset(
    words(
        "ear, ears, eye, eyes, eyelid, eyelids, eyebrow, eyebrows, mouth, lips, jaw, jaws, beak, bill, "
        "snout, nose, face, horn, horns, antlers, antenna, antennae, antennas, feeler, feelers, whiskers, "
        "crest, hair, hat, flame, flames, bulb, lampshade, shade, flower, blossoms, petal, petals"
    )
)
"""Parts at the upper end, or on it: where a mesh has them not apart, that end moves."""

LIT = frozenset(words("light, lights, lamp, lamps, bulb, bulbs"))
"""What a thing shines with; of a lamp that is its head."""

_PLAYED: tuple[tuple[frozenset[str], frozenset[str], str], ...] = (
    (frozenset({"wheels", "blades"}), frozenset({"orbit", "circle", "roll", "drive"}), "spin"),
    (frozenset({"drawer"}), frozenset({"slide", "rise", "leave"}), "open"),
    (frozenset({"door", "lid"}), frozenset({"swing", "slide", "spin", "rise", "leave", "jump"}), "open"),
    (frozenset({"head"}), frozenset({"spin", "twist", "shake", "swing", "sway", "wiggle", "wag"}), "look"),
    (frozenset({"head"}), frozenset({"bounce", "hover", "bend", "drop", "fall", "rise"}), "nod"),
    (frozenset({"tail", "tails"}), frozenset({"swing", "sway", "shake", "wiggle", "wave", "wobble"}), "wag"),
    (_ARMS, frozenset({"sway", "shake", "wag", "rise", "wobble", "flap"}), "wave"),
    (_WINGS, frozenset({"wave", "shake", "sway", "open", "wobble", "pulse"}), "flap"),
)
"""Parts, verbs, and the verb that plays these on those."""


def played_by(part: str, verb: str) -> str:
    """The verb that plays ``verb`` on ``part``: a tail that sways wags. A part that goes round turns about
    itself."""
    for parts, verbs, played in _PLAYED:
        if part in parts and verb in verbs:
            return played
    return "spin" if verb in ("orbit", "circle") else verb


_POSSESSIVES = "its|his|her|their|both|one|a|an|the|each|all|two|four"
_FILLERS = frozenset(
    words(
        "the, a, an, its, his, her, their, both, all, one, each, is, are, was, were, and, then, while, "
        "whilst, as, with, but, when, once, until, before, after, that, which, first, finally, afterwards, "
        "also, just, suddenly, can, will, starts, start, begins, begin, keeps, to, by, being, gets, get, "
        "of, very, really, so, slowly, fast, again, who, always, ever, never, still, now, there, back, over"
    )
)
_CONNECTIVES = re.compile(r"[,;:]|\b(?:while|whilst|as|and|then|with|but|before|until|when|after)\b")
_LEADING = re.compile(r"(\b(the|its|his|her|their|both|all)|['’]s?) $")
_DETERMINERS = frozenset(words("the, a, an, its, his, her, their, both, all, each"))
_PREPOSITIONS = (
    r"\b(on|onto|in|into|at|to|towards?|through|over|under|by|from|off|around|round|about|of|for|against|"
    r"behind|like|near|along|across|up|down|after|chas\w+)\s+$"
)


@frozen
class Named:
    """A part, and whether it is the subject, so that the verbs after it are its own too."""

    part: str = "whole"
    subject: bool = False
    changes: bool = False
    """Whether the clause has a subject of its own: "it", if no part."""


def part_named(before: str, said: str, after: str, thing: str = "") -> Named:
    """The part in a clause: ``before`` its verb, in the verb's own words ``said``, and ``after`` it.

    ``thing`` is what the motion is of; its own names are no parts of it.
    """
    own = set(re.findall(r"[a-z]+", thing.lower()))
    first, *more = said.lower().split() or [""]
    if more and names_a_part(first) and first not in own and _LEADING.search(before.lower()):
        return Named(_canonical(first), subject=True, changes=True)  # "the owl's head turns" is one phrase
    subject = _subject(before.lower())
    if subject is not None and subject not in own and subject not in _SURROUNDINGS:
        return Named(_canonical(subject), subject=True, changes=True)
    done = _object(said.lower(), after.lower(), own)
    return Named(done or "whole", changes=subject is not None)


def names_a_part(word: str) -> bool:
    """Whether a word is the name of a part, though it may be a verb too (“wheels”)."""
    return word.lower() in _OTHERS or any(word.lower() in nouns for nouns in _PART_WORDS.values())


def _canonical(noun: str) -> str:
    return next((part for part, nouns in _PART_WORDS.items() if noun in nouns), noun)


def _subject(before: str) -> str | None:
    """The noun that stands before the verb, by its article or because it is a part's."""
    found = re.findall(r"[a-z]+", _CONNECTIVES.split(before)[-1].replace("'s", "").replace("’s", ""))
    if LIGHT_VERBS & set(found):
        return None  # "does a little dance"
    if "of" in found[1:]:
        found = found[: found.index("of", 1)]
    while found and (found[-1] in _FILLERS or (found[-1].endswith("ly") and not names_a_part(found[-1]))):
        found.pop()
    if not found:
        return None
    parts = [word for word in found if names_a_part(word)]
    if parts and parts[-1] != found[-1]:
        return parts[-1]  # "the heavy door creaks open"
    led = bool(_DETERMINERS & set(found[-4:-1]))
    pronoun = found[-1] in ("it", "he", "she", "they")
    return found[-1] if led or pronoun or names_a_part(found[-1]) else None


def _object(said: str, after: str, own: set[str]) -> str | None:
    """The part that the verb moves: after a possessive or an article, and no place or direction."""
    text = f"{said} {after}"
    for found in re.finditer(rf"\b(?:{_POSSESSIVES})\s+(?:[a-z]+\s+){{0,2}}?([a-z]+)\b", text):
        noun = found.group(1)
        if not names_a_part(noun) or noun in own or re.search(_PREPOSITIONS, text[: found.start()]):
            continue
        return _canonical(noun)
    bare = re.match(r"(?:[a-z]+\s+)?([a-z]+)\b", after.strip())
    if bare and (noun := bare.group(1)) not in own and names_a_part(noun) and noun not in ("top", "flap"):
        return _canonical(noun) if re.match(rf"(?:[a-z]+ly\s+)?{noun}\b", after.strip()) else None
    return None
