from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from uni4d.video.interpret import interpret, nearest_verb
from uni4d.video.program import MotionProgram
from uni4d.video.verbs import DEFAULT_VERB, VERBS
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import Query


def program(motion: str, thing: str = "a thing", **changes: object) -> MotionProgram:
    return interpret(Query(f"{thing} {motion}", thing, motion), duration=2.0, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def embed() -> Callable[[str], np.ndarray]:
    from uni4d.encoders.local.minilm import MiniLM

    encoder = MiniLM()
    return cache(lambda text: np.asarray(encoder.encode([text]).pooled)[0])


def test_the_five_prompts_of_the_demo() -> None:
    verbs = {
        "is dancing": "dance",
        "flies in circles": "circle",
        "is nodding": "nod",
        "is walking": "walk",
        "is spinning": "spin",
    }
    for motion, verb in verbs.items():
        made = program(motion)
        assert made.verbs == (verb,)
        assert made.notes == ()
        assert made.motion_text == motion


@pytest.mark.parametrize("verb", [name for name, row in VERBS.items() if row.cyclic])
def test_the_period_of_a_cyclic_verb_divides_the_clip(verb: str) -> None:
    for words in ("", "slowly", "fast", "gently"):
        (track,) = program(f"{VERBS[verb].synonyms[0]} {words}").tracks
        assert track.cycles == int(track.cycles) >= 1


def test_speed_words_and_settings() -> None:
    usual = program("shakes").tracks[0].cycles
    assert program("shakes slowly").tracks[0].cycles == usual / 2
    assert program("shakes fast").tracks[0].cycles == usual * 2
    assert program("shakes", speed=2.0).tracks[0].cycles == usual * 2
    slow = program("spins slowly")
    assert slow.tracks[0].cycles == 1
    assert "least that loops" in slow.notes[0]


def test_counts_win_over_speed() -> None:
    assert program("jumps three times").tracks[0].cycles == 3
    assert program("quickly nods twice").tracks[0].cycles == 2
    assert program("spins twice").tracks[0].amplitude == pytest.approx(2 * math.pi)


def test_amplitude_words_and_settings() -> None:
    usual = VERBS["swing"].amplitude
    assert program("swings slightly").tracks[0].amplitude == pytest.approx(usual / 2)
    assert program("swings wildly").tracks[0].amplitude == pytest.approx(1.5 * usual)
    assert program("swings", amplitude=0.2).tracks[0].amplitude == pytest.approx(0.2 * usual)
    assert program("spins wildly").tracks[0].amplitude == pytest.approx(2 * math.pi), "or it would not loop"


@pytest.mark.parametrize(
    ("motion", "axis"),
    [
        ("spins", (0, 0, 1)),
        ("spins clockwise", (0, 0, -1)),
        ("spins counterclockwise", (0, 0, 1)),
        ("turns to the right", (0, 0, -1)),
        ("slides to the left", (1, 0, 0)),
        ("slides forward", (0, -1, 0)),
        ("falls over backwards", (-1, 0, 0)),
        ("falls to the left", (0, 1, 0)),
        ("flies upwards", (0, 0, 1)),
        ("flies in circles clockwise", (0, 0, -1)),
    ],
)
def test_directions(motion: str, axis: tuple[float, float, float]) -> None:
    assert program(motion).tracks[0].axis == pytest.approx(axis)


def test_several_motions_at_once() -> None:
    assert program("flies in circles while its wings flap").verbs == ("circle", "flap")
    assert program("jumps and spins").verbs == ("jump", "spin")
    assert program("walks in circles").verbs == ("walk", "orbit")
    assert program("goes around in circles").verbs == ("orbit",)
    assert program("runs around").verbs == ("run", "orbit")
    assert program("flies around").verbs == ("circle",)


def test_a_gait_stays_in_place_unless_it_is_told_where_to_go() -> None:
    assert program("walks").verbs == ("walk",)
    forward = program("walks slowly forward")
    assert forward.verbs == ("walk", "approach")
    assert forward.tracks[1].axis == (0.0, -1.0, 0.0)
    assert program("walks to the left").tracks[1].axis == (1.0, 0.0, 0.0)
    assert program("walks back and forth").verbs == ("walk", "drive")


def test_what_the_object_is_matters() -> None:
    assert program("is flying", "an owl").verbs == ("fly", "flap")
    assert program("is flying", "a biplane").verbs == ("fly",)
    assert program("lights up", "desk lamps").tracks[0].part == "head"
    assert program("lights up", "a snowman").tracks[0].part == "whole"


def test_no_motion_is_a_gentle_default_and_said_so() -> None:
    made = program("")
    assert made.verbs == (DEFAULT_VERB,)
    assert "names no motion" in made.notes[0]
    assert "hovering" in made.notes[0]


@pytest.mark.parametrize(
    ("motion", "plausible"),
    [
        ("is moonwalking", {"walk", "dance", "circle", "orbit", "slide", "hover"}),
        ("is ablaze", {"light_up", "glow", "melt", "blink"}),
        ("performs ballet", {"dance", "spin"}),
        ("is drowning", {"swim", "drop", "melt", "breathe"}),
    ],
)
def test_an_unknown_motion_becomes_the_nearest_verb_and_it_is_said(
    embed: Callable[[str], np.ndarray], motion: str, plausible: set[str]
) -> None:
    made = program(motion, embed_text=embed)
    assert made.verbs[0] in plausible
    assert motion in made.notes[0]
    assert "nearest verb" in made.notes[0]


def test_an_unknown_motion_beside_a_known_one_is_left_out_and_it_is_said(
    embed: Callable[[str], np.ndarray],
) -> None:
    made = program("wagging its tail and purring")
    assert made.verbs == ("wag",)
    assert made.notes == ("Left out, because the lexicon does not know it: purring.",)
    with_nearest = program("wagging its tail and purring", embed_text=embed).notes[0]
    assert "purring (nearest verb: “" in with_nearest


def test_each_verb_keeps_its_own_adverbs() -> None:
    jump, spin = program("jumps quickly and spins slowly").tracks
    assert jump.cycles > program("jumps").tracks[0].cycles
    assert spin.cycles <= program("spins").tracks[0].cycles
    wave, nod = program("slowly waves and nods twice").tracks
    assert nod.cycles == 2
    assert wave.cycles == 1


def test_one_after_the_other_or_at_the_same_time() -> None:
    jump, spin = program("jumps, then spins").tracks
    assert (jump.start, spin.stop) == (0.0, 1.0)
    assert jump.stop == pytest.approx(spin.start)
    assert program("jumps after spinning").verbs == ("spin", "jump")
    assert {track.stop for track in program("jumps while spinning").tracks} == {1.0}
    opened, closed = program("opens and shuts").tracks
    assert opened.stop <= closed.start


@pytest.mark.parametrize(
    ("thing", "motion", "verb", "part"),
    [
        ("a wagon", "its wheels turn", "spin", "wheels"),
        ("a table fan", "turns", "spin", "blades"),
        ("a wardrobe", "opens", "open", "door"),
        ("a chest", "opens", "open", "lid"),
        ("a desk", "a drawer slides out", "open", "drawer"),
        ("a flower", "opens", "open", "whole"),
        ("an owl", "spins its head", "look", "head"),
    ],
)
def test_a_part_is_named_or_follows_from_what_the_thing_is(
    thing: str, motion: str, verb: str, part: str
) -> None:
    (track,) = program(motion, thing).tracks
    assert (track.verb, track.part) == (verb, part)


def test_every_verb_is_nearest_to_itself(embed: Callable[[str], np.ndarray]) -> None:
    for verb, text in (("dance", "is dancing"), ("light_up", "is lighting up")):
        name, cosine = nearest_verb(text, embed)
        assert name == verb
        assert cosine == pytest.approx(1.0, abs=1e-4)


def test_without_an_encoder_an_unknown_motion_is_an_error_that_lists_the_verbs() -> None:
    with pytest.raises(Uni4DError) as caught:
        program("is moonwalking")
    assert caught.value.code == "motion-unknown"
    assert "dance" in caught.value.cure


@pytest.mark.parametrize(
    ("motion", "verbs", "speed"),
    [
        ("trots along at a leisurely pace", ["walk"], 0.5),
        ("turns at a brisk pace", ["spin"], 2.0),
        ("drives at a crawl", ["drive"], 0.5),
        ("paces up and down", ["walk", "drive"], 1.0),
    ],
)
def test_how_fast_something_moves_is_no_motion(motion: str, verbs: list[str], speed: float) -> None:
    program = interpret(Query("thing moves", "thing", motion), duration=4.0)
    assert [track.verb for track in program.tracks] == verbs
    usual = 4.0 / VERBS[verbs[0]].period
    assert program.tracks[0].cycles == pytest.approx(max(1.0, round(usual * speed)))


@pytest.mark.parametrize(
    "motion", ["flickers and goes out", "flickers for a while and goes out", "blinks, then dies out"]
)
def test_what_goes_out_has_shone_before(motion: str) -> None:
    program = interpret(Query("candle moves", "candle", motion), duration=4.0)
    first, last = program.tracks
    assert (first.verb, last.verb) == ("blink", "fade")
    assert first.stop == pytest.approx(last.start)


def test_a_verb_that_is_no_motion_is_named_with_the_nearest(embed: Callable[[str], np.ndarray]) -> None:
    program = interpret(Query("cat moves", "cat", "juggles and walks"), duration=2.0, embed_text=embed)
    assert [track.verb for track in program.tracks] == ["walk"]
    assert "juggles (nearest verb: “" in program.notes[0]
    assert interpret(Query("robot moves", "robot", "arms wave"), duration=2.0, embed_text=embed).notes == ()


@pytest.mark.parametrize(
    ("thing", "motion", "moved"),
    [
        ("a grandfather clock", "the pendulum swings", [("swing", "pendulum")]),
        ("a pendulum", "the pendulum swings", [("swing", "whole")]),
        ("a dog", "wags its tail", [("wag", "tail")]),
        ("a doll", "turns her head", [("look", "head")]),
        ("an owl", "the owl's head turns", [("look", "head")]),
        ("a lizard", "walks as its tail swishes", [("walk", "whole"), ("wag", "tail")]),
        ("a pan", "the lid rattles and then opens", [("shake", "lid"), ("open", "lid")]),
        ("a cat", "its ears twitch as it jumps", [("shake", "ears"), ("jump", "whole")]),
        ("a palm tree", "leaves shaking", [("shake", "leaves")]),
        ("a puppy", "chases its tail", [("orbit", "whole")]),
        ("a seal", "slides on its belly", [("slide", "whole")]),
        ("a robot", "does a little dance", [("dance", "whole")]),
    ],
)
def test_a_part_is_the_subject_or_what_the_verb_moves(
    thing: str, motion: str, moved: list[tuple[str, str]]
) -> None:
    assert [(track.verb, track.part) for track in program(motion, thing).tracks] == moved


@pytest.mark.parametrize(
    ("motion", "verbs"),
    [
        ("drops and climbs back up", ("drop", "rise")),
        ("goes up and comes back down", ("rise", "drop")),
        ("goes up and back down", ("rise", "drop")),
        ("jumps off the table", ("jump",)),
        ("jumps off", ("jump", "leave")),
        ("revolves around the sun", ("orbit",)),
        ("revolves around its axis", ("spin",)),
        ("jumps over a log and lands", ("jump",)),
        ("pulsates with light", ("pulse",)),
        ("bounces and comes to rest", ("bounce",)),
        ("pulses with a blue light", ("pulse",)),
        ("floats gently down", ("drop",)),
        ("floats down the river", ("hover",)),
        ("floats up and down", ("hover",)),
        ("raises an arm and waves", ("wave",)),
    ],
)
def test_a_particle_or_a_noun_is_no_motion_of_its_own(motion: str, verbs: tuple[str, ...]) -> None:
    assert program(motion).verbs == verbs


def test_in_a_list_that_ends_with_then_each_waits_for_the_one_before() -> None:
    rise, hover, drop = interpret(
        Query("a drone moves", "a drone", "takes off, hovers and then lands"), duration=8.0
    ).tracks
    assert (rise.verb, hover.verb, drop.verb) == ("rise", "hover", "drop")
    assert rise.stop <= hover.start < hover.stop <= drop.start


def test_a_verb_of_no_motion_after_and_is_named(embed: Callable[[str], np.ndarray]) -> None:
    made = program("hovers and recites a poem", embed_text=embed)
    assert made.verbs == ("hover",)
    assert "recites (nearest verb: “" in made.notes[0]
    assert program("waves its arms and legs", embed_text=embed).notes == ()
