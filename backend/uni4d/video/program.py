"""The motion program: what moves, how far, how often. It is what the report shows and the panel edits.

A program is a handful of *tracks* over one clip. It holds no geometry: amplitudes are relative to the
body (see :attr:`Track.amplitude`), so one program fits every mesh. It is plain JSON to a person, who may edit
it and have it played again: ``uni4d animate --program FILE``, or the panel in Blender. What verbs, parts and
numbers there are is in :mod:`uni4d_shared.motions`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cattrs
from attrs import Attribute, evolve, field, fields, frozen
from attrs.validators import matches_re
from cattrs.gen import make_dict_structure_fn

from uni4d_shared.errors import Uni4DError
from uni4d_shared.motions import MAX_TRACKS, MOTION_VERBS, PARTS, RANGES, Vector

__all__ = ["PARTS", "MotionProgram", "Track", "read_program"]

_Validator = Callable[[Any, "Attribute[Any]", Any], None]


def _number(*, above: bool = False) -> _Validator:
    """A validator: a finite number of the field's range, or ``above`` its least."""

    def check(_: Any, attribute: Attribute[float], value: float) -> None:
        low, high = RANGES[attribute.name]
        if not (low < value <= high if above else low <= value <= high):
            bounds = f"above {low:g}, at most {high:g}" if above else f"from {low:g} to {high:g}"
            raise ValueError(f"{attribute.name} is {value:g}, expected {bounds}")

    return check


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r}")
    return float(value)


def _vector(value: Any) -> Vector:
    if isinstance(value, str) or len(value) != 3:
        raise ValueError(f"axis is {value!r}, expected three numbers")
    x, y, z = (_float(number) for number in value)
    return x, y, z


def _one_of(known: tuple[str, ...]) -> _Validator:
    def check(_: Any, attribute: Attribute[str], value: str) -> None:
        if value not in known:
            raise ValueError(f"{attribute.name} is {value!r}, expected one of: {', '.join(known)}")

    return check


_STEEPEST = 0.95
"""The z of an axis that a verb still takes whose axis must be level."""


@frozen
class Track:
    """One verb acting on the body, for the whole clip or from ``start`` to ``stop``.

    Before its start a verb does nothing; after its stop one that happens once (open, fall, fade) holds its
    end, until a later track with its opposite (close, rise, light up) takes that back.
    """

    verb: str = field(validator=_one_of(tuple(sorted(MOTION_VERBS))))
    """A key of :data:`uni4d_shared.motions.MOTION_VERBS`."""
    cycles: float = field(default=1.0, converter=_float, validator=_number(above=True))
    """Repetitions from start to stop; a whole number for a cyclic verb, so that the clip loops."""
    amplitude: float = field(converter=_float, validator=_number())
    """In the verb's unit: radians, radii of the bounding sphere, or a ratio of change. The verb's own unless
    it is given."""
    axis: Vector = field(converter=_vector)
    """Unit vector in the world: turned about (right-hand rule), or moved along. The verb's own unless it is
    given."""
    phase: float = field(default=0.0, converter=_float, validator=_number())
    """Cycles that have passed at the start."""
    part: str = field(default="whole", validator=matches_re(r"[a-z]+"))
    """What moves, of :data:`uni4d_shared.motions.PARTS`. Words may name another thing (a pendulum): that
    holds until the program meets a mesh (:func:`uni4d.video.kinematic.on_the_body`); none is read or
    written with it."""
    start: float = field(default=0.0, converter=_float, validator=_number())
    """When it begins, as a share of the clip."""
    stop: float = field(default=1.0, converter=_float, validator=_number())
    """When it ends, as a share of the clip."""

    @amplitude.default
    def _of_the_verb(self) -> float:
        return MOTION_VERBS[self.verb].amplitude if self.verb in MOTION_VERBS else 1.0

    @axis.default
    def _also_of_the_verb(self) -> Vector:
        return MOTION_VERBS[self.verb].axis if self.verb in MOTION_VERBS else (0.0, 0.0, 1.0)

    @axis.validator
    def _is_a_direction(self, attribute: Attribute[Vector], value: Vector) -> None:
        if not abs(sum(number * number for number in value) - 1.0) <= 1e-6:
            raise ValueError(f"axis is {value}, expected a unit vector")
        known = MOTION_VERBS.get(self.verb)
        if known is not None and known.axis_use == "turned about, level" and abs(value[2]) > _STEEPEST:
            raise ValueError(f"axis is {value}, expected a level one for “{self.verb}”")

    @stop.validator
    def _is_after_start(self, attribute: Attribute[float], value: float) -> None:
        if not value - self.start >= 1e-3:
            raise ValueError(f"stop is {value:g}, expected more than start, {self.start:g}")

    def phase_at(self, share: float) -> float:
        """Cycles that have passed when ``share`` of the clip has."""
        inner = (share - self.start) / (self.stop - self.start)
        if self.start > 0.0 or self.stop < 1.0:
            inner = min(max(inner, 0.0), 1.0)
        return self.phase + self.cycles * inner


