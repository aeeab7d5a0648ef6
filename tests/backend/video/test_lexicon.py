from __future__ import annotations

import pytest

from uni4d.video.lexicon import find_modifiers, find_verbs, gerund, motion_words
from uni4d.video.motions import MOTIONS
from uni4d.video.motions.light import LIGHTS
from uni4d.video.verbs import DEFAULT_VERB, VERBS

PHRASES = {
    "is dancing": ["dance"],
    "dances the tango": ["dance", "dance"],
    "is spinning": ["spin"],
    "rotates slowly": ["spin"],
    "turning around clockwise": ["spin"],
    "flies": ["fly"],
    "flies in circles": ["circle"],
    "is flying in a circle": ["circle"],
    "circles around": ["circle"],
    "is nodding": ["nod"],
    "nods its head twice": ["nod"],
    "shakes its head": ["look"],
    "is shaking": ["shake"],
    "is walking": ["walk"],
    "strolls forward": ["walk"],
    "running fast": ["run"],
    "gallops": ["run"],
    "jumped": ["jump"],
    "leaps and spins": ["jump", "spin"],
    "bounces up and down": ["bounce"],
    "is hopping": ["bounce"],
    "waves": ["wave"],
    "waves goodbye": ["wave"],
    "wags its tail": ["wag"],
    "its tail wags": ["wag"],
    "flaps its wings": ["flap"],
    "flies while its wings flap": ["fly", "flap"],
    "opens": ["open"],
    "opens its lid": ["open"],
    "is growing": ["grow"],
    "gets bigger": ["grow"],
    "lights up": ["light_up"],
    "lighting": ["light_up"],
    "switches on": ["light_up"],
    "turns off": ["fade"],
    "flickers": ["blink"],
    "swings back and forth": ["swing"],
    "rocks gently": ["rock"],
    "sways in the wind": ["sway"],
    "topples over": ["fall"],
    "fell over": ["fall"],
    "falls from the sky": ["drop"],
    "takes off": ["rise"],
    "levitates": ["hover"],
    "drifts sideways": ["slide"],
    "does a barrel roll": ["barrel_roll"],
    "is doing a somersault": ["tumble"],
    "bows": ["bend"],
    "wriggles": ["wiggle"],
    "melts": ["melt"],
    "sleeps": ["breathe"],
    "swims": ["swim"],
}


@pytest.mark.parametrize("text", PHRASES)
def test_a_phrase_names_its_verbs(text: str) -> None:
    assert [match.verb for match in find_verbs(text)] == PHRASES[text]


PROMISED = (
    "spin, orbit, fly, drive, roll, jump, bounce, fall, swing, rock, shake, nod, slide, approach, leave, "
    "dance, walk, wave, flap, bend, twist, stretch, breathe, open, close, melt, grow, sway, "
    "light_up, blink, glow, fade"
)


def test_the_verbs_that_a_person_may_count_on() -> None:
    assert set(PROMISED.split(", ")) <= set(VERBS)


def test_every_verb_has_a_motion_and_answers_to_all_its_words() -> None:
    assert set(VERBS) == set(MOTIONS) | set(LIGHTS)
    assert len(VERBS) >= 24
    for verb in VERBS.values():
        assert len(verb.synonyms) >= 2
        for phrase in (verb.name.replace("_", " "), *verb.synonyms, gerund(verb.name)):
            assert [match.verb for match in find_verbs(phrase)] == [verb.name], phrase


def test_a_match_says_where_it_stands() -> None:
    text = "An old biplane flies in circles over the sea"
    (match,) = find_verbs(text)
    assert text[match.start : match.stop] == match.phrase == "flies in circles"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slowly", [("speed", 0.5)]),
        ("very fast", [("speed", 2.0)]),
        ("jumps three times", [("count", 3.0)]),
        ("nods twice", [("count", 2.0)]),
        ("spins clockwise", [("turning", -1.0)]),
        ("spins counter-clockwise", [("turning", 1.0)]),
        ("moves upwards", [("direction", (0.0, 0.0, 1.0))]),
        ("slides to the left", [("direction", (1.0, 0.0, 0.0))]),
        ("walks in circles", [("path", "circle")]),
        ("moves back and forth", [("direction", (0.0, -1.0, 0.0)), ("path", "return")]),
        ("lights up", []),
        ("is leaving", []),
    ],
)
def test_modifiers(text: str, expected: list[tuple[str, object]]) -> None:
    assert [(modifier.kind, modifier.value) for modifier in find_modifiers(text)] == expected


def test_inflected_forms() -> None:
    words = motion_words()
    assert {"flies", "flying", "flew", "spun", "running", "hopped", "nodding", "waved", "shook"} <= words
    assert not {"teddy", "piano", "the", "lamp"} & words


def test_gerunds_read_well() -> None:
    assert [gerund(v) for v in ("spin", "run", "dance", "light_up", "open", "hover")] == [
        *("spinning", "running", "dancing", "lighting up", "opening", "hovering")
    ]
    assert DEFAULT_VERB in VERBS
