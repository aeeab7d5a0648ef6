"""Learning the weights, folding copies, filters, reading a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from uni4d.library.sources import Entry
from uni4d.retrieval.filters import allowed_rows, is_commercial, take_filters
from uni4d.retrieval.folding import fold
from uni4d.retrieval.fusion import MODALITIES, Fusion, Judged, learn, quality, shipped_fusion
from uni4d.retrieval.wanted import read_wanted
from uni4d_shared.errors import Uni4DError
from uni4d_shared.types import SearchFilters


def _prompts(count: int = 40, assets: int = 30) -> list[Judged]:
    """Prompts of which ``good`` finds the answer, ``weak`` helps, and ``noise`` does not."""
    rng = np.random.default_rng(1)
    prompts = []
    for _ in range(count):
        accepted = np.zeros(assets, dtype=bool)
        accepted[rng.integers(assets)] = True
        prompts.append(
            Judged(
                {
                    "good": 1.5 * accepted + rng.normal(0, 0.5, assets),
                    "weak": 0.1 * (accepted + rng.normal(0, 1, assets)),
                    "noise": rng.normal(0, 5, assets),
                },
                accepted,
            )
        )
    return prompts


def test_the_weights_follow_what_is_worth_something() -> None:
    prompts = _prompts()
    fusion = learn(prompts, ("good", "weak", "noise"), strength=0.001)
    assert sum(fusion.weights.values()) == pytest.approx(1.0)
    assert fusion.weights["good"] * 0.7 > fusion.weights["noise"] * 5
    equal = Fusion({"good": 1 / 3, "weak": 1 / 3, "noise": 1 / 3})
    assert quality(prompts, fusion)["top1"] > quality(prompts, equal)["top1"] + 0.3
    assert learn(prompts, ("good", "weak", "noise"), strength=0.001) == fusion, "deterministic"


def test_a_strong_prior_keeps_the_weights_equal() -> None:
    prompts = _prompts()
    spread = {name: np.mean([prompt.scores[name].std() for prompt in prompts]) for name in ("good", "noise")}
    weights = learn(prompts, ("good", "noise"), strength=1e4).weights
    assert weights["good"] * spread["good"] == pytest.approx(weights["noise"] * spread["noise"], rel=0.05)


def test_equal_scores_are_no_success() -> None:
    tied = Judged({"a": np.zeros(9)}, np.arange(9) == 3)
    assert quality([tied], Fusion({"a": 1.0})) == {"top1": 0.0, "top5": 0.0, "mrr": pytest.approx(1 / 9)}


def test_the_shipped_weights() -> None:
    shipped = shipped_fusion()
    assert set(shipped.weights) == set(MODALITIES)
    assert sum(shipped.weights.values()) == pytest.approx(1.0, abs=1e-3)
    assert all(weight >= 0 for weight in shipped.weights.values())


def test_what_has_no_weight_counts_nothing() -> None:
    fused = Fusion({"a": 2.0}).fuse({"a": np.array([1.0, 2.0]), "other": np.array([9.0, 9.0])})
    assert fused.tolist() == [2.0, 4.0]


# --- folding --------------------------------------------------------------------------------------


def test_copies_are_one_result() -> None:
    shapes = np.array([[1.0, 0.0], [0.0, 1.0], [0.999, 0.045], [0.6, 0.8], [0.0, 1.0]])
    names = ["chair", "chair", "chair", "chair", "stool"]
    groups = ["a", "b", "c", "a", "d"]
    folded = fold([0, 1, 2, 3, 4], names, groups, np.ones((5, 1)), shapes, 10)
    assert [(result.row, result.variants) for result in folded] == [(0, [2, 3]), (1, []), (4, [])]


def test_copies_of_later_results_take_no_place() -> None:
    shapes = np.eye(4)
    folded = fold([3, 2, 1, 0], ["x"] * 4, ["a", "a", "b", "b"], np.ones((4, 1)), shapes, 1)
    assert [(result.row, result.variants) for result in folded] == [(3, [2])]


def test_one_mesh_under_two_names_is_two_results() -> None:
    folded = fold([0, 1], ["teddy bear", "wheelchair"], ["a", "a"], np.eye(2), np.ones((2, 1)), 5)
    assert [result.variants for result in folded] == [[], []]


# --- filters --------------------------------------------------------------------------------------

ENTRIES = [
    Entry("1", "", "", "Lamp", (), "Lights", "CC0-1.0", "", "Sweet Home 3D: Scopia"),
    Entry("2", "", "", "Sofa", (), "Living room", "CC-BY-3.0 OR GPL-2.0-or-later", "", "Default"),
    Entry("3", "", "", "Bear", (), "Bedroom", "CC-BY-NC-4.0", "", "Default", animated=True),
]
FACES = np.array([100, 5000, 20000])


def _allowed(filters: SearchFilters) -> list[bool]:
    animated = np.array([entry.animated for entry in ENTRIES])
    return [bool(value) for value in allowed_rows(filters, ENTRIES, FACES, animated)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("licence:cc0", [True, False, False]),
        ("license:CC-BY", [False, True, True]),
        ("licence:gpl", [False, True, False]),
        ("licence:commercial", [True, True, False]),
        ("faces:<5000", [True, False, False]),
        ("faces:<=5k", [True, True, False]),
        ("faces:>5000", [False, False, True]),
        ("faces:1000-6000", [False, True, False]),
        ("category:lights", [True, False, False]),
        ('category:"living room"', [False, True, False]),
        ("source:scopia", [True, False, False]),
        ("animated:yes", [False, False, True]),
        ("licence:cc faces:<10000", [True, True, False]),
    ],
)
def test_filters_written_into_the_prompt(written: str, expected: list[bool]) -> None:
    text, filters = take_filters(f"a {written} lamp", SearchFilters())
    assert text == "a lamp"
    assert _allowed(filters) == expected


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("colour:red", "licence"),
        ("faces:many", "faces:<5000"),
        ("category:cars", "Living room"),
        ("licence:mit", "CC0-1.0"),
        ("source:nowhere", "Scopia"),
        ("animated:perhaps", "animated:yes"),
    ],
)
def test_unknown_filters_name_the_known_ones(written: str, known: str) -> None:
    with pytest.raises(Uni4DError) as caught:
        _allowed(take_filters(written, SearchFilters())[1])
    assert caught.value.code == "filter-unknown"
    assert known in caught.value.cure


def test_times_and_ratios_are_no_filters() -> None:
    assert take_filters("TV 16:9 at 10:30", SearchFilters())[0] == "TV 16:9 at 10:30"


@pytest.mark.parametrize(
    ("licence", "free"),
    [("CC0-1.0", True), ("MIT", True), ("CC-BY-SA-4.0", True), ("CC-BY-NC-4.0", False), ("unknown", False)],
)
def test_commercial_use(licence: str, free: bool) -> None:
    assert is_commercial(licence) == free


# --- reading a prompt -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "object_text", "without"),
    [
        ("a chair -wheels", "a chair", ("wheels",)),
        ('a chair -"arm rests" -wheels', "a chair", ("arm rests", "wheels")),
        ("-leather sofa", "sofa", ("leather",)),
        ("a lamp without a shade", "a lamp", ("shade",)),
        ("a sofa with no legs or cushions", "a sofa", ("legs", "cushions")),
        ("a two-wheeled vehicle", "a two-wheeled vehicle", ()),
        ("a desk without:drawers", "a desk", ("drawers",)),
    ],
)
def test_negative_terms(prompt: str, object_text: str, without: tuple[str, ...]) -> None:
    wanted = read_wanted(prompt)
    assert wanted.query.object_text == object_text
    assert wanted.filters.without == without


def test_the_motion_survives_a_negative_term() -> None:
    wanted = read_wanted("a lamp without a shade is nodding")
    assert (wanted.query.object_text, wanted.query.motion_text) == ("a lamp", "nodding")


@pytest.mark.parametrize(
    ("prompt", "object_only"),
    [
        ("a teddy bear is dancing", True),
        ("it puts out fires", False),
        ("architects draw plans on it", False),
        ("a red sports car", True),
    ],
)
def test_when_the_whole_prompt_describes_the_object(prompt: str, object_only: bool) -> None:
    assert read_wanted(prompt).object_only == object_only


def test_filters_alone_are_no_query() -> None:
    wanted = read_wanted("licence:cc0 -wheels")
    assert wanted.query.object_text == ""
    assert wanted.filters.licence == "cc0"
