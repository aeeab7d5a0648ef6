"""What the motion verbs mean: one row a verb. The geometry of each is in :mod:`uni4d.video.motions`.

Amplitudes never depend on the mesh: ``radians`` for a turn, ``radii`` (of the bounding sphere) for a
displacement, ``ratio`` for a change of shape, size or brightness.
"""

from __future__ import annotations

import math
from typing import Literal

from attrs import field, frozen

__all__ = ["DEFAULT_VERB", "OPPOSITES", "VERBS", "Verb", "words"]

Layer = Literal["shape", "turn", "path", "light"]
Unit = Literal["radians", "radii", "ratio"]

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
FRONT = (0.0, -1.0, 0.0)
DOWN = (0.0, 0.0, -1.0)


def words(text: str) -> tuple[str, ...]:
    """The words or phrases of a comma-separated row of a table."""
    return tuple(word.strip() for word in text.split(","))


@frozen
class Verb:
    """One row of the lexicon."""

    name: str
    layer: Layer
    """Tracks act in this order: ``shape`` deforms the body where it stands, ``turn`` rotates it about itself,
    ``path`` carries it through the world; ``light`` changes colours only."""
    synonyms: tuple[str, ...] = field(converter=words)
    """Base forms, comma-separated in the table; several words are a phrase (without articles and
    possessives)."""
    period: float
    """Seconds of one cycle, or of the whole course of a verb that happens once."""
    amplitude: float
    unit: Unit
    axis: tuple[float, float, float] = Z
    cyclic: bool = True
    """Whether it repeats; otherwise it happens once and holds its end."""


def _degrees(angle: float) -> float:
    return math.radians(angle)


_TURN = 2.0 * math.pi

