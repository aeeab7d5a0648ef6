"""What may stand in a motion program: the verbs, the parts, the ranges. The wire carries programs as plain
maps (``AnimateResult.program``, ``AnimateRequest.settings["program"]``; see ``PROTOCOL.md``); this table is
what an editor of such maps needs, with or without a backend. Words of a language are not here: the backend
reads those.

Amplitudes never depend on the mesh: ``radians`` for a turn, ``radii`` (of the bounding sphere) for a
displacement, ``ratio`` for a change of shape, size or brightness.
"""

from __future__ import annotations

import math
from typing import Literal

from attrs import frozen

__all__ = [
    "MAX_TRACKS",
    "MOTION_VERBS",
    "PARTS",
    "RANGES",
    "AxisUse",
    "Layer",
    "MotionVerb",
    "Unit",
    "Vector",
]

Vector = tuple[float, float, float]
Layer = Literal["shape", "turn", "path", "light"]
Unit = Literal["radians", "radii", "ratio"]
AxisUse = Literal["turned about", "turned about, level", "moved along", "sense", "nothing"]


@frozen
class MotionVerb:
    """What one verb's track is made of."""

    name: str
    layer: Layer
    """Tracks act in this order: ``shape`` deforms the body where it stands, ``turn`` rotates it about itself,
    ``path`` carries it through the world; ``light`` changes colours only."""
    period: float
    """Seconds of one cycle, or of the whole course of a verb that happens once."""
    amplitude: float
    """Where a track does not say its own."""
    unit: Unit
    axis: Vector
    """Where a track does not say its own."""
    axis_use: AxisUse = "nothing"
    """What a track's axis is for: it turns about it (right-hand rule; a level one must not be vertical),
    moves along it, or takes from the sign of its z which way round it goes (+: counter-clockwise from
    above)."""
    cyclic: bool = True
    """Whether it repeats; otherwise it happens once and holds its end."""

    @property
    def summary(self) -> str:
        """One line for a person."""
        return _SUMMARIES[self.name]


PARTS = ("whole", "head", "wheels", "blades", "door", "lid", "drawer")
"""What a track can move alone; verbs that mean a limb (wave, wag, flap, walk) find it themselves."""

RANGES: dict[str, tuple[float, float]] = {
    "cycles": (0.0, 1000.0),
    "amplitude": (-100.0, 100.0),
    "phase": (-100.0, 100.0),
    "start": (0.0, 1.0),
    "stop": (0.0, 1.0),
    "duration": (0.0, 600.0),
}
"""Field of a track or of the program → its least and greatest value; ``cycles`` and ``duration`` must be
above the least."""

MAX_TRACKS = 32
"""Tracks of one program."""

X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
FRONT = (0.0, -1.0, 0.0)
_TURN = 2.0 * math.pi


def _degrees(angle: float) -> float:
    return math.radians(angle)