@frozen
class MotionProgram:
    """Tracks that run at the same time, and how they were found."""

    tracks: tuple[Track, ...] = field()
    duration: float = field(converter=_float, validator=_number(above=True))
    """Seconds of one loop of the clip; frame i is at time i / fps."""
    motion_text: str = ""
    """The words that it was made from."""
    notes: tuple[str, ...] = ()
    """For a person: what was not understood, what was chosen instead, what was scaled to the frame."""

    @tracks.validator
    def _are_not_too_many(self, attribute: Attribute[tuple[Track, ...]], value: tuple[Track, ...]) -> None:
        if len(value) > MAX_TRACKS:
            raise ValueError(f"tracks are {len(value)}, expected at most {MAX_TRACKS}")

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs of all tracks, in order."""
        return tuple(track.verb for track in self.tracks)

    def with_note(self, note: str) -> MotionProgram:
        """The same program with one more note."""
        return evolve(self, notes=(*self.notes, note))

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, ready for msgpack and JSON."""
        values: dict[str, Any] = json.loads(json.dumps(_converter.unstructure(self)))
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MotionProgram:
        """The inverse of :meth:`to_dict`; ``Uni4DError("program-invalid")`` names the fields of ``values``
        that are wrong."""
        try:
            return _converter.structure(values, cls)
        except (cattrs.BaseValidationError, ValueError, TypeError, KeyError) as error:
            raise Uni4DError(
                "program-invalid",
                f"Not a motion program: {'; '.join(_complaints(error))}.",
                "Mend the fields that are named; `uni4d animate --json` prints a valid program.",
            ) from error


def read_program(path: Path) -> MotionProgram:
    """A program that a person edited: a JSON file, either the program or what ``uni4d animate --json``
    printed around it."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Uni4DError("program-invalid", f"{path}: {error}.", "Give a readable JSON file.") from error
    if isinstance(values, dict) and "tracks" not in values and isinstance(values.get("program"), dict):
        values = values["program"]
    return MotionProgram.from_dict(values)


def _complaints(error: BaseException, path: str = "") -> list[str]:
    """``tracks[0].cycles is -1, expected …``: what ``cattrs`` or a validator found wrong, and where."""
    if isinstance(error, cattrs.BaseValidationError):
        found = []
        for inner in error.exceptions:
            here = path
            for note in getattr(inner, "__notes__", ()):
                if isinstance(note, cattrs.IterableValidationNote):
                    here += f"[{note.index}]"
                elif isinstance(note, cattrs.AttributeValidationNote):
                    here = _joined(here, note.name)
            found += _complaints(inner, here)
        return found
    if isinstance(error, KeyError):
        return [f"{path or error.args[0]} is missing"]
    text = str(error)
    name = text.split(" ", 1)[0]
    if name in {attribute.name for kind in (Track, MotionProgram) for attribute in fields(kind)}:
        # A validator names the field itself, and cattrs has named it too when it failed while it was read.
        return [_joined(path.removesuffix(name).removesuffix("."), text)]
    return [f"{path or 'the program'}: {text}"]


def _joined(path: str, rest: str) -> str:
    return f"{path}.{rest}" if path else rest


def _strict(kind: type, words: str) -> Callable[[Any, Any], Any]:
    """Reads a JSON value of one kind and coerces nothing: "2" is no number, and 5 no list."""

    def read(value: Any, _: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise ValueError(f"got {value!r}, expected {words}")
        return kind(value)

    return read


def _fields_only(kind: type) -> Callable[[Any, Any], Any]:
    read: Callable[[Any, Any], Any] = make_dict_structure_fn(kind, _converter)

    def check(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"got {value!r}, expected an object with fields")
        if kind is Track and (part := value.get("part", "whole")) not in PARTS:
            raise ValueError(f"part is {part!r}, expected one of: {', '.join(PARTS)}")
        return read(value, kind)

    return check


_converter = cattrs.Converter(forbid_extra_keys=False)
_converter.register_structure_hook(float, _strict(float, "a number"))
_converter.register_structure_hook(str, _strict(str, "text"))
_converter.register_structure_hook(Track, _fields_only(Track))
_converter.register_structure_hook(MotionProgram, _fields_only(MotionProgram))
