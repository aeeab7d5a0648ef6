"""WordNet's visible verbs: every form is known, nouns are told apart, and the compiler reads the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from uni4d.retrieval.motion_verbs import is_name, names_purposes, verb_form
from uni4d.retrieval.motion_verbs_compiler import compile_names, compile_verbs
from uni4d_shared.errors import Uni4DError


@pytest.mark.parametrize(
    ("word", "base", "form"),
    [
        ("pirouettes", "pirouette", "s"),
        ("somersaulted", "somersault", "past"),
        ("judders", "judder", "s"),
        ("moonwalks", "moonwalk", "s"),
        ("hopping", "hop", "ing"),
        ("flies", "fly", "s"),
        ("flew", "fly", "past"),
        ("tying", "tie", "ing"),
        ("seeing", "see", "ing"),
        ("Echoes", "echo", "s"),
    ],
)
def test_forms_are_read(word: str, base: str, form: str) -> None:
    reading = verb_form(word)
    assert reading is not None
    assert (reading.verb.base, reading.form) == (base, form)


@pytest.mark.parametrize("word", ["drawers", "teddy", "hopp", "runing", "believes", ""])
def test_other_words_are_no_visible_verbs(word: str) -> None:
    assert verb_form(word) is None


def test_counts_tell_verbs_from_nouns() -> None:
    carry, chair, judder = verb_form("carry"), verb_form("chair"), verb_form("judder")
    assert carry and chair and judder
    assert carry.verb.as_verb > 0.9
    assert chair.verb.as_verb < 0.1
    assert judder.verb.as_verb == 1.0


def test_names_in_ing() -> None:
    assert is_name("diving", "boards")
    assert is_name("frying", "pan")
    assert not is_name("flying", "bird")
    assert names_purposes("boards")
    assert names_purposes("machine")
    assert not names_purposes("candle")


VERBS = """\
  1 licence
00000001 38 v 02 bob 0 jump_up 0 001 @ 00000009 v 0000 02 + 01 00 + 02 00 | move; "it bobs"
00000002 42 v 01 be 0 000 01 + 01 00 | exist
"""
NOUNS = """\
  1 licence
00000003 06 n 01 diving_board 0 000 | a board
00000004 05 n 01 flying_bird 0 000 | a bird
00000005 06 n 01 bob 0 000 | a weight
"""
SENSES = "bob%1:06:00:: 00000005 1 4\nbob%2:38:00:: 00000001 1 7\nbe%2:42:00:: 00000002 1 99\n"


def test_the_compiler_reads_wordnets_files(tmp_path: Path) -> None:
    for name, text in (
        ("data.verb", VERBS),
        ("data.noun", NOUNS),
        ("index.sense", SENSES),
        ("verb.exc", "bobbing bob\nbobbed bob\n"),
    ):
        (tmp_path / name).write_text(text)
    verbs = [line for line in compile_verbs(tmp_path).splitlines() if not line.startswith("#")]
    assert verbs == ["bob m tp 7 4 bobbing bobbed"]
    names = [line for line in compile_names(tmp_path).splitlines() if not line.startswith("#")]
    assert names == ["board a diving"]


def test_a_folder_without_wordnet_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Uni4DError) as caught:
        compile_verbs(tmp_path)
    assert caught.value.code == "wordnet-missing"