_ROWS = (
    # --- turns: rigid, about the body itself
    MotionVerb("spin", "turn", 2.0, _TURN, "radians", Z, "turned about"),
    MotionVerb("roll", "turn", 2.0, _TURN, "radians", X, "turned about, level"),
    MotionVerb("barrel_roll", "turn", 2.0, _TURN, "radians", Y, "turned about"),
    MotionVerb("tumble", "turn", 2.0, _TURN, "radians", X, "turned about"),
    MotionVerb("rock", "turn", 1.0, _degrees(14), "radians", X, "turned about, level"),
    MotionVerb("swing", "turn", 1.0, _degrees(24), "radians", Y, "turned about"),
    MotionVerb("tilt", "turn", 2.0, _degrees(20), "radians", Y, "turned about"),
    MotionVerb("wobble", "turn", 1.0, _degrees(10), "radians", Z),
    MotionVerb("shake", "turn", 0.5, 0.1, "radii", X, "moved along"),
    MotionVerb("fall", "turn", 2.0, _degrees(90), "radians", Y, "turned about, level", cyclic=False),
    # --- paths: rigid, through the world
    MotionVerb("fly", "path", 2.0, 0.16, "radii", FRONT, "moved along"),
    MotionVerb("circle", "path", 2.0, 0.75, "radii", Z, "sense"),
    MotionVerb("orbit", "path", 2.0, 0.6, "radii", Z, "sense"),
    MotionVerb("hover", "path", 2.0, 0.1, "radii", Z, "moved along"),
    MotionVerb("rise", "path", 2.0, 0.8, "radii", Z, "moved along", cyclic=False),
    MotionVerb("drop", "path", 2.0, 0.5, "radii", Z, cyclic=False),
    MotionVerb("slide", "path", 2.0, 0.35, "radii", X, "moved along"),
    MotionVerb("drive", "path", 2.0, 0.35, "radii", FRONT, "moved along"),
    MotionVerb("approach", "path", 2.0, 0.6, "radii", FRONT, "moved along", cyclic=False),
    MotionVerb("leave", "path", 2.0, 0.6, "radii", Y, "moved along", cyclic=False),
    # --- bodies: smooth deformation
    MotionVerb("dance", "shape", 1.0, 1.0, "ratio", Z),
    MotionVerb("bounce", "shape", 1.0, 0.4, "radii", Z),
    MotionVerb("jump", "shape", 1.0, 0.55, "radii", Z),
    MotionVerb("sway", "shape", 2.0, _degrees(24), "radians", Y, "turned about, level"),
    MotionVerb("bend", "shape", 2.0, _degrees(48), "radians", X, "turned about, level"),
    MotionVerb("twist", "shape", 2.0, _degrees(60), "radians", Z),
    MotionVerb("wiggle", "shape", 1.0, 0.09, "radii", X, "moved along"),
    MotionVerb("stretch", "shape", 2.0, 0.3, "ratio", Z),
    MotionVerb("squash", "shape", 2.0, 0.3, "ratio", Z),
    MotionVerb("breathe", "shape", 2.0, 0.09, "ratio", Z),
    MotionVerb("pulse", "shape", 1.0, 0.1, "ratio", Z),
    MotionVerb("grow", "shape", 2.0, 0.35, "ratio", Z, cyclic=False),
    MotionVerb("shrink", "shape", 2.0, 0.45, "ratio", Z, cyclic=False),
    MotionVerb("melt", "shape", 2.0, 0.6, "ratio", Z, cyclic=False),
    MotionVerb("swim", "shape", 1.0, 0.12, "radii", X, "moved along"),
    # --- parts
    MotionVerb("walk", "shape", 1.0, _degrees(28), "radians", FRONT),
    MotionVerb("run", "shape", 0.5, _degrees(36), "radians", FRONT),
    MotionVerb("nod", "shape", 1.0, _degrees(38), "radians", X, "turned about, level"),
    MotionVerb("look", "shape", 2.0, _degrees(42), "radians", Z),
    MotionVerb("wave", "shape", 2.0, _degrees(45), "radians", Y),
    MotionVerb("flap", "shape", 0.5, _degrees(32), "radians", Y),
    MotionVerb("wag", "shape", 0.5, _degrees(35), "radians", Z, "turned about"),
    MotionVerb("open", "shape", 2.0, _degrees(60), "radians", X, "turned about", cyclic=False),
    MotionVerb("close", "shape", 2.0, _degrees(60), "radians", X, "turned about"),
    # --- light
    MotionVerb("light_up", "light", 2.0, 0.85, "ratio", Z, cyclic=False),
    MotionVerb("blink", "light", 0.5, 0.8, "ratio", Z),
    MotionVerb("glow", "light", 2.0, 0.7, "ratio", Z),
    MotionVerb("fade", "light", 2.0, 0.75, "ratio", Z, cyclic=False),
)

MOTION_VERBS: dict[str, MotionVerb] = {verb.name: verb for verb in _ROWS}
"""Name → verb."""

_SUMMARIES = {
    "spin": "Full turns about an axis through its middle, at constant speed",
    "roll": "Rolls on the ground about a level axis",
    "barrel_roll": "Full turns about its own length, as an aeroplane does",
    "tumble": "A leap with one somersault in the air",
    "rock": "To and fro on a rounded base",
    "swing": "A pendulum that hangs from above its top",
    "tilt": "Leans over to one side and comes back",
    "wobble": "Staggers: a lean that runs around the base",
    "shake": "Quick to and fro, with a little turning",
    "fall": "Topples over the edge of its base and stays down",
    "fly": "Cruises beside the camera: rises, sinks, banks",
    "circle": "Flies along a level circle, banked towards its middle",
    "orbit": "Goes along a level circle, upright",
    "hover": "Floats up and down with a slow tilt",
    "rise": "Goes up once, softly, and stays there",
    "drop": "Falls from a little above and bounces twice",
    "slide": "To one side and to the other, upright",
    "drive": "Forward and back; dips when it brakes, rears when it speeds up",
    "approach": "Comes nearer once, and stays there",
    "leave": "Goes away once, and stays there",
    "dance": "Knees bend on each beat, hips sway, the trunk twists, small hops",
    "bounce": "A ball: flies, is squashed on the ground, flies again",
    "jump": "Crouches, leaps, lands, recovers",
    "sway": "A stalk in a breeze",
    "bend": "Bows from the waist and straightens up",
    "twist": "Wrung about the vertical, one way and the other",
    "wiggle": "A wave that travels up the body",
    "stretch": "Taller and thinner, and back",
    "squash": "Lower and wider, and back",
    "breathe": "The trunk swells and sinks",
    "pulse": "A heart: two quick swellings, then a pause",
    "grow": "Larger and larger, and stays so",
    "shrink": "Smaller and smaller, and stays so",
    "melt": "Sinks from the top and spreads at the foot",
    "swim": "A wave from head to tail, as an eel's",
    "walk": "Legs swing about the hips, on the spot; without legs it waddles",
    "run": "As walking, leaning forward, with both feet off the ground in between",
    "nod": "The head bends forward and comes up again",
    "look": "The head turns to one side and to the other",
    "wave": "An arm goes up, waves three times and comes down",
    "flap": "Both wings beat",
    "wag": "The tail goes from side to side",
    "open": "A door, lid or drawer opens and stays open; else the upper part turns back",
    "close": "Opens slowly and snaps shut; after Open it closes what that opened",
    "light_up": "Comes on with a short flicker and stays on",
    "blink": "On and off, as a lamp",
    "glow": "Swells and dies, as embers do",
    "fade": "Grows dark and stays dark",
}
