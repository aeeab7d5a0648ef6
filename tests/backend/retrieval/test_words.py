"""Words, spellings, things and concepts: what the text index is made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.encoders.local.minilm import MiniLM
from uni4d.library.sources import Entry
from uni4d.retrieval.concepts import link_assets
from uni4d.retrieval.nouns import head_words, match_head
from uni4d.retrieval.spelling import Spellings, n_grams
from uni4d.retrieval.things import everyday_things, read_things
from uni4d.retrieval.words import Documents, content_words, meetings, rarities
from uni4d_shared.errors import Uni4DError


def entry(name: str, *tags: str, category: str = "", translations: tuple[str, ...] = ()) -> Entry:
    return Entry(name, name, "", name, tags, category, "CC0-1.0", "", "", translations=translations)


def test_content_words() -> None:
    assert content_words("It's the farmers' market, with a Market-stall") == ["farmers", "market", "stall"]
    assert content_words("ein Schränkchen, 椅子") == ["ein", "schränkchen", "椅子"]


def test_the_best_word_of_each_document_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    place: dict[str, int] = {}
    texts: list[Sequence[str]] = [["a", "b"], [], ["c", "a", "a"], ["d"], []]
    documents = Documents.of(texts, place)
    values = rng.random((3, len(place)))
    plain = np.array(
        [[max((row[place[word]] for word in words), default=0.0) for words in texts] for row in values]
    )
    assert np.allclose(documents.best(values), plain)


def test_rare_words_weigh_more() -> None:
    met = np.array([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    common, rare = rarities(met)
    assert rare > common > 0


def test_equal_words_meet_fully_and_strangers_do_not() -> None:
    vectors = MiniLM().encode(["bicycle", "bike", "yoghurt"]).pooled
    met = meetings(vectors[:1], vectors)[0]
    assert met[0] == pytest.approx(1.0, abs=1e-5)
    assert met[0] > met[1] > 0.3 > met[2]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Table with tablecloth", ["table"]),
        ("Air conditioning - External unit", ["air", "conditioning"]),
        ("Fridge & Freezer", ["fridge"]),
    ],
)
def test_head_words(name: str, words: list[str]) -> None:
    assert head_words(name) == words


def test_the_longest_known_phrase_at_the_noun_wins() -> None:
    known = {"desk lamp": ["desk lamp"], "lamp": ["lamp"], "bunkbed": ["bunk bed"]}
    look_up = lambda phrase: known.get(phrase, [])  # noqa: E731
    assert match_head(["old", "desk", "lamp"], look_up) == (["desk lamp"], False)
    assert match_head(["desk", "lamp"], look_up) == (["desk lamp"], True)
    assert match_head(["bunk", "bed"], look_up) == (["bunk bed"], True)
    assert match_head(["lamp", "deluxe"], look_up) == (["lamp"], False)
    assert match_head(["nothing"], look_up) == ((), False)


# --- spelling -------------------------------------------------------------------------------------


NAMES = [
    ("Teddy bear", "Ours en peluche", "плюшевый мишка"),
    ("Desk lamp", "Schreibtischlampe"),
    ("Chair", "椅子"),
]


@pytest.mark.parametrize(
    ("text", "row"),
    [("OURS EN PELUCHÉ", 0), ("Schreibtischlampen", 1), ("椅子", 2), ("Плюшевый Мишка", 0), ("desk lmap", 1)],
)
def test_names_in_any_language_and_nearly_right(text: str, row: int) -> None:
    alike, _ = Spellings.of(NAMES).likeness(text, letters=True)
    assert int(np.argmax(alike)) == row
    assert alike[row] > 0.6


def test_a_name_inside_a_sentence_is_contained() -> None:
    _, contained = Spellings.of(NAMES).likeness("un ours en peluche qui danse")
    assert contained[0] == pytest.approx(1.0, abs=1e-6)
    assert contained[1:].max() < 0.6


def test_likeness_equals_its_formula() -> None:
    names = ["lamp", "lamps", "stamp", "a chair"]
    grams = [n_grams(name) for name in names]
    rarity = {
        gram: np.log(len(names) / sum(gram in other for other in grams)) for gram in set().union(*grams)
    }

    def weight(some: frozenset[str]) -> float:
        return float(sum(rarity.get(gram, np.log(len(names))) for gram in some))

    wanted = n_grams("lampe")
    plain = [2 * weight(wanted & own) / (weight(wanted) + weight(own)) for own in grams]
    alike, _ = Spellings.of([(name,) for name in names]).likeness("lampe")
    assert np.allclose(alike, plain, atol=1e-6)


# --- things and concepts --------------------------------------------------------------------------


def test_the_lexicon_is_complete_and_has_no_name_twice_in_a_line() -> None:
    things = everyday_things()
    assert len(things) > 500
    for thing in things:
        assert thing.descriptions
        assert len(set(thing.names)) == len(thing.names), thing.names
        assert all(name == name.lower() for name in thing.names)
        assert len(set(thing.descriptions)) == len(thing.descriptions), thing.names
    assert len({thing.names[0] for thing in things}) == len(things)


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "things.txt"
    path.write_text("# a comment\nlamp: gives light. has a shade | bulb, dark\nno colon here\n")
    with pytest.raises(Uni4DError, match="line 3"):
        read_things(path)
    path.write_text("lamp, light: gives light. has a shade | bulb, dark\n")
    (thing,) = read_things(path)
    assert thing.names == ("lamp", "light")
    assert thing.descriptions == ("gives light", "has a shade")
    assert thing.keywords == ("bulb", "dark")


@pytest.fixture(scope="module")
def embed() -> Any:
    encoder = MiniLM()

    def vectors(texts: Sequence[str]) -> NDArray[Any]:
        return encoder.encode(list(texts)).pooled

    return vectors


def test_assets_are_linked_to_what_they_are(embed: Any) -> None:
    assets = [
        entry("Desk lamp"),
        entry("Ford Focus", "Car"),
        entry("Theremin", category="Music"),
        entry("Qwxyz"),
        entry("Table with tablecloth"),
        entry("Bullet trash can"),
        entry("Chair with cushion"),
    ]
    vocabulary = link_assets(assets, embed)
    first = [vocabulary.concepts[links[0].concept] if links else None for links in vocabulary.links]
    lamp, car, theremin, unknown, table, bin_, chair = first
    assert lamp is not None and "desk lamp" in lamp.names
    assert car is not None and "car" in car.names
    assert theremin is not None and "instrument" in theremin.descriptions[0], (
        "WordNet knows what the lexicon lacks"
    )
    assert unknown is None
    assert table is not None and "table" in table.names
    assert bin_ is not None and "bullet trash can" in bin_.names
    assert chair is not None and "chair with cushion" in chair.names
    names = [[vocabulary.concepts[link.concept].names[0] for link in links[1:]] for links in vocabulary.links]
    assert "lamp" in names[0], "a desk lamp is also a lamp, at a distance"
    assert "trash can" in names[5], "also where the general name has several words"
    assert "chair" in names[6], "and where the general name stands before the whole"


@pytest.mark.parametrize(
    ("tags", "said"), [(("Animal", "Bird", "Long legs"), "bird"), (("Machine", "Construction site"), "lifts")]
)
def test_the_sense_is_the_one_that_fits_the_tags(embed: Any, tags: tuple[str, ...], said: str) -> None:
    from uni4d.retrieval.concepts import _ranked_senses
    from uni4d.retrieval.wordnet import wordnet

    ranked = _ranked_senses(wordnet(), ["crane"], ", ".join(("Crane", *tags)), embed)
    assert said in ranked[0][1].gloss
