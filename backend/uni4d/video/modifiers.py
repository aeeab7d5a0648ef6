"""What words like *slowly*, *twice* or *clockwise* do to a motion: a table of phrases and their effects.

An effect is ``(kind, value)``:

=============  ================================================================================
``speed``      times the usual speed
``amplitude``  times the usual amplitude
``count``      repetitions in all
``period``     seconds of one repetition
``angle``      radians that it turns in all
``size``       times its size in the end
``direction``  unit vector in the world (the object faces −Y, its own left is +X, up is +Z)
``turning``    +1 counter-clockwise seen from above, −1 clockwise
``path``       ``circle``, ``place`` (on the spot), ``return`` (there and back), ``away``, ``toward``, ``up``,
               ``down`` or ``around`` (something, not itself)
=============  ================================================================================
"""

from __future__ import annotations

import math
from typing import Literal

from uni4d.video.verbs import words

__all__ = ["IMPLIED", "MODIFIERS", "NUMBERS", "Effect", "Kind", "Value"]

Kind = Literal["speed", "amplitude", "count", "period", "angle", "size", "direction", "turning", "path"]
Value = float | tuple[float, float, float] | str
Effect = tuple[Kind, Value]

_UP, _DOWN = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)
_AHEAD, _BACK = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)
_LEFT, _RIGHT = (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0)

NUMBERS: dict[str, int] = {
    word: number
    for number, word in enumerate(
        words("one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve"), start=1
    )
} | {str(number): number for number in range(1, 100)}
"""Number words and digits → the number."""

_FIXED: tuple[tuple[str, tuple[Effect, ...]], ...] = (
    (
        "slowly, slow, lazily, calmly, leisurely, sluggishly, gradually, in slow motion, slower, "
        "slower and slower, unhurriedly, at leisurely pace, at slow pace, at gentle pace, at easy pace, "
        "at relaxed pace, at snail pace, at crawl, at low speed, at slow speed",
        (("speed", 0.5),),
    ),
    (
        "fast, quickly, rapidly, swiftly, quick, rapid, speedily, hastily, furiously, at full speed, "
        "at top speed, at high speed, faster, faster and faster, briskly, frantically, hurriedly, quicker, "
        "at brisk pace, at fast pace, at quick pace, at rapid pace, at lively pace, at breakneck speed",
        (("speed", 2.0),),
    ),
    ("gently, softly, smoothly", (("speed", 0.7), ("amplitude", 0.6))),
    ("slightly, little, subtly, barely, bit, faintly, low", (("amplitude", 0.5),)),
    (
        "wildly, strongly, hard, high, vigorously, widely, violently, heavily, higher, higher and higher, "
        "energetically, madly, powerfully, deeply, wide",
        (("amplitude", 1.5),),
    ),
    ("once", (("count", 1.0),)),
    ("twice, double, couple of time, couple time", (("count", 2.0),)),
    ("thrice, few time", (("count", 3.0),)),
    ("several time, many time", (("count", 4.0),)),
    ("every second, once second, once every second", (("period", 1.0),)),
    ("twice second", (("period", 0.5),)),
    ("clockwise", (("turning", -1.0),)),
    ("counterclockwise, anticlockwise, counter clockwise, anti clockwise", (("turning", 1.0),)),
    ("upward, upwards, straight up, into sky, into air, skyward, skywards", (("direction", _UP),)),
    ("downward, downwards, straight down, to ground, to floor", (("direction", _DOWN),)),
    ("forward, forwards, ahead, straight ahead", (("direction", _AHEAD),)),
    ("backward, backwards, back", (("direction", _BACK),)),
    ("left, leftward, leftwards", (("direction", _LEFT),)),
    (
        "sideways, side to side, from side to side, left and right, left to right, from left to right, "
        "right to left, from right to left",
        (("direction", _LEFT), ("path", "return")),
    ),
    ("right, rightward, rightwards", (("direction", _RIGHT),)),
    ("up and down", (("direction", _UP), ("path", "return"))),
    ("back and forth, to and fro, forward and backward", (("direction", _AHEAD), ("path", "return"))),
    (
        "in and out, out and in, out and back, out and back in, and back again, back down",
        (("path", "return"),),
    ),
    (
        "in circle, in loop, around in circle, round in circle, around, round, round and round, "
        "around and around, in ring, in wide circle, in large circle, in big circle, in small circle, "
        "in tight circle, in slow circle, in lazy circle, round in wide circle",
        (("path", "circle"),),
    ),
    ("in place, on spot", (("path", "place"),)),
    ("away, off, into distance, off into distance, out of sight", (("path", "away"),)),
    ("up", (("path", "up"),)),
    ("down", (("path", "down"),)),
    (
        "toward viewer, towards viewer, toward camera, towards camera, toward us, towards us, toward me, "
        "towards me, toward you, towards you, at us, closer, nearer",
        (("path", "toward"),),
    ),
    ("come to rest, come to stop, come to halt, to stop, to halt", ()),
    ("to half size, half size", (("size", 0.5),)),
    ("to double size, to twice size, twice size", (("size", 2.0),)),
)


def _counted() -> list[tuple[str, tuple[Effect, ...]]]:
    rows: list[tuple[str, tuple[Effect, ...]]] = []
    for word, number in NUMBERS.items():
        rows.append((f"{word} time, {word} lap, {word} round", (("count", float(number)),)))
        rows.append((f"every {word} second, once every {word} second", (("period", float(number)),)))
    for degrees in range(5, 725, 5):
        rows.append((f"{degrees} degree, by {degrees} degree", (("angle", math.radians(degrees)),)))
    return rows


MODIFIERS: tuple[tuple[str, tuple[Effect, ...]], ...] = (*_FIXED, *_counted())
"""Comma-separated phrases in base forms, without articles and possessives → their effects."""

IMPLIED: dict[str, tuple[Effect, ...]] = {
    "quarter turn": (("angle", 0.5 * math.pi),),
    "half turn": (("angle", math.pi),),
    "full turn": (("count", 1.0),),
    "about face": (("angle", math.pi),),
    "double in size": (("size", 2.0),),
    "triple in size": (("size", 3.0),),
    "halve in size": (("size", 0.5),),
    "speed past": (("speed", 2.0),),
    "back up": (("direction", _BACK),),
    "reverse": (("direction", _BACK),),
    "go backward": (("direction", _BACK),),
    "go backwards": (("direction", _BACK),),
}
"""Verb phrases that say more than their verb."""
