from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import VERBS
from uni4d_shared.errors import Uni4DError

NUMBERS = st.floats(0.01, 100.0)
AXES = st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)
TRACKS = st.builds(
    Track,
    verb=st.sampled_from(sorted(VERBS)),
    cycles=NUMBERS,
    amplitude=st.floats(-10, 10),
    axis=AXES.map(lambda v: tuple(np.asarray(v) / np.linalg.norm(v))),
    phase=st.floats(-2, 2),
    part=st.sampled_from(["whole", "head"]),
)
PROGRAMS = st.builds(
    MotionProgram,
    tracks=st.lists(TRACKS, max_size=4).map(tuple),
    duration=NUMBERS,
    motion_text=st.text(max_size=20),
    notes=st.lists(st.text(max_size=20), max_size=3).map(tuple),
)


@given(PROGRAMS)
def test_a_program_survives_its_plain_dict_and_json(program: MotionProgram) -> None:
    assert MotionProgram.from_dict(json.loads(json.dumps(program.to_dict()))) == program


def test_fields_of_a_newer_version_are_ignored() -> None:
    values = MotionProgram((Track("spin"),), 2.0).to_dict()
    values["invented_later"] = 1
    values["tracks"][0]["also"] = [2]
    assert MotionProgram.from_dict(values).verbs == ("spin",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"duration": 0.0}, "duration"),
        ({"duration": "long"}, "duration"),
        ({"tracks": [{"verb": "teleport"}]}, "teleport"),
        ({"tracks": [{"verb": "spin", "axis": [0, 0, 2]}]}, "unit vector"),
        ({"tracks": [{"verb": "spin", "axis": [0, 1]}]}, "axis"),
        ({"tracks": [{"verb": "spin", "cycles": -1}]}, "cycles"),
        ({"tracks": [{"verb": "spin", "cycles": math.nan}]}, "cycles"),
        ({"tracks": [{}]}, "verb"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], reason: str) -> None:
    values = {**MotionProgram((Track("spin"),), 2.0).to_dict(), **change}
    with pytest.raises(Uni4DError, match=reason) as caught:
        MotionProgram.from_dict(values)
    assert caught.value.code == "program-invalid"
