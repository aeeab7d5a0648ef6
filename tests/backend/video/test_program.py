from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uni4d.video.program import MotionProgram, Track, read_program
from uni4d.video.verbs import VERBS
from uni4d_shared.errors import Uni4DError
from uni4d_shared.motions import PARTS

NUMBERS = st.floats(0.01, 100.0)


def direction(azimuth: float, height: float) -> tuple[float, float, float]:
    across = math.sqrt(1.0 - height * height)
    return (across * math.cos(azimuth), across * math.sin(azimuth), height)


AXES = st.builds(direction, st.floats(0.0, 6.3), st.floats(-0.9, 0.9))
SPANS = st.tuples(st.floats(0.0, 0.9), st.floats(0.01, 1.0)).map(lambda s: (s[0], min(s[0] + s[1], 1.0)))


def spanned(span: tuple[float, float], **fields: object) -> Track:
    return Track(start=span[0], stop=span[1], **fields)  # type: ignore[arg-type]


TRACKS = st.builds(
    spanned,
    span=SPANS,
    verb=st.sampled_from(sorted(VERBS)),
    cycles=NUMBERS,
    amplitude=st.floats(-10, 10),
    axis=AXES,
    phase=st.floats(-2, 2),
    part=st.sampled_from(PARTS),
)
PROGRAMS = st.builds(
    MotionProgram,
    tracks=st.lists(TRACKS, max_size=3).map(tuple),
    duration=NUMBERS,
    motion_text=st.text(max_size=20),
    notes=st.lists(st.text(max_size=20), max_size=3).map(tuple),
)


# Drawing is slow on a busy machine; that says nothing about the program.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
def test_a_program_survives_its_plain_dict_and_json(program: MotionProgram) -> None:
    assert MotionProgram.from_dict(json.loads(json.dumps(program.to_dict()))) == program


def test_fields_of_a_newer_version_are_ignored() -> None:
    values = MotionProgram((Track("spin"),), 2.0).to_dict()
    values["invented_later"] = 1
    values["tracks"][0]["also"] = [2]
    assert MotionProgram.from_dict(values).verbs == ("spin",)


def with_track(**changes: object) -> dict[str, object]:
    """A valid program whose second track has ``changes``."""
    values = MotionProgram((Track("spin"), Track("nod")), 2.0).to_dict()
    values["tracks"][1].update(changes)
    return values


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("verb", "teleport", "one of: approach, "),
        ("verb", 7, "expected text"),
        ("cycles", -1, "above 0, at most 1000"),
        ("cycles", 0, "above 0"),
        ("cycles", 1001, "at most 1000"),
        ("cycles", math.nan, "above 0"),
        ("cycles", "2", "expected a number"),
        ("cycles", True, "expected a number"),
        ("amplitude", math.inf, "from -100 to 100"),
        ("phase", -101, "from -100 to 100"),
        ("axis", [0, 0, 2], "unit vector"),
        ("axis", [0, math.nan, 1], "unit vector"),
        ("axis", [0, 1], "axis"),
        ("axis", "up", "axis"),
        ("part", "knee", "one of: whole, head, "),
        ("start", 1.5, "from 0 to 1"),
        ("start", 1.0, "more than start"),
        ("stop", -0.1, "from 0 to 1"),
    ],
)
def test_an_error_names_the_track_and_the_field(field: str, value: object, expected: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        MotionProgram.from_dict(with_track(**{field: value}))
    assert caught.value.code == "program-invalid"
    assert f"tracks[1].{'stop' if expected == 'more than start' else field}" in caught.value.message
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"duration": 0.0}, "duration is 0"),
        ({"duration": 601}, "at most 600"),
        ({"duration": "long"}, "duration: got 'long'"),
        ({"tracks": [{}]}, "tracks[0].verb is missing"),
        ({"tracks": 5}, "tracks"),
        ({"tracks": [5]}, "tracks[0]: got 5, expected an object"),
        ({"tracks": [{"verb": "spin"}] * 33}, "tracks are 33, expected at most 32"),
        ({"notes": [3]}, "notes[0]: got 3, expected text"),
    ],
)
def test_an_error_names_the_field_of_the_program(change: dict[str, object], expected: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        MotionProgram.from_dict({**with_track(), **change})
    assert expected in caught.value.message


@pytest.mark.parametrize("values", [3, [], None, {}, "spin"])
def test_what_is_no_program_at_all_is_refused(values: object) -> None:
    with pytest.raises(Uni4DError) as caught:
        MotionProgram.from_dict(values)  # type: ignore[arg-type]
    assert caught.value.code == "program-invalid"


def test_what_is_left_out_is_the_verbs_own() -> None:
    (track,) = MotionProgram.from_dict({"tracks": [{"verb": "bend"}], "duration": 2}).tracks
    assert (track.amplitude, track.axis) == (VERBS["bend"].amplitude, VERBS["bend"].axis)


@pytest.mark.parametrize("verb", ["fall", "roll", "rock", "sway", "bend", "nod"])
def test_what_turns_over_cannot_turn_about_the_vertical(verb: str) -> None:
    with pytest.raises(Uni4DError, match=r"tracks\[1\].axis is .* level"):
        MotionProgram.from_dict(with_track(verb=verb, axis=[0, 0, -1]))


def test_a_track_acts_between_its_start_and_its_stop() -> None:
    track = Track("spin", cycles=2, start=0.25, stop=0.75)
    assert [track.phase_at(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.0, 1.0, 2.0, 2.0]


def test_a_program_is_read_from_what_the_command_printed_and_from_an_edited_file(tmp_path: Path) -> None:
    program = MotionProgram((Track("spin", 2.0),), 2.0, "spins twice", ("a note",))
    bare, printed, broken = (tmp_path / name for name in ("bare.json", "printed.json", "broken.json"))
    bare.write_text(json.dumps(program.to_dict()), encoding="utf-8")
    printed.write_text(json.dumps({"clip": "c.mp4", "program": program.to_dict()}), encoding="utf-8")
    broken.write_text("{tracks:", encoding="utf-8")
    assert read_program(bare) == read_program(printed) == program
    for path in (broken, tmp_path / "absent.json"):
        with pytest.raises(Uni4DError, match=path.name) as caught:
            read_program(path)
        assert caught.value.code == "program-invalid"
