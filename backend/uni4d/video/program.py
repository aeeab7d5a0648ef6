"""The motion program: what moves, how far, how often. It is what the report shows and the panel edits.

A program is a handful of *tracks* over one clip. It holds no geometry: amplitudes are relative to the
body (see :attr:`Track.amplitude`), so one program fits every mesh.
"""

from __future__ import annotations

from typing import Any

import cattrs
from attrs import evolve, field, frozen, validators

from uni4d.config import explain
from uni4d_shared.errors import Uni4DError

__all__ = ["MotionProgram", "Track"]

Vector = tuple[float, float, float]


def _vector(value: Any) -> Vector:
    x, y, z = (float(number) for number in value)
    return x, y, z


@frozen
class Track:
    """One verb acting on the body for the whole clip."""

    verb: str
    """A key of :data:`uni4d.video.verbs.VERBS`."""
    cycles: float = field(default=1.0, converter=float, validator=validators.gt(0.0))
    """Repetitions in the clip; a whole number for a cyclic verb, so that the clip loops."""
    amplitude: float = field(default=1.0, converter=float)
    """In the verb's unit: radians, radii of the bounding sphere, or a ratio of change."""
    axis: Vector = field(default=(0.0, 0.0, 1.0), converter=_vector)
    """Unit vector in the world: turned about (right-hand rule), or moved along."""
    phase: float = field(default=0.0, converter=float)
    """Cycles that have passed at time zero."""
    part: str = "whole"
    """Light verbs: ``whole`` or ``head``."""

    @axis.validator
    def _is_a_direction(self, attribute: Any, value: Vector) -> None:
        if abs(sum(number * number for number in value) - 1.0) > 1e-6:
            raise ValueError(f"Track.axis: expected a unit vector, got {value}")


@frozen
class MotionProgram:
    """Tracks that run at the same time, and how they were found."""

    tracks: tuple[Track, ...]
    duration: float = field(converter=float, validator=validators.gt(0.0))
    """Seconds of one loop of the clip; frame i is at time i / fps."""
    motion_text: str = ""
    """The words that it was made from."""
    notes: tuple[str, ...] = ()
    """For a person: what was not understood, what was chosen instead, what was scaled to the frame."""

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs of all tracks, in order."""
        return tuple(track.verb for track in self.tracks)

    def with_note(self, note: str) -> MotionProgram:
        """The same program with one more note."""
        return evolve(self, notes=(*self.notes, note))

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, ready for msgpack and JSON."""
        return {
            "motion_text": self.motion_text,
            "duration": self.duration,
            "notes": list(self.notes),
            "tracks": [
                {
                    "verb": track.verb,
                    "cycles": track.cycles,
                    "amplitude": track.amplitude,
                    "axis": list(track.axis),
                    "phase": track.phase,
                    "part": track.part,
                }
                for track in self.tracks
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MotionProgram:
        """The inverse of :meth:`to_dict`; ``Uni4DError("program-invalid")`` says what is wrong with
        ``values``."""
        from uni4d.video.verbs import VERBS

        try:
            program = _converter.structure(values, cls)
        except (cattrs.BaseValidationError, ValueError, TypeError, KeyError) as error:
            raise Uni4DError(
                "program-invalid",
                f"Not a motion program: {explain(error)}.",
                "Send one made by `uni4d animate`.",
            ) from error
        unknown = [verb for verb in program.verbs if verb not in VERBS]
        if unknown:
            raise Uni4DError(
                "program-invalid",
                f"Unknown verb in the motion program: {', '.join(unknown)}.",
                f"Known verbs: {', '.join(sorted(VERBS))}.",
            )
        return program


_converter = cattrs.Converter(forbid_extra_keys=False)
