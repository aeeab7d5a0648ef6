"""What each model accepts is checked before anything is loaded."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from uni4d.config import VideoConfig
from uni4d.video.diffusers.families import FAMILIES
from uni4d_shared.errors import Uni4DError


@pytest.mark.parametrize("name", FAMILIES)
def test_the_defaults_fit(name: str) -> None:
    FAMILIES[name].check(getattr(VideoConfig(), name))


@pytest.mark.parametrize(
    ("name", "changes", "named", "cure"),
    [
        ("cogvideox", {"frames": 48}, r"8k \+ 1 frames, 49 at most", "41 or 49"),
        ("cogvideox", {"frames": 57}, "49 at most", "49"),
        ("cogvideox", {"frames": 1}, r"8k \+ 1", "9"),
        ("cogvideox15", {"frames": 88}, r"16k \+ 1", "81 or 97"),
        ("wan", {"frames": 120}, r"4k \+ 1", "117 or 121"),
        ("wan", {"width": 1_000}, "width is 1000; .* multiple of 32", "992"),
        ("wan", {"height": 1_280}, "1280 × 1280 is more", "smaller"),
        ("ltx", {"vae_precision": "fp32"}, "one precision", "the same"),
        ("ltx", {"frames": 265}, "257 at most", "257"),
        ("ltx", {"height": 500}, "height is 500; .* multiple of 32", "512"),
    ],
)
def test_what_does_not_fit_is_named_with_what_does(
    name: str, changes: dict[str, Any], named: str, cure: str
) -> None:
    config = attrs.evolve(getattr(VideoConfig(), name), **changes)
    with pytest.raises(Uni4DError, match=named) as caught:
        FAMILIES[name].check(config)
    assert caught.value.code == "bad-setting"
    assert f"video.{name}" in caught.value.message
    assert re.search(rf"\b{cure}\b", caught.value.cure)
