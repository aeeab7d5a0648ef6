"""Prompts that were written, with their answers, before the parser was run on any of them.

``tests/data/query_prompts.json``: 150 prompts, many shapes; those at even places were then used to improve
the parser, those at odd places only to count.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from uni4d.retrieval.query import parse

ROWS = json.loads((Path(__file__).parents[2] / "data" / "query_prompts.json").read_text(encoding="utf-8"))

BLIND_RIGHT = 71
"""Right among the 75 at odd places; 52 before the parser was improved on the others (of which 58 were)."""


def _wrong(rows: Sequence[dict[str, str]]) -> list[str]:
    """Prompts taken apart otherwise than expected, with what came."""
    answers = [(row, parse(row["prompt"])) for row in rows]
    return [
        f"{row['prompt']!r}: {query.object_text!r} + {query.motion_text!r}"
        for row, query in answers
        if (query.object_text, query.motion_text) != (row["object"], row["motion"])
    ]


def test_all_prompts_that_the_parser_was_improved_on_are_right() -> None:
    assert _wrong(ROWS[0::2]) == []


def test_prompts_that_it_was_never_improved_on_stay_right() -> None:
    wrong = _wrong(ROWS[1::2])
    assert len(ROWS[1::2]) - len(wrong) >= BLIND_RIGHT, "\n".join(wrong)


@pytest.mark.parametrize(
    ("prompt", "object_text", "motion_text"),
    [
        ("a dancing elephant", "an elephant", "dancing"),
        ("a fire-breathing dragon", "a fire-breathing dragon", ""),
        ("kitchen sink", "kitchen sink", ""),
        ("a chopping board", "a chopping board", ""),
        ("a melting snowman", "a snowman", "melting"),
        ("a plane landing on a runway", "a plane", "landing on a runway"),
        ("wind chimes tinkling", "wind chimes", "tinkling"),
        ("a cat sleeping on a mat purrs", "a cat sleeping on a mat", "purrs"),
        ("a clown juggles", "a clown", "juggles"),
        ("a pair of scissors cutting paper", "a pair of scissors", "cutting paper"),
        ("a blooming rose", "a rose", "blooming"),
        ("a barking dog", "a dog", "barking"),
        ("a warning sign", "a warning sign", ""),
        ("what does a walking robot look like?", "a robot", "walking"),
        ("a bunch of garden tools", "a bunch of garden tools", ""),
    ],
)
def test_names_and_acts_are_told_apart(prompt: str, object_text: str, motion_text: str) -> None:
    query = parse(prompt)
    assert (query.object_text, query.motion_text) == (object_text, motion_text)
