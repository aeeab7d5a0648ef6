"""Each light verb over time: how bright, how often, and that nothing else happens."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from uni4d.video.motions import colors_at
from uni4d.video.program import MotionProgram, Track
from uni4d.video.verbs import VERBS

TIMES = np.linspace(0.0, 1.0, 201)


def brightness(shapes, *tracks: Track) -> NDArray[np.float64]:  # noqa: ANN001
    """``[201]`` mean colour of a dark grey lamp over a clip of a second."""
    lamp = shapes["lamp"]
    colors, program = np.full((5, 3), 0.3), MotionProgram(tracks, 1.0)
    return np.array([colors_at(colors, lamp.vertices[:5], lamp.body, program, t).mean() for t in TIMES])


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("verb", ["blink", "glow"])
def test_it_swells_and_dies_as_often_as_it_should_and_loops(shapes, verb: str, count: int) -> None:  # noqa: ANN001
    seen = brightness(shapes, Track(verb, count))
    rising = np.flatnonzero((seen[:-1] <= 0.4) & (seen[1:] > 0.4))
    assert len(rising) == count
    np.testing.assert_allclose(np.diff(TIMES[rising]), 1.0 / count, atol=0.011)
    assert seen[0] == pytest.approx(0.3)
    assert seen[-1] == pytest.approx(0.3)


def test_a_blink_is_dark_half_of_the_time_and_a_glow_peaks_in_the_middle(shapes) -> None:  # noqa: ANN001
    dark = brightness(shapes, Track("blink")) < 0.31
    assert 0.35 < dark.mean() < 0.6
    assert TIMES[np.argmax(brightness(shapes, Track("glow")))] == pytest.approx(0.5)


def test_light_up_flickers_comes_on_and_stays_on(shapes) -> None:  # noqa: ANN001
    seen = brightness(shapes, Track("light_up"))
    assert seen[0] == pytest.approx(0.3)
    first = seen[TIMES < 0.15]
    assert 0.31 < first.max() < 0.7 * seen[-1], "a short flicker"
    np.testing.assert_allclose(seen[TIMES > 0.5], seen[-1])
    assert seen[-1] > 0.3 + 0.3 * VERBS["light_up"].amplitude


def test_fade_grows_dark_for_good(shapes) -> None:  # noqa: ANN001
    seen = brightness(shapes, Track("fade"))
    assert np.all(np.diff(seen) <= 1e-12)
    assert seen[-1] == pytest.approx(0.3 * (1.0 - 0.95 * VERBS["fade"].amplitude))


def test_what_was_lit_fades_to_where_it_was(shapes) -> None:  # noqa: ANN001
    seen = brightness(shapes, Track("light_up", stop=0.5), Track("fade", start=0.5))
    assert seen[100] > 0.6
    assert seen[-1] == pytest.approx(0.3)
    assert np.abs(np.diff(seen)).max() < 0.1, "nothing jumps"


def test_brighter_or_darker_with_the_amplitude(shapes) -> None:  # noqa: ANN001
    peaks = [brightness(shapes, Track("glow", amplitude=a)).max() for a in (0.2, 0.4, 0.8)]
    assert peaks[0] < peaks[1] < peaks[2] <= 1.0
