"""Motion phrases in free wording: of every set nine of ten become what they ask for.

The figures of each half: ``python tests/benchmarks/motion_phrases.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from harness.motion_phrases import PHRASES, complaints, half_of


@pytest.fixture(scope="module")
def embed() -> Callable[[str], np.ndarray]:
    from uni4d.encoders.local.minilm import MiniLM

    encoder = MiniLM()
    return cache(lambda text: np.asarray(encoder.encode([text]).pooled)[0])


def test_the_halves_are_what_the_hash_says_and_both_are_large() -> None:
    for entry in PHRASES:
        written_later = ("fresh", "blind", "confirmation", "second confirmation")
        assert entry["half"] in (half_of(entry["phrase"]), *written_later)
    halves = [entry["half"] for entry in PHRASES]
    assert min(halves.count("tuning"), halves.count("held out")) >= 35
    assert len({entry["phrase"] for entry in PHRASES}) >= 70


def test_nine_of_ten_phrases_become_the_program_that_they_ask_for(embed: Callable[[str], np.ndarray]) -> None:
    wrong = {entry["phrase"]: found for entry in PHRASES if (found := complaints(entry, embed))}
    for half in ("tuning", "held out", "fresh", "blind", "confirmation"):
        mine = [entry for entry in PHRASES if entry["half"] == half]
        assert sum(entry["phrase"] not in wrong for entry in mine) >= 0.9 * len(mine), wrong
