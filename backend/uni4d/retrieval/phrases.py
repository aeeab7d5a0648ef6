"""Words that decide where an object ends and its motion begins; tables for :mod:`uni4d.retrieval.query`."""

from __future__ import annotations

import re

__all__ = [
    "AUXILIARIES",
    "DETERMINERS",
    "LEAD_IN",
    "NOUNS_IN_ING",
    "OBJECT_WORDS",
    "POSTURES",
    "RELATIVES",
    "is_compound",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEAD_IN = re.compile(
    r"""^\s*(?:please[,\s]+)?
    (?:(?:can|could|would)\s+you\s+(?:please\s+)?)?
    (?:
        (?P<causative>(?:make|let|have|watch|see|help|animate)\s+(?!me\b|us\b)
            |(?:i\s+(?:want|would\s+like|'d\s+like|wish)\s+(?:to\s+see\s+)?)
            |i'd\s+like\s+(?:to\s+see\s+)?
            |let'?s\s+see\s+|let\s+(?:me|us)\s+see\s+)
        |(?:show|give|make|create|generate|render|draw|display|imagine|find|get|bring|build|produce|film)\s+
            (?:me\s+|us\s+)?
        |there\s+(?:is|are|was|were)\s+|here\s+(?:is|are)\s+|this\s+is\s+|it\s+is\s+
    )?
    (?:an?\s+|the\s+|some\s+)??
    (?P<medium>(?:an?\s+|the\s+)?(?:short\s+|looping\s+)?(?:3d|4d|three-dimensional)?\s*
        (?:model|animation|video|clip|scene|movie|gif|asset|mesh|object|picture|image)s?\s+
        (?:of|where|in\s+which|showing|with)\s+)?
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""What people write before the object: "show me", "make", "a 3D animation of", "there is".

After a causative the verb is a bare infinitive ("make the bear dance").
"""

DETERMINERS = _words(
    """
    a an the this that my your his her its our their each one
    """
)

AUXILIARIES = _words(
    """
    is are was were am be been being 's 're has have had gets get got does do did will would can could may
    might must should shall keeps keep kept starts start started begins begin began stops stop stopped
    continues continue goes
    """
)
"""Words that carry a motion verb after them and say nothing about the motion themselves."""

RELATIVES = _words(
    """
    that which who whose while as
    """
)

NOUNS_IN_ING = _words(
    """
    painting building ceiling railing awning bedding clothing earring string ring king wing spring dumpling
    duckling pudding wedding flooring lighting molding moulding carving drawing cutting landing swing thing
    lining shelving piping wiring covering stocking icing evening morning sling viking being sibling crossing
    """
)
"""Nouns that end like a participle: after another noun they do not start a predicate."""

POSTURES = _words(
    """
    sitting standing lying kneeling seated sleeping smiling
    """
)
"""States that a mesh is modelled in: part of the object when they stand before its noun."""

OBJECT_WORDS = _words(
    """
    swing swings slide slides spring springs rock rocks roll rolls fly flies light lights fan fans drill
    drills float floats cradle cradles crane cranes duck ducks top tops ring rings wave waves walker
    walkers bow bows ride rides flower flowers seesaw seesaws plant plants saw saws watch watches hammer
    hammers drum drums bat bats mixer blender shake shakes hop hops pump pumps turn turns turning pot pots
    train trains fish drive drives show shows stand stands sink sinks bank banks dance-floor pool pools
    press presses ship ships ski skis skate skates sled sledge bounce-house whirl open close left right
    beat beats pulse cook cooks guard guards lean model models park plane planes iron irons brush brushes
    orbit blow spiral spirals
    """
)
"""Words for things that are spelled like a verb: after another noun they belong to the object, unless the
grammar says otherwise ("a porch swing", but "the monkey swings")."""

_COMPOUNDS = {
    "rocking": "horse chair crib cradle bed boat sheep pony",
    "spinning": "top wheel rod reel",
    "folding": "chair table bed screen stool door bike bicycle knife ruler umbrella fan",
    "flying": "saucer carpet fish buttress fox squirrel",
    "running": "shoe shoes machine track board",
    "walking": "stick cane frame boot boots",
    "swimming": "pool suit trunks ring cap",
    "jumping": "jack rope castle",
    "skipping": "rope",
    "hanging": "clothes lamp basket plant plants chair light lights mirror towel towels shelf cabinet",
    "rolling": "pin stock chair suitcase bag ladder cart",
    "swinging": "chair bench couch door",
    "swing": "set seat chair bench ball",
    "revolving": "door restaurant",
    "rotating": "chair",
    "turning": "lathe table",
    "sliding": "door window panel",
    "climbing": "frame wall rose plant frame",
    "dancing": "shoe shoes floor pole",
    "bouncing": "castle",
    "racing": "car bike bicycle helmet",
    "driving": "wheel seat glove gloves range",
    "riding": "boot boots helmet hat",
    "opening": "window",
    "shooting": "star target",
    "boxing": "glove gloves ring bag",
    "punching": "bag",
    "weeping": "willow fig",
    "humming": "bird",
    "growing": "light lamp",
    "lighting": "fixture pole track",
    "floating": "shelf dock bed",
    "blowing": "fan",
    "shaking": "table",
    "waving": "cat flag",
    "reclining": "chair seat",
    "leaning": "mirror tower shelf",
    "diving": "board helmet suit mask",
    "bowling": "pin ball pins",
    "drawing": "board table",
    "sleeping": "bag beauty",
    "standing": "lamp desk clock mirror fan",
    "sitting": "bench stool",
    "beating": "heart",
    "burning": "bush",
    "closing": "door",
    "falling": "star",
}
"""First word → nouns with which it names a kind of thing, not something that the thing does."""


def is_compound(first: str, second: str) -> bool:
    """Whether "first second" names a thing ("rocking horse") and not an act ("dancing horse")."""
    return second.lower() in _COMPOUNDS.get(first.lower(), "").split()