_ROWS = (
    # --- turns: rigid, about the body itself --------------------------------------------------------
    Verb(
        "spin",
        "turn",
        "rotate, turn, turn around, revolve, twirl, whirl, pirouette, gyrate, swivel, quarter turn, "
        "half turn, full turn, about face, whirr, screw",
        2.0,
        _TURN,
        "radians",
        Z,
    ),
    Verb("roll", "turn", "roll over, trundle", 2.0, _TURN, "radians", X),
    Verb("barrel_roll", "turn", "barrel roll, do barrel roll, corkscrew", 2.0, _TURN, "radians", Y),
    Verb(
        "tumble",
        "turn",
        "somersault, flip, cartwheel, backflip, do flip, flip end over end, tumble end over end, go "
        "end over end, loop the loop, do loop the loop, turn over, flip over",
        2.0,
        _TURN,
        "radians",
        X,
    ),
    Verb("rock", "turn", "teeter, seesaw, cradle, pitch", 1.0, _degrees(14), "radians", X),
    Verb("swing", "turn", "dangle, oscillate, hang", 1.0, _degrees(24), "radians", Y),
    Verb("tilt", "turn", "lean, tip, lean over, slant, bank, list", 2.0, _degrees(20), "radians", Y),
    Verb("wobble", "turn", "stagger, totter, reel, waver", 1.0, _degrees(10), "radians", Z),
    Verb(
        "shake",
        "turn",
        "shiver, tremble, vibrate, rattle, quiver, jitter, quake, shudder, judder, buzz",
        0.5,
        0.1,
        "radii",
        X,
    ),
    Verb(
        "fall",
        "turn",
        "topple, tip over, fall over, collapse, faint, keel over, knock over",
        2.0,
        _degrees(90),
        "radians",
        Y,
        cyclic=False,
    ),
    # --- paths: rigid, through the world ------------------------------------------------------------
    Verb("fly", "path", "soar, glide, sail, fly forward, wing, swoop", 2.0, 0.16, "radii", FRONT),
    Verb("circle", "path", "fly in circle, circle around, go in circle, loop around", 2.0, 0.75, "radii", Z),
    Verb(
        "orbit",
        "path",
        "travel around, go around, go round, go round and round, go around and around",
        2.0,
        0.6,
        "radii",
        Z,
    ),
    Verb(
        "hover",
        "path",
        "float, levitate, bob, bob up and down, drift in air, hang in air, go up and down, move up and down",
        2.0,
        0.1,
        "radii",
        Z,
    ),
    Verb(
        "rise",
        "path",
        "ascend, lift off, take off, climb, launch, float up, go up, float away, shoot up, shoot "
        "straight up, shoot into sky, blast off, fly up",
        2.0,
        0.8,
        "radii",
        Z,
        cyclic=False,
    ),
    Verb(
        "drop",
        "path",
        "fall down, plunge, plummet, fall from sky, sink, fall to ground, fall to floor",
        2.0,
        0.5,
        "radii",
        Z,
        cyclic=False,
    ),
    Verb(
        "slide",
        "path",
        "drift, slip, skate, shift, skid, move, glide along, sidestep, push, pull, shove, drag, ski",
        2.0,
        0.35,
        "radii",
        X,
    ),
    Verb(
        "drive",
        "path",
        "ride, cruise, motor, travel, race along, roll along, move forward, speed past, speed along, "
        "zoom, whizz, back up, reverse, go forward",
        2.0,
        0.35,
        "radii",
        FRONT,
    ),
    Verb(
        "approach",
        "path",
        "come, arrive, advance, come closer, charge, draw near",
        2.0,
        0.6,
        "radii",
        FRONT,
        cyclic=False,
    ),
    Verb(
        "leave",
        "path",
        "depart, retreat, go away, withdraw, escape, back away",
        2.0,
        0.6,
        "radii",
        Y,
        cyclic=False,
    ),
    # --- bodies: smooth deformation -----------------------------------------------------------------
    Verb(
        "dance",
        "shape",
        "boogie, groove, disco, jive, waltz, samba, salsa, party, breakdance, tango, do dance",
        1.0,
        1.0,
        "ratio",
        Z,
    ),
    Verb("bounce", "shape", "bounce up and down, boing, hop, rebound, skip, dribble", 1.0, 0.4, "radii", Z),
    Verb("jump", "shape", "leap, spring, vault, jump up and down, pounce", 1.0, 0.55, "radii", Z),
    Verb(
        "sway",
        "shape",
        "sway in wind, sway in breeze, undulate, lilt, ripple, flutter in wind",
        2.0,
        _degrees(24),
        "radians",
        Y,
    ),
    Verb(
        "bend",
        "shape",
        "bow, curtsy, stoop, bend over, lean forward, bend down, hunch",
        2.0,
        _degrees(48),
        "radians",
        X,
    ),
    Verb("twist", "shape", "contort, wring, twist around, coil", 2.0, _degrees(60), "radians", Z),
    Verb(
        "wiggle",
        "shape",
        "squirm, wriggle, shimmy, jiggle, writhe, wobble like jelly, swagger",
        1.0,
        0.09,
        "radii",
        X,
    ),
    Verb("stretch", "shape", "elongate, extend, lengthen, reach up, yawn, wake up", 2.0, 0.3, "ratio", Z),
    Verb(
        "squash",
        "shape",
        "squish, crouch, duck, squat, compress, flatten, sit down, squeeze, do squat",
        2.0,
        0.3,
        "ratio",
        Z,
    ),
    Verb(
        "breathe",
        "shape",
        "inhale, exhale, sigh, sleep, snore, rest, pant, doze, idle, nap",
        2.0,
        0.09,
        "ratio",
        Z,
    ),
    Verb("pulse", "shape", "pulsate, throb, beat, pump, beat like heart, puff", 1.0, 0.1, "ratio", Z),
    Verb(
        "grow",
        "shape",
        "enlarge, expand, swell, inflate, get bigger, become bigger, bloat, blow up, grow up, double "
        "in size, triple in size, swell up, puff up, get larger, grow tall, grow taller",
        2.0,
        0.35,
        "ratio",
        Z,
        cyclic=False,
    ),
    Verb(
        "shrink",
        "shape",
        "get smaller, become smaller, dwindle, deflate, contract, diminish, halve in size",
        2.0,
        0.45,
        "ratio",
        Z,
        cyclic=False,
    ),
    Verb("melt", "shape", "dissolve, liquefy, sag, wilt, thaw, droop", 2.0, 0.6, "ratio", Z, cyclic=False),
    Verb("swim", "shape", "slither, swim around, crawl, snake, paddle", 1.0, 0.12, "radii", X),
    # --- parts --------------------------------------------------------------------------------------
    Verb(
        "walk",
        "shape",
        "stroll, march, stride, step, trot, strut, wander, toddle, hike, pace, prance, plod, limp, "
        "walk in place, sneak, tiptoe, shuffle, waddle, scuttle, stomp, amble, trudge, creep, saunter",
        1.0,
        _degrees(28),
        "radians",
        FRONT,
    ),
    Verb(
        "run",
        "shape",
        "sprint, gallop, jog, dash, scamper, race, rush, canter, chase, scurry",
        0.5,
        _degrees(36),
        "radians",
        FRONT,
    ),
    Verb(
        "nod",
        "shape",
        "nod head, bob head, peck, nod off, headbang, agree, lower head, dip head, hang head",
        1.0,
        _degrees(38),
        "radians",
        X,
    ),
    Verb(
        "look",
        "shape",
        "shake head, look around, turn head, look left and right, look, disagree, glance, search, "
        "watch, gaze, rotate head, head turn, spin head",
        2.0,
        _degrees(42),
        "radians",
        Z,
    ),
    Verb(
        "wave",
        "shape",
        "wave arm, wave hand, wave goodbye, greet, hail, salute, beckon, wave hello, raise arm, "
        "gesture, swing arm",
        2.0,
        _degrees(45),
        "radians",
        Y,
    ),
    Verb(
        "flap",
        "shape",
        "flap wing, beat wing, flutter, flap arm, wing flap, flutter wing",
        0.5,
        _degrees(32),
        "radians",
        Y,
    ),
    Verb("wag", "shape", "wag tail, swish tail, wave tail, tail wag", 0.5, _degrees(35), "radians", Z),
    Verb(
        "open",
        "shape",
        "open up, unfold, unlock, open lid, open door, gape, bloom, blossom, unfurl, lift lid, pop "
        "lid, raise lid, lid open, door open",
        2.0,
        _degrees(60),
        "radians",
        X,
        cyclic=False,
    ),
    Verb(
        "close",
        "shape",
        "shut, close lid, close door, fold, slam, clap, snap shut",
        2.0,
        _degrees(60),
        "radians",
        X,
    ),
    # --- light --------------------------------------------------------------------------------------
    Verb(
        "light_up",
        "light",
        "light, lighten, switch on, turn on, illuminate, shine, brighten, ignite, come on, get "
        "brighter, become brighter, grow brighter, get brighter and brighter, come alight",
        2.0,
        0.85,
        "ratio",
        Z,
        cyclic=False,
    ),
    Verb(
        "blink",
        "light",
        "flash, flicker, strobe, twinkle, blink on and off, flicker on and off, flash on and off, go "
        "on and off, wink",
        0.5,
        0.8,
        "ratio",
    ),
    Verb(
        "glow",
        "light",
        "burn, blaze, shimmer, gleam, radiate, sparkle, glimmer, glitter, burst into flame, catch fire",
        2.0,
        0.7,
        "ratio",
    ),
    Verb(
        "fade",
        "light",
        "dim, darken, switch off, turn off, go dark, go out, fade out, fade away, turn dark, get darker",
        2.0,
        0.75,
        "ratio",
        Z,
        cyclic=False,
    ),
)

VERBS: dict[str, Verb] = {verb.name: verb for verb in _ROWS}
"""Name → verb."""

DEFAULT_VERB = "hover"
"""What a body does when the prompt names no motion: it floats gently, which suits every object."""

OPPOSITES: dict[str, str] = {
    "close": "open",
    "fade": "light_up",
    "light_up": "fade",
    "shrink": "grow",
    "grow": "shrink",
    "drop": "rise",
    "rise": "drop",
    "leave": "approach",
    "approach": "leave",
}
"""Verb → the one whose end it takes back when it follows it."""
