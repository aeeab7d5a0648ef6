"""Words that decide where an object ends and its motion begins; tables for :mod:`uni4d.retrieval.query`."""

from __future__ import annotations

from uni4d.retrieval.motion_verbs import is_name

__all__ = [
    "AUXILIARIES",
    "DESCRIPTIVE",
    "DETERMINERS",
    "DIRECTIONS",
    "LINKS",
    "NOUNS_IN_ING",
    "OBJECT_WORDS",
    "PHASES",
    "PLACE_WORDS",
    "POSTURES",
    "PRONOUNS",
    "RELATIVES",
    "STATES",
    "STATIVES",
    "is_compound",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words(
    """
    a an the this that my your his her its our their each one
    """
)

AUXILIARIES = _words(
    """
    is are was were am be been being 's 're has have had gets get got does do did will would can could may
    might must should shall
    """
)
"""Words that carry a motion verb after them and say nothing about the motion themselves. Verbs of phase do
("starts dancing", "stops turning"): they are part of the motion."""

PHASES = _words(
    """
    start starts started begin begins began keep keeps kept stop stops stopped go goes went continue continues
    continued come comes came
    """
)
"""Verbs that another verb follows: "keeps spinning"."""

LINKS = _words(
    """
    of with in on at from for to by under over near beside without made and or
    """
)
"""Words between nouns inside an object's description."""

PRONOUNS = _words("it they he she")

PLACE_WORDS = _words(
    """
    in on at under over above below behind beside near inside outside through across along during after
    before by between among around against beneath upon next
    """
)
"""Words that start a place or a time, also before the object: "on a windy beach a striped umbrella …"."""

DIRECTIONS = _words(
    """
    into onto to toward towards through across around up down off out away along against past upside back
    """
)
"""Words that tell where a motion goes: in an order the object ends before them ("throw the ball into …")."""

RELATIVES = _words(
    """
    that which who whose while as
    """
)

STATIVES = _words(
    """
    has have had looks look resembles resemble contains contain consists consist weighs weigh costs cost
    belongs belong wears wear wearing features feature featuring containing having resembling facing bearing
    needs need owns own
    """
)
"""Verbs that describe: with them the clause belongs to the object ("a table which has three legs")."""

DESCRIPTIVE = _words(
    """
    made painted covered filled decorated carved built shaped dressed wrapped called named based designed
    inspired surrounded lined loaded topped equipped attached mounted styled coloured colored woven printed
    broken used known seen set packed stuffed crowned framed studded engraved striped polished
    """
)
"""Participles that tell what a thing is like, not what is done to it."""

STATES = (
    ("on", "fire"),
    ("in", "flames"),
    ("in", "flight"),
    ("in", "motion"),
    ("in", "orbit"),
    ("in", "bloom"),
    ("on", "the", "move"),
    ("at", "full", "speed"),
    ("at", "a", "gallop"),
    ("at", "a", "trot"),
    ("ablaze",),
    ("aflame",),
    ("alight",),
    ("afloat",),
)
"""What a thing does, said without a verb."""

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


_KINDS_OF_THINGS = {
    first: frozenset(heads.split())
    for first, heads in {
        "rocking": "crib cradle bed boat sheep pony",
        "spinning": "reel",
        "folding": "table bed screen stool bike bicycle knife ruler umbrella fan",
        "flying": "buttress saucer carpet fish fox squirrel",
        "praying": "mantis",
        "walking": "cane frame boot",
        "swimming": "suit ring",
        "jumping": "jack rope castle",
        "hanging": "clothes lamp basket plant chair light mirror towel shelf cabinet",
        "rolling": "chair suitcase bag ladder",
        "swinging": "chair bench couch",
        "swing": "set seat chair bench ball",
        "rotating": "chair",
        "turning": "lathe table",
        "sliding": "panel",
        "climbing": "wall rose plant",
        "dancing": "shoe floor pole",
        "bouncing": "castle",
        "racing": "bike bicycle helmet",
        "driving": "seat glove",
        "riding": "boot helmet hat",
        "opening": "window",
        "shooting": "target",
        "boxing": "bag",
        "weeping": "fig",
        "humming": "bird",
        "growing": "light lamp",
        "lighting": "pole track",
        "floating": "shelf bed",
        "blowing": "fan",
        "shaking": "table",
        "waving": "cat flag",
        "reclining": "seat",
        "leaning": "mirror tower shelf",
        "diving": "helmet mask",
        "drawing": "table",
        "standing": "lamp desk clock mirror fan",
        "sitting": "bench stool",
        "beating": "heart",
        "burning": "bush",
        "closing": "door",
        "falling": "star",
    }.items()
}
"""First word → nouns with which it names a kind of thing, beside those that WordNet knows."""


def is_compound(first: str, second: str) -> bool:
    """Whether "first second" names a thing ("rocking horse") and not an act ("dancing horse")."""
    seconds = {second.lower(), second.lower().removesuffix("s"), second.lower().removesuffix("es")}
    return bool(seconds & _KINDS_OF_THINGS.get(first.lower(), frozenset())) or is_name(first, second)
