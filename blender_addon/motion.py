"""The motion program as properties that the panel edits. They live on the scene: undone with everything else,
and saved with the file. :mod:`.program` goes to and from the protocol's maps.

Which verbs there are, and what their numbers mean, is in :mod:`uni4d_shared.motions`; no backend is needed
to edit.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from random import Random
from typing import Any

import bpy

from uni4d_shared.errors import Uni4DError
from uni4d_shared.motions import MAX_TRACKS, MOTION_VERBS, PARTS, RANGES, MotionVerb

__all__ = [
    "BACKEND_CHOICE",
    "CLASSES",
    "MODELS",
    "NAME",
    "VERB_ITEMS",
    "Uni4DMotion",
    "Uni4DTrack",
    "add_track",
    "get",
    "label",
    "vary",
]

NAME = "uni4d_motion"
"""The property of the scene."""

BACKEND_CHOICE = "backend"
"""The item of ``Uni4DMotion.model`` that leaves the choice to the backend's settings."""

MODELS = (
    (BACKEND_CHOICE, "Backend's Choice", "The model that the backend's settings name", 0),
    ("kinematic", "Kinematic", "Moves the mesh by the motion program below: offline, exact, editable", 1),
    ("cogvideox", "CogVideoX-5B", "Paints the video from a photograph; needs CUDA and weights", 2),
    ("cogvideox15", "CogVideoX 1.5-5B", "Paints the video from a photograph; needs CUDA and weights", 3),
    ("wan", "Wan 2.2 TI2V-5B", "Paints the video from a photograph; needs CUDA and weights", 4),
    ("ltx", "LTX-Video", "Paints the video from a photograph; needs CUDA and weights", 5),
    ("remote", "Video Service", "Sends a photograph and the prompt to a service; needs its keys", 6),
)

_LAYERS = (
    ("turn", "Turns"),
    ("path", "Paths"),
    ("shape", "Body and Parts"),
    ("light", "Light"),
)

_DIRECTIONS: dict[str, tuple[str, tuple[float, float, float]]] = {
    "RIGHT": ("+X", (1.0, 0.0, 0.0)),
    "LEFT": ("-X", (-1.0, 0.0, 0.0)),
    "BACK": ("+Y", (0.0, 1.0, 0.0)),
    "FRONT": ("-Y", (0.0, -1.0, 0.0)),
    "UP": ("+Z", (0.0, 0.0, 1.0)),
    "DOWN": ("-Z", (0.0, 0.0, -1.0)),
}
_FREE = "FREE"
_TOLERANCE = 1e-4
"""Blender keeps numbers in single precision."""
_WHOLE_TURN = 2.0 * math.pi - 1e-3


def label(verb: str) -> str:
    """``"light_up"`` → ``"Light Up"``."""
    return verb.replace("_", " ").title()


def _verb_items() -> list[tuple[str, str, str, int]]:
    """Every verb under its layer. Numbers come from names: a file that was saved outlives changes of the
    table."""
    items: list[tuple[str, str, str, int]] = []
    for layer, heading in _LAYERS:
        items.append(("", heading, "", 0))
        verbs = sorted(verb.name for verb in MOTION_VERBS.values() if verb.layer == layer)
        for name in verbs:
            number = zlib.crc32(name.encode()) & 0x7FFFFFFF
            items.append((name, label(name), MOTION_VERBS[name].summary, number))
    return items


VERB_ITEMS = _verb_items()


# Callbacks have names: a lambda in an annotation does not see this module when Blender calls it.


def _verb_changed(track: Any, context: bpy.types.Context) -> None:
    _take_defaults(track)


def _get_angle(track: Any) -> float:
    return float(track.amplitude)


def _set_angle(track: Any, value: float) -> None:
    track.amplitude = value


def _get_period(track: Any) -> float:
    return _seconds(track) / max(track.cycles, 1e-6)


def _set_period(track: Any, value: float) -> None:
    track.cycles = _seconds(track) / max(value, 1e-3)


