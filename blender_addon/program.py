"""Between the panel's properties (:mod:`.motion`) and a motion program as the protocol's plain maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from uni4d_shared.errors import Uni4DError
from uni4d_shared.motions import MOTION_VERBS

from .motion import label

__all__ = ["is_edited", "load", "program_of"]

_TOLERANCE = 1e-4
"""Blender keeps numbers in single precision."""


def load(motion: Any, program: Mapping[str, Any]) -> None:
    """Show a clip's program. One without tracks was not made by moving the mesh: then nothing changes."""
    tracks = program.get("tracks") or ()
    if not tracks:
        return
    motion.tracks.clear()
    motion.active = min(motion.active, len(tracks) - 1)
    motion.duration = program.get("duration", 2.0)
    motion.motion_text = str(program.get("motion_text", ""))
    unknown = sorted({str(told.get("verb")) for told in tracks} - MOTION_VERBS.keys())
    motion.unreadable = f"This add-on does not know the motion “{unknown[0]}”." if unknown else ""
    if not unknown:
        for told in tracks:
            _load_track(motion.tracks.add(), told)


def program_of(motion: Any) -> dict[str, Any]:
    """The program as ``AnimateRequest.settings["program"]`` takes it."""
    if motion.unreadable:
        raise Uni4DError("program-unknown", motion.unreadable, "Update the add-on, or press Generate.")
    if not len(motion.tracks):
        raise Uni4DError("program-empty", "There is no motion.", "Add one with the plus sign.")
    return {
        "tracks": [_track_of(track, number) for number, track in enumerate(motion.tracks, start=1)],
        "duration": _rounded(motion.duration),
        "motion_text": motion.motion_text,
        "notes": [],
    }


def is_edited(motion: Any, program: Mapping[str, Any]) -> bool:
    """Whether the panel's program is another one than that of a clip."""
    tracks = program.get("tracks") or ()
    if not tracks or motion.unreadable:
        return False
    try:
        shown = program_of(motion)
    except Uni4DError:  # it is not a program at the moment
        return True
    if len(shown["tracks"]) != len(tracks) or not _close(shown["duration"], program.get("duration", 2.0)):
        return True
    return not all(
        _same(now, _with_defaults(then)) for now, then in zip(shown["tracks"], tracks, strict=True)
    )


def _with_defaults(told: Mapping[str, Any]) -> dict[str, Any]:
    verb = MOTION_VERBS[told["verb"]]
    defaults = {"cycles": 1.0, "phase": 0.0, "part": "whole", "start": 0.0, "stop": 1.0}
    return {**defaults, "amplitude": verb.amplitude, "axis": verb.axis, **told}


def _load_track(track: Any, told: Mapping[str, Any]) -> None:
    values = _with_defaults(told)
    track.verb = values["verb"]
    for name in ("part", "cycles", "amplitude", "phase", "start", "stop"):
        setattr(track, name, values[name])
    track.set_axis(values["axis"])


def _track_of(track: Any, number: int) -> dict[str, Any]:
    names = ("cycles", "amplitude", "phase", "start", "stop")
    return {
        "verb": track.verb,
        "part": track.part,
        "axis": list(_axis_of(track, number)),
        **{name: _rounded(getattr(track, name)) for name in names},
    }


def _axis_of(track: Any, number: int) -> Sequence[float]:
    if track.meaning.axis_use == "nothing":
        return track.meaning.axis
    if track.way is None:
        raise Uni4DError(
            "program-invalid",
            f"Motion {number}, {label(track.verb)}: its axis points nowhere.",
            "Give the axis a direction.",
        )
    return track.way


def _rounded(value: float) -> float:
    """Without the noise that single precision adds: 0.7, not 0.699999988079071."""
    return float(f"{value:.7g}")


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return (
        one["verb"] == other["verb"]
        and one["part"] == other["part"]
        and (MOTION_VERBS[one["verb"]].axis_use == "nothing" or math.dist(one["axis"], other["axis"]) < 1e-3)
        and all(_close(one[name], other[name]) for name in ("cycles", "amplitude", "phase", "start", "stop"))
    )


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
