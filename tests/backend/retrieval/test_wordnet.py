"""WordNet as it is shipped, and the command that compiles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from uni4d.retrieval.wordnet import DATA, WordNet, wordnet
from uni4d.retrieval.wordnet_compiler import compile_nouns
from uni4d_shared.errors import Uni4DError


def test_a_bicycle_is_a_vehicle_with_pedals() -> None:
    nouns = wordnet()
    bicycle = nouns.senses("bicycle")[0]
    above = {nouns.sense(number).name for number in nouns.ancestors(bicycle.number)}
    assert "vehicle" in above
    assert "artifact" in above
    assert "pedal" in {name for part in bicycle.parts for name in nouns.sense(part).lemmas}
    assert "two wheels" in bicycle.gloss


def test_the_commonest_sense_comes_first() -> None:
    kinds = [sense.kind for sense in wordnet().senses("mouse")]
    assert kinds[0] == "animal"
    assert "artifact" in kinds


@pytest.mark.parametrize(
    ("plural", "singular"),
    [("mice", "mouse"), ("shelves", "shelf"), ("boxes", "box"), ("coffee tables", "coffee table")],
)
def test_plurals(plural: str, singular: str) -> None:
    assert singular in wordnet().singulars(plural)


def test_what_has_no_plural_stays() -> None:
    assert wordnet().singulars("scissors")[0] == "scissors"
    assert wordnet().singulars("xyzzy") == []


def test_kinds_below_and_above_agree() -> None:
    nouns = wordnet()
    chair = nouns.senses("chair")[0]
    below = nouns.descendants(chair.number)
    assert "rocking chair" in {name for number in below for name in nouns.sense(number).lemmas}
    assert all(chair.number in nouns.ancestors(number) for number in below)


def test_every_line_can_be_read() -> None:
    nouns = wordnet()
    for number in range(len(nouns)):
        sense = nouns.sense(number)
        assert sense.gloss
        assert len(sense.lemmas) == len(sense.ranks) == len(sense.counts)
        assert all(0 <= other < len(nouns) for other in (*sense.hypernyms, *sense.parts))


def test_it_is_small_and_comes_with_its_licence() -> None:
    assert DATA.stat().st_size < 3_000_000
    licence = (DATA.parent / "WORDNET-LICENSE").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nouns.tsv.gz"
    path.write_bytes(DATA.read_bytes()[:1000])
    with pytest.raises(Uni4DError, match=r"nouns\.tsv\.gz"):
        WordNet(path)


NOUNS = """\
  1 This is the licence
00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | that which is
00000002 04 n 01 event 0 001 @ 00000001 n 0000 | something that happens
00000003 06 n 02 mouse 0 computer_mouse 0 002 @ 00000002 n 0000 %p 00000004 n 0000 | a pointer; "move it"
00000004 06 n 01 button 0 001 @ 00000001 n 0000 | a switch
00000005 06 n 01 Tower_of_London 0 001 @i 00000004 n 0000 | a fortress
"""
SENSES = """\
computer_mouse%1:06:00:: 00000003 1 2
mouse%1:06:00:: 00000003 4 7
mouse%2:30:00:: 00000003 1 9
"""


def test_compiling_keeps_things_and_what_is_above_them(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "index.sense").write_text(SENSES)
    (tmp_path / "noun.exc").write_text("mice mouse\nlice louse\n")
    assert compile_nouns(tmp_path).splitlines() == [
        "mice\tmouse",
        "",
        "button\t3",
        "computer mouse\t2",
        "entity\t0",
        "event\t1",
        "mouse\t2",
        "",
        "top\tentity:99:0\t\t\tthat which is",
        "other\tevent:99:0\t0\t\tsomething that happens",
        "artifact\tmouse:4:7|computer mouse:1:2\t1\t3\ta pointer",
        "artifact\tbutton:99:0\t0\t\ta switch",
    ]
