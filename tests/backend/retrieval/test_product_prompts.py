"""The product-search prompts are fair: nobody can find their objects by the words of the catalogue.

``tests/data/product_prompts_*.json`` hold free-form prompts for Sweet Home 3D's furniture, each with every
asset that a reasonable person would call right. They were written before anything was tuned on them.

- training: the lexicon and the weights were tuned on these, their misses were read. The last 85 were blind
  until 24 November 2026, and half of a set that was split at random; the other half is confirmation.
- validation: weights were chosen on these, and misses were read.
- confirmation: only figures were looked at, now and then; nobody read a miss.
- test: only measured, at the end.

Which prompt is for validation and which for the test was drawn at random, group by group. What is checked
here is what makes a measurement on them worth something.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TypedDict

import pytest

from uni4d.library.sources import Entry
from uni4d.library.sources.sweethome3d import SweetHome3DSource, locate
from uni4d_shared.errors import Uni4DError

COUNTS = {"validation": 70, "confirmation": 55, "test": 80}

_FUNCTION_WORDS = """
a an the of in on at to for and or with without from by into as than is are be it its this that these those
my your i me you he she they them there here who which when
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Function words: they name no object, so sharing one with a name (“Bowl with salad”) gives nothing away."""


class ProductPrompt(TypedDict):
    prompt: str
    accept: list[str]
    """The uids of all right assets."""
    note: str
    """What is meant; training has none."""


@cache
def prompts(part: str, repository: Path) -> list[ProductPrompt]:
    return json.loads((repository / "tests" / "data" / f"product_prompts_{part}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    """Sweet Home 3D's catalogue by uid; nothing is downloaded for it."""
    try:
        folder = locate(download=False)
    except Uni4DError:
        pytest.skip("Sweet Home 3D's furniture is not on this machine")
    return {entry.uid: entry for entry in SweetHome3DSource(folder).entries()}


@pytest.mark.parametrize("part", COUNTS)
def test_the_files_are_whole(part: str, repository: Path) -> None:
    rows = prompts(part, repository)
    assert len(rows) == COUNTS[part]
    for row in rows:
        assert row.keys() == {"prompt", "accept", "note"}
        assert row["prompt"].strip() and row["note"].strip() and row["accept"]
        assert len(set(row["accept"])) == len(row["accept"]), row


def test_no_prompt_occurs_twice(repository: Path) -> None:
    parts = ("training", *COUNTS)
    texts = [row["prompt"].casefold() for part in parts for row in prompts(part, repository)]
    assert len(set(texts)) == len(texts)


def test_no_object_of_the_test_is_one_of_validation(repository: Path) -> None:
    parts = ("validation", "test")
    seen, unseen = ({uid for row in prompts(part, repository) for uid in row["accept"]} for part in parts)
    assert not seen & unseen


@pytest.mark.parametrize("part", COUNTS)
def test_the_right_assets_are_in_the_library(part: str, repository: Path, entries: dict[str, Entry]) -> None:
    assert [
        (row["prompt"], uid)
        for row in prompts(part, repository)
        for uid in row["accept"]
        if uid not in entries
    ] == []


@pytest.mark.parametrize("part", COUNTS)
def test_no_prompt_says_a_word_of_its_objects(part: str, repository: Path, entries: dict[str, Entry]) -> None:
    """Neither of their names, nor of their tags, nor of their categories."""
    said = [
        (row["prompt"], given_away)
        for row in prompts(part, repository)
        if (given_away := shared_words(row["prompt"], [entries[uid] for uid in row["accept"]]))
    ]
    assert said == []


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("a plush toy bear", "bear"),
        ("two BEARS", "bear"),
        ("a comfy chair", "chair"),
        ("he is cooking", "cook"),
        ("seated outdoors", "seat"),
    ],
)
def test_the_check_sees_inflections_and_parts_of_compounds(prompt: str, word: str) -> None:
    entry = Entry(
        "uid", "", "", "Teddy bear", ("Armchair", "Cooker", "Seat"), "Toys", "CC0-1.0", "", "collection"
    )
    assert any(word in found for found in shared_words(prompt, [entry]))
    assert not shared_words("it puts out fires", [entry])


def shared_words(prompt: str, targets: list[Entry]) -> list[str]:
    """The prompt's words that are, but for their endings, words (or half of a compound) of the targets."""
    catalogue = {word for entry in targets for text in entry.texts for word in content_words(text)}
    return sorted(
        word for word in content_words(prompt) if any(same_word(word, other) for other in catalogue)
    )


def content_words(text: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", text.casefold())) - STOP_WORDS


def same_word(word: str, other: str) -> bool:
    """Whether any stems are equal, or one (of 4 letters or more) begins or ends the other."""
    for first in stems(word):
        for second in stems(other):
            short, long = sorted((first, second), key=len)
            if first == second or (len(short) >= 4 and (long.startswith(short) or long.endswith(short))):
                return True
    return False


@cache
def stems(word: str) -> frozenset[str]:
    """The word and what may be left of it without its endings; rather too many than too few."""
    found = {word}
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    if word.endswith("es") and len(word) > 4:
        found.add(word[:-2])
    if word.endswith("s") and len(word) > 3:
        found.add(word[:-1])
    for form in tuple(found):
        for ending in ("ing", "ed", "er", "or", "y"):
            rest = form.removesuffix(ending)
            if rest != form and len(rest) >= 3:
                found |= {rest, rest + "e"}
                if rest[-1] == rest[-2]:  # “chopping” is a form of “chop”
                    found.add(rest[:-1])
    return frozenset(found)