class Uni4DTrack(bpy.types.PropertyGroup):
    """One verb. Numbers that Blender shows in another unit are kept once, in the protocol's."""

    verb: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Motion",
        items=VERB_ITEMS,
        default="hover",
        update=_verb_changed,
        description="What it does; choosing another one sets its own values below",
        options=set(),
    )
    part: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Part",
        items=[(part, part.capitalize(), "", number) for number, part in enumerate(PARTS)],
        description="What moves; limbs are found by the motion itself",
        options=set(),
    )
    amplitude: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Amount",
        default=1.0,
        min=RANGES["amplitude"][0],
        max=RANGES["amplitude"][1],
        soft_min=-2.0,
        soft_max=2.0,
        step=1,
        description="How far it goes, in radii of the object, or by what share it changes",
        options=set(),
    )
    angle: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Angle",
        get=_get_angle,
        set=_set_angle,
        min=RANGES["amplitude"][0],
        max=RANGES["amplitude"][1],
        subtype="ANGLE",
        description="How far it turns",
        options=set(),
    )
    cycles: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Repetitions",
        default=1.0,
        min=0.01,
        max=RANGES["cycles"][1],
        soft_max=20.0,
        step=100,
        precision=2,
        description="How often it happens from start to stop; a whole number makes the clip loop",
        options=set(),
    )
    period: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Period",
        get=_get_period,
        set=_set_period,
        min=0.01,
        max=RANGES["duration"][1],
        subtype="TIME",
        unit="TIME_ABSOLUTE",
        description="Seconds of one repetition",
        options=set(),
    )
    phase: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Phase",
        min=RANGES["phase"][0],
        max=RANGES["phase"][1],
        soft_min=0.0,
        soft_max=1.0,
        step=5,
        description="Repetitions that have passed at the start: 0.5 begins in the middle of one",
        options=set(),
    )
    start: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Start",
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="When it begins, as a share of the clip",
        options=set(),
    )
    stop: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Stop",
        default=1.0,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        description="When it ends, as a share of the clip",
        options=set(),
    )
    direction: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Direction",
        items=[
            *((name, f"{name.capitalize()} ({axis})", "") for name, (axis, _) in _DIRECTIONS.items()),
            (_FREE, "Other", "Any direction"),
        ],
        default="UP",
        description="What it turns about, or moves along; the front of objects of the library is -Y",
        options=set(),
    )
    axis: bpy.props.FloatVectorProperty(  # type: ignore[valid-type]
        name="Axis",
        default=(0.0, 0.0, 1.0),
        subtype="XYZ",
        description="The direction in the world; its length does not matter",
        options=set(),
    )

    def set_axis(self, axis: Sequence[float]) -> None:
        """Show a direction by its name, if it has one."""
        self.axis = axis
        near = (name for name, (_, way) in _DIRECTIONS.items() if math.dist(way, axis) < _TOLERANCE)
        self.direction = next(near, _FREE)

    @property
    def way(self) -> Sequence[float] | None:
        """The direction as a unit vector; ``None`` when its axis points nowhere."""
        if self.direction != _FREE:
            return _DIRECTIONS[self.direction][1]
        length = math.hypot(*self.axis)
        return [number / length for number in self.axis] if length > 1e-6 else None

    @property
    def meaning(self) -> MotionVerb:
        """The verb's row of the table."""
        return MOTION_VERBS[self.verb]


class Uni4DMotion(bpy.types.PropertyGroup):
    """The program, and how its clip is made."""

    tracks: bpy.props.CollectionProperty(type=Uni4DTrack)  # type: ignore[valid-type]
    active: bpy.props.IntProperty(name="Motion", options=set())  # type: ignore[valid-type]
    duration: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Duration",
        default=2.0,
        min=0.1,
        max=RANGES["duration"][1],
        soft_max=20.0,
        subtype="TIME",
        unit="TIME_ABSOLUTE",
        description="Seconds of one loop",
        options=set(),
    )
    motion_text: bpy.props.StringProperty(options=set())  # type: ignore[valid-type]
    unreadable: bpy.props.StringProperty(options=set())  # type: ignore[valid-type]
    """Why the last clip's program cannot be edited here; else empty."""
    prompt: bpy.props.StringProperty(options=set())  # type: ignore[valid-type]
    uid: bpy.props.StringProperty(options=set())  # type: ignore[valid-type]
    """Of the prompt and the asset that the program was made for: a saved file can be taken up again."""
    model: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Video Model", items=MODELS, description="What makes the clip", options=set()
    )
    seed: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Seed", min=0, description="Another number gives another variant of the result", options=set()
    )

    @property
    def track(self) -> Uni4DTrack | None:
        """The one that is edited."""
        return self.tracks[self.active] if 0 <= self.active < len(self.tracks) else None


def get(context: bpy.types.Context) -> Any:
    """The present scene's (:class:`Uni4DMotion`)."""
    return getattr(context.scene, NAME)


def add_track(motion: Any, verb: str) -> None:
    """Append a track with the verb's own values, and make it the one that is edited."""
    if len(motion.tracks) >= MAX_TRACKS:
        raise Uni4DError(
            "program-invalid",
            f"A program has at most {MAX_TRACKS} motions.",
            "Remove one before you add another.",
        )
    motion.tracks.add().verb = verb
    motion.active = len(motion.tracks) - 1
    _take_defaults(motion.tracks[motion.active])


def vary(motion: Any, random: Random) -> None:
    """Another variant of the same motions: a little more or less of each, now and then one repetition more or
    less, or the other way round. Whole turns stay whole, and the clip still loops."""
    for track in motion.tracks:
        verb = track.meaning
        if verb.unit != "radians" or abs(track.amplitude) < _WHOLE_TURN:
            track.amplitude *= random.uniform(0.7, 1.25)
        if verb.cyclic and track.cycles >= 2.0:
            track.cycles += random.choice((-1.0, 0.0, 1.0))
        if verb.cyclic and verb.axis_use in ("turned about", "sense") and random.random() < 0.5:
            track.set_axis([-number for number in track.way or verb.axis])


def _take_defaults(track: Any) -> None:
    """The verb's own values; when it happens, and how long, stay as they are."""
    verb = track.meaning
    track.amplitude = verb.amplitude
    track.cycles = max(1.0, float(round(_seconds(track) / verb.period))) if verb.cyclic else 1.0
    track.phase = 0.0
    track.set_axis(verb.axis)


def _seconds(track: Any) -> float:
    """From the track's start to its stop."""
    motion = getattr(track.id_data, NAME, None)
    duration = motion.duration if motion is not None else 2.0
    return float(duration * max(track.stop - track.start, 1e-3))


CLASSES = (Uni4DTrack, Uni4DMotion)
