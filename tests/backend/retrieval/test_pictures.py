"""Pictures to search by: read, bounded, cut out."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from uni4d.retrieval import pictures
from uni4d.retrieval.pictures import read_picture
from uni4d_shared.errors import Uni4DError


def _encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def test_a_plain_background_becomes_transparent() -> None:
    pixels = np.full((40, 60, 3), 240, np.uint8)
    pixels[10:30, 20:40] = (200, 30, 30)
    for kind in ("PNG", "JPEG"):
        read = read_picture(_encoded(pixels, kind))
        assert read.shape == (40, 60, 4)
        assert read[20, 30, 3] == 255 and read[2, 2, 3] == 0


def test_a_photograph_stays_whole_and_alpha_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    assert read_picture(_encoded(rng.integers(0, 255, (20, 20, 3), np.uint8)))[..., 3].min() == 255
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[5:9, 5:9] = 255
    assert np.array_equal(read_picture(_encoded(pixels))[..., 3], pixels[..., 3])


def test_large_pictures_shrink() -> None:
    assert max(read_picture(_encoded(np.zeros((100, 3000, 3), np.uint8))).shape[:2]) == 512


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"GIF89a" + bytes(20), _encoded(np.zeros((9, 9, 3), np.uint8))[:40]]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Uni4DError) as caught:
        read_picture(data)
    assert caught.value.code == "image-unreadable"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _encoded(np.zeros((50, 50, 3), np.uint8))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 2_000)
    with pytest.raises(Uni4DError, match="too many"):
        read_picture(data)
    monkeypatch.setattr(pictures, "MAX_BYTES", 10)
    with pytest.raises(Uni4DError, match="at most 10"):
        read_picture(data)
