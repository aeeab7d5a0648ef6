"""Product search is measured prompt by prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from uni4d.cli import main
from uni4d.evaluation.product import DEPTH, Prompt, evaluate_search, read_prompts
from uni4d_shared.errors import Uni4DError
from uni4d_shared.progress import Cancelled, silent
from uni4d_shared.types import Hit, Query

GROUPS = {"lamp": "lamp", "lamp-copy": "lamp", "chair": "chair", "boat": "boat"}


class Listed:
    """A search that knows the answers to some words."""

    def __init__(self, **orders: list[str]) -> None:
        self.orders = orders

    def search(self, query: Query, top: int = 5) -> list[Hit]:
        for word, uids in self.orders.items():
            if word in query.prompt:
                return [Hit(uid, uid.title(), 1.0, {}, "", "", "", "") for uid in uids][:top]
        return []


def test_by_hand() -> None:
    searcher = Listed(light=["lamp", "chair"], seat=["boat", "chair"], sail=["lamp", "chair"], copy=["lamp"])
    prompts = [
        Prompt("it gives light", ("lamp",)),
        Prompt("a seat", ("chair",), "chair"),
        Prompt("it can sail", ("boat",)),
        Prompt("a copy of what gives it", ("lamp-copy",)),
    ]
    found = evaluate_search(searcher, prompts, GROUPS, silent)
    assert [answer.rank for answer in found.answered] == [0, 1, None, 0]
    assert found.figures["recall@1"].mean == 0.5
    assert found.figures["recall@5"].mean == 0.75
    assert found.figures["mrr"].mean == pytest.approx((1 + 0.5 + 0 + 1) / 4, abs=1e-6)
    assert [(miss.prompt, miss.first, miss.note) for miss in found.misses] == [
        ("a seat", "Boat", "chair"),
        ("it can sail", "Lamp", ""),
    ]
    assert 0 < found.latency["p50"] <= found.latency["p95"]


def test_a_hit_beyond_the_depth_is_none() -> None:
    searcher = Listed(seat=["boat"] * DEPTH + ["chair"])
    [answer] = evaluate_search(searcher, [Prompt("a seat", ("chair",))], GROUPS, silent).answered
    assert answer.rank is None


def test_an_asset_that_the_library_lacks_is_an_error() -> None:
    with pytest.raises(Uni4DError, match="“unicorn”") as caught:
        evaluate_search(Listed(), [Prompt("a horn", ("unicorn", "lamp"))], GROUPS, silent)
    assert caught.value.code == "asset-unknown"


def test_it_can_be_cancelled() -> None:
    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_search(Listed(), [Prompt("a seat", ("chair",))], GROUPS, stop)


def test_prompts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"prompt": "a seat", "accept": ["chair"], "note": "chair"}]))
    assert read_prompts(path) == [Prompt("a seat", ("chair",), "chair")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        ("[]", "holds no prompt"),
        ('[{"prompt": "a seat", "accept": []}]', "“a seat” lacks"),
        ('[{"prompt": "a seat"}]', "accept"),
        ('[{"prompt": "a seat", "accept": ["chair"], "answer": "chair"}]', "answer"),
        ('{"prompt": "a seat"}', ""),
    ],
)
def test_unreadable_prompts_are_explained(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(Uni4DError) as caught:
        read_prompts(path)
    assert caught.value.code == "prompts-unreadable"
    assert str(path) in caught.value.message and said in caught.value.message


@pytest.mark.parametrize("command", ["retrieval", "search"])
def test_the_command_line_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", command, "--help"])
    assert caught.value.code == 0
    assert {"retrieval": "--seeds", "search": "--prompts"}[command] in capsys.readouterr().out


def test_without_a_library_the_cure_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    library, out = str(tmp_path / "none"), str(tmp_path / "out")
    assert main(["evaluate", "retrieval", "--out", out, "--library", library, "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "library-missing"
    assert "uni4d library build" in error["cure"]


def test_a_wrong_number_of_seeds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "retrieval", "--out", str(tmp_path), "--seeds", "0", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "bad-setting"
    assert "seeds" in error["message"]
