"""The whole run: the names of its folders (the run itself is tested in ``tests/end_to_end``)."""

from __future__ import annotations

import pytest

from uni4d.pipeline.generate import slug


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a teddy bear is dancing", "a-teddy-bear-is-dancing"),
        ("  A Café; crème brûlée!  ", "a-cafe-creme-brulee"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 200, "x" * 60),
    ],
)
def test_slug(prompt: str, name: str) -> None:
    assert slug(prompt) == name


def test_prompts_without_latin_letters_have_names_of_their_own() -> None:
    names = {slug("熊が踊る"), slug("犬が歩く")}
    assert len(names) == 2
    assert all(name.startswith("prompt-") for name in names)
